"""The exporter over HTTP: on a room in memory, and as a process on a real Redis as the Observer's user."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from agents import exporter
from agents.domain.budget import Budget
from agents.domain.errors import RoomUnavailable
from agents.domain.message import USER, Message
from agents.domain.mission import Presence
from agents.domain.ports import OpenRoom
from agents.domain.role import ROLES
from agents.exporter import Watcher, serve
from agents.room import acl, open_room
from agents.room.in_memory import InMemoryRoom
from agents.settings import Settings
from tests.conftest import REPOSITORY
from tests.support.redis_server import RedisServer, program

PASSWORDS = {name: f"secret-of-{name}" for name in (*ROLES, USER)}


@contextlib.asynccontextmanager
async def served(watcher: Watcher) -> AsyncIterator[str]:
    """The address of the metrics."""
    with contextlib.closing(await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)) as free:
        port = free.sockets[0].getsockname()[1]
    stop = asyncio.Event()
    serving = asyncio.create_task(serve("room", watcher, "127.0.0.1", port, stop))
    await asyncio.sleep(0)
    yield f"http://127.0.0.1:{port}/metrics"
    stop.set()
    await serving


async def scraped(url: str) -> str:
    """One scrape."""
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(url)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return answer.text


async def test_a_scrape_tells_the_room_as_it_is_now() -> None:
    room = InMemoryRoom()

    async def opening() -> OpenRoom:
        return room

    async with served(Watcher(opening, Budget(usd=2.5))) as url:
        assert 'minilab_inbox_pending{role="Coder",room="room"} 0.0' in await scraped(url)
        await room.room.post(Message(USER, "write it", to=("Coder",)))
        await room.presence.beat(Presence("Coder", "one", "pod", "idle"))
        text = await scraped(url)
        assert 'minilab_inbox_pending{role="Coder",room="room"} 1.0' in text
        assert 'minilab_agents_present{role="Coder",room="room"} 1.0' in text
        assert 'minilab_budget_dollars{room="room"} 2.5' in text
        await room.inbox("Coder", "one").claim()
        await room.presence.beat(Presence("Coder", "one", "pod", "thinking", 1))
        text = await scraped(url)
        assert 'minilab_inbox_waiting{role="Coder",room="room"} 0.0' in text
        assert 'minilab_inbox_pending{role="Coder",room="room"} 1.0' in text


async def test_a_room_that_comes_and_goes_costs_figures_and_no_scrape() -> None:
    room, away = InMemoryRoom(), True

    async def opening() -> OpenRoom:
        if away:
            raise RoomUnavailable("not now")
        return room

    async with served(Watcher(opening, Budget())) as url:
        assert 'minilab_up{room="room"} 0.0' in await scraped(url)
        assert "minilab_inbox_pending" not in await scraped(url)
        away = False
        assert 'minilab_up{room="room"} 1.0' in await scraped(url)


async def test_a_room_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "READ_WITHIN", 0.05)

    async def opening() -> OpenRoom:
        await asyncio.sleep(60)
        raise AssertionError

    async with served(Watcher(opening, Budget())) as url:
        assert 'minilab_up{room="room"} 0.0' in await scraped(url)


def test_without_a_redis_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(exporter, "load", lambda: Settings(redis_url=None, _env_file=None))
    assert exporter.main([]) == 2
    assert "REDIS_URL" in capsys.readouterr().err


@pytest.fixture
def users(tmp_path: Path) -> Iterator[RedisServer]:
    """A redis-server with the room's users."""
    path = program("redis-server")
    if path is None:
        pytest.skip("redis-server isn't installed")
    rules = acl.users("lab", PASSWORDS).replace("user default reset off", "user default reset on nopass ~* &* +@all")
    (tmp_path / "users.acl").write_text(rules)
    server = RedisServer(path, "--aclfile", str(tmp_path / "users.acl"))
    server.start()
    yield server
    server.close()


@pytest.mark.real
async def test_the_observers_redis_user_is_enough(users: RedisServer) -> None:
    opened = await open_room(f"unix://User:{PASSWORDS[USER]}@{users.socket}", "lab", patience=5)
    await opened.room.post(Message(USER, "write it", to=("Coder",)))
    await opened.room.post(Message(USER, "and this", to=("Coder",)))
    await opened.aclose()
    environment = {
        **os.environ,
        "REDIS_URL": f"unix://Observer:{PASSWORDS['Observer']}@{users.socket}",
        "ROOM": "lab",
    }
    argv = [sys.executable, "-m", "agents.exporter", "--port", "0"]
    process = await asyncio.create_subprocess_exec(*argv, cwd=REPOSITORY, env=environment, stderr=PIPE, stdout=PIPE)
    assert process.stderr
    try:
        said = (await asyncio.wait_for(process.stderr.readline(), 30)).decode()
        [port] = re.findall(r"port=(\d+)", said)
        text = await scraped(f"http://127.0.0.1:{port}/metrics")
    finally:
        process.send_signal(signal.SIGTERM)
        rest, errors = await process.communicate()
    assert 'minilab_inbox_pending{role="Coder",room="lab"} 2.0' in text
    assert 'minilab_inbox_pending{role="QA",room="lab"} 0.0' in text
    assert 'minilab_room_state{room="lab",state="running"} 1.0' in text
    assert (process.returncode, rest, errors) == (0, b"", b"")
