"""Real processes that are killed or held at a chosen point of a turn: what goes on, where, and when."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agents.domain.message import USER, Kind, Message
from agents.domain.ports import OpenRoom
from agents.room import open_room
from tests.chaos.crashes import POINTS
from tests.chaos.harness import Nursery, nursery_of
from tests.chaos.worker import done
from tests.support.redis_server import RedisServer

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.real,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server isn't installed"),
]
LEASE = 0.5


class Lab:
    """A room, a nursery, and the file of effects."""

    def __init__(self, opened: OpenRoom, nursery: Nursery, folder: Path, server: RedisServer) -> None:
        self.opened = opened
        self.nursery = nursery
        self.effects = folder / "effects"
        self.server = server

    async def job(self, number: int = 1) -> None:
        """Give the Coder a job."""
        await self.opened.room.post(Message("Architect", f"@Coder job-{number}", to=("Coder",)))

    async def until(self, holds: Callable[[], bool], seconds: float = 20) -> None:
        """Wait for something."""
        async with asyncio.timeout(seconds):
            while not holds():
                await asyncio.sleep(0.01)

    async def said(self, text: str, seconds: float = 20) -> Message:
        """Wait for a message that contains the text."""
        async with asyncio.timeout(seconds):
            while True:
                for message in await self.opened.room.events():
                    if text in message.content and message.kind in (Kind.SAY, Kind.SYSTEM):
                        return message
                await asyncio.sleep(0.02)

    async def dead(self, number: int) -> None:
        """Wait for so many deaths."""
        await self.until(lambda: len(self.nursery.deaths) >= number)

    async def the_only(self) -> int:
        """The process id of the one worker alive."""
        await self.until(lambda: len(self.nursery.alive) == 1)
        return next(iter(self.nursery.alive))


@pytest.fixture
async def lab(tmp_path: Path, own_server: RedisServer) -> AsyncIterator[Lab]:
    """A lab of its own."""
    async with nursery_of(own_server, tmp_path, LEASE) as nursery:
        opened = await open_room(own_server.url, "chaos", lease=LEASE)
        yield Lab(opened, nursery, tmp_path, own_server)
        await opened.aclose()


async def test_a_turn_goes_on_at_every_point_it_can_break_off(lab: Lab) -> None:
    slowest = 0.0
    for number, point in enumerate(POINTS):
        lab.nursery.bear("Coder", point)
        await lab.until(lambda: len(lab.nursery.alive) == 1)
        deaths = len(lab.nursery.deaths)
        await lab.job(number)
        try:
            async with asyncio.timeout(1.5):
                await lab.dead(deaths + 1)
        except TimeoutError:  # a short job doesn't come so far
            os.kill(await lab.the_only(), signal.SIGKILL)
            await lab.dead(deaths + 1)
        died = time.monotonic()
        lab.nursery.bear("Coder")
        await lab.said(f"@QA check job-{number}")
        slowest = max(slowest, time.monotonic() - died)
        os.kill(await lab.the_only(), signal.SIGKILL)
        await lab.dead(deaths + 2)
    counted = done(lab.effects)
    assert sorted(counted) == sorted(f"{number}-{part}" for number in range(len(POINTS)) for part in "ab")
    assert slowest < LEASE + 5


async def test_a_turn_that_kills_every_worker_is_parked_and_told(lab: Lab) -> None:
    for number in range(3):
        lab.nursery.bear("Coder", "effect:1:after" if not number else "query:1:before", deaths=3)
        if not number:
            await lab.job()
        await lab.dead(number + 1)
    lab.nursery.bear("Coder", deaths=3)
    parked = await lab.said("parked")
    assert parked.to == ("Architect",)
    assert "append" in (await lab.said("nobody saw how these calls of Coder ended")).content
    await lab.job(2)
    await lab.said("@QA check job-2")
    assert done(lab.effects) == ["1-a", "2-a", "2-b"]


async def test_a_held_process_that_wakes_up_does_nothing_for_a_turn_another_took(lab: Lab) -> None:
    lab.nursery.bear("Coder", pace=0.6)
    held = await lab.the_only()
    await lab.job()
    await asyncio.sleep(0.3)
    os.kill(held, signal.SIGSTOP)
    lab.nursery.bear("Coder")
    await lab.said("@QA check job-1")
    before = [message.id for message in await lab.opened.room.events()]
    os.kill(held, signal.SIGCONT)
    await asyncio.sleep(1.5)
    assert [message.id for message in await lab.opened.room.events()] == before
    assert done(lab.effects) == ["1-a", "1-b"]
    await lab.job(2)
    await lab.said("@QA check job-2")


async def test_nothing_starts_after_a_stop_even_where_it_isn_t_heard(lab: Lab) -> None:
    lab.nursery.bear("Coder", hold="begin_effect:1:before")
    held = await lab.the_only()
    await lab.job()
    await lab.until(lambda: _is_held(held))
    await lab.opened.control.stop(Message(USER, "STOP", Kind.CONTROL, data={"action": "stop"}))
    os.kill(held, signal.SIGCONT)
    await asyncio.sleep(1.0)
    assert done(lab.effects) == []
    assert (await lab.opened.mission.read()).acts == 0
    await lab.job(2)
    await lab.said("@QA check job-2")
    assert done(lab.effects) == ["2-a", "2-b"]


async def test_an_effect_whose_leave_came_before_a_stop_doesn_t_start_after_it(lab: Lab) -> None:
    """Held between the server's answer and its reading: an answer that old is proven again."""
    lab.nursery.bear("Coder", hold="begin:1:sent")
    held = await lab.the_only()
    await lab.job()
    await lab.until(lambda: _is_held(held))
    await asyncio.sleep(0.8)
    await lab.opened.control.stop(Message(USER, "STOP", Kind.CONTROL, data={"action": "stop"}))
    os.kill(held, signal.SIGCONT)
    await asyncio.sleep(1.0)
    assert done(lab.effects) == []


@pytest.mark.parametrize("fsync", ["always", "everysec"])
async def test_a_killed_redis_loses_no_step(lab: Lab, fsync: str) -> None:
    with lab.server.client() as client:
        client.config_set("appendfsync", fsync)
    for role in ("Coder", "QA"):
        lab.nursery.bear(role, pace=0.2)
    for number in range(3):
        await lab.job(number)
        await asyncio.sleep(0.3)
        lab.server.kill()
        await asyncio.sleep(0.2)
        await asyncio.to_thread(lab.server.start)
        await lab.said(f"verified job-{number}", 30)
    assert sorted(done(lab.effects)) == sorted(f"{number}-{part}" for number in range(3) for part in "ab")


async def test_all_agents_killed_at_once_go_on_where_they_were(lab: Lab) -> None:
    for role in ("Coder", "QA"):
        lab.nursery.bear(role, pace=0.05)
    for number in range(5):
        await lab.job(number)
    for _ in range(3):
        await asyncio.sleep(0.4)
        await lab.until(lambda: len(lab.nursery.alive) == 2)
        for pid in list(lab.nursery.alive):
            os.kill(pid, signal.SIGKILL)
        await lab.until(lambda: not lab.nursery.alive)
        for role in ("Coder", "QA"):
            lab.nursery.bear(role)
    for number in range(5):
        await lab.said(f"job-{number}")
    await lab.until(lambda: len(done(lab.effects)) >= 10)
    assert sorted(done(lab.effects)) == sorted(f"{number}-{part}" for number in range(5) for part in "ab")


def _is_held(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
