"""Redis in trouble while agents are at work: slow, full, cut off; and clocks that jump."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import structlog

from agents.domain.errors import LeaseLost
from agents.domain.message import USER, Message
from agents.domain.turn import Effect, EntryKind, JournalEntry, Outcome, StopReason
from agents.room import Retention, connection, open_room
from tests.room.flaky_proxy import FlakyProxy
from tests.support.redis_server import RedisServer, program

pytestmark = pytest.mark.real

INTENT = JournalEntry(EntryKind.INTENT, 1, {}, "call", Effect.MUTATE)
REPLIED = Outcome(StopReason.REPLIED)


@pytest.fixture
def sleepy_server() -> Iterator[RedisServer]:
    """A server that can be told to sleep."""
    path = program("redis-server")
    if path is None:
        pytest.skip("redis-server isn't installed")
    server = RedisServer(path, "--enable-debug-command", "yes")
    server.start()
    yield server
    server.close()


async def test_a_server_that_sleeps_delays_and_doubles_nothing(
    sleepy_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ANSWER_TIMEOUT", 0.2)
    opened = await open_room(sleepy_server.url, "r")
    with sleepy_server.client() as client:
        sleeping = asyncio.create_task(asyncio.to_thread(client.execute_command, "DEBUG SLEEP", "1"))
        await asyncio.sleep(0.05)
        async with asyncio.timeout(20):
            await asyncio.gather(*(opened.room.post(Message(USER, str(n), to=("QA",))) for n in range(5)))
            claim = await opened.inbox("QA", "one").claim()
            assert claim
            await opened.journal.record(claim, [INTENT])
        await sleeping
    assert sorted(event.content for event in await opened.room.events()) == list("01234")
    assert (await opened.mission.read()).acts == 1
    await opened.aclose()


async def test_a_full_redis_is_said_once_and_waited_for_by_all(own_server: RedisServer) -> None:
    opened = await open_room(own_server.url, "r")
    with own_server.client() as client, structlog.testing.capture_logs() as logs:
        client.config_set("maxmemory", 1)
        posts = [asyncio.create_task(opened.room.post(Message(USER, str(n), to=("QA",)))) for n in range(6)]
        await asyncio.sleep(0.5)
        await opened.room.events()  # who reads is served, and says nothing of it
        await asyncio.sleep(0.2)
        assert not any(post.done() for post in posts)
        client.config_set("maxmemory", 0)
        async with asyncio.timeout(20):
            await asyncio.gather(*posts)
    said = [line["event"] for line in logs]
    assert said == ["redis doesn't serve, everybody waits", "redis serves again"]
    assert "raise maxmemory" in logs[0]["hint"]
    assert await opened.inbox("QA", "one").pending() == 6
    await opened.aclose()


async def test_a_worker_that_was_cut_off_can_do_nothing_for_a_turn_another_took(own_server: RedisServer) -> None:
    proxy = FlakyProxy(own_server.socket)
    async with proxy.listening(own_server.socket.with_name("proxy")) as url:
        cut, other = await open_room(url, "r", lease=0.3), await open_room(own_server.url, "r", lease=0.3)
        await other.room.post(Message(USER, "work", to=("QA",)))
        claim = await cut.inbox("QA", "one").claim()
        assert claim
        proxy.mute = True
        await asyncio.sleep(0.5)
        taken = await other.inbox("QA", "two").claim()
        assert taken
        assert taken.turn == claim.turn
        await other.journal.commit(taken, REPLIED, [Message("QA", "done")])
        proxy.mute = False
        with pytest.raises(LeaseLost):
            await cut.journal.record(claim, [INTENT])
        with pytest.raises(LeaseLost):
            await cut.journal.commit(claim, REPLIED, [Message("QA", "late")])
        assert [event.content for event in await other.room.events()] == ["work", "done"]
        await cut.aclose()
        await other.aclose()


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
async def test_the_clock_of_a_worker_s_machine_may_jump(
    own_server: RedisServer, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    opened, other = await open_room(own_server.url, "r", lease=1.0), await open_room(own_server.url, "r", lease=1.0)
    await opened.room.post(Message(USER, "before", to=("QA",)))
    claim = await opened.inbox("QA", "one").claim()
    assert claim
    true = time.time
    monkeypatch.setattr(time, "time", lambda: true() + jump)
    heard = asyncio.ensure_future(anext(opened.room.follow("0")))
    assert await other.inbox("QA", "two").claim() is None, "the lease is the server's time"
    await opened.inbox("QA", "one").renew(claim)
    await opened.journal.record(claim, [INTENT])
    await opened.journal.commit(claim, REPLIED, [Message("QA", "after", timestamp="1999-01-01T00:00:00.000+00:00")])
    events = await opened.room.events()
    assert [event.content for event in events] == ["before", "after"]
    assert events[0].seq < events[1].seq
    assert (await heard).content == "before"
    assert abs((await opened.control.read()).now - true()) < 5
    await opened.aclose()
    await other.aclose()


async def test_trimming_removes_no_unread_message_and_no_live_journal(own_server: RedisServer) -> None:
    opened = await open_room(own_server.url, "r", retention=Retention(log=100, journal=1), lease=0.2)
    await opened.room.post(Message(USER, "first", to=("QA",)))
    claim = await opened.inbox("QA", "one").claim()
    assert claim
    entries = [replace(INTENT, call=str(number)) for number in range(300)]
    for entry in entries:
        await opened.journal.record(claim, [entry], [Message("QA", "noise")])
    posts = [opened.room.post(Message(USER, str(number), to=("QA",))) for number in range(300)]
    await asyncio.gather(*posts)
    await asyncio.sleep(1.2)  # longer than a closed journal is kept
    assert len(await opened.room.events()) < 400
    again = await opened.inbox("QA", "two").claim()
    assert again
    assert list(again.entries) == entries
    assert [delivery.message.content for delivery in again.deliveries] == ["first"]
    assert await opened.inbox("QA", "two").pending() == 300
    await opened.aclose()
