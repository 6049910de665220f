"""Hosting: what is served answers, is listed, and ends."""

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from agents.domain.errors import PathEscape, Refused, ToolError
from agents.domain.mission import HostedApp
from agents.executors import hosting
from agents.executors.hosting import App, Hosting, owner
from agents.executors.process import Processes
from agents.executors.sandbox import Mode, Sandbox
from agents.executors.workspace import Workspace
from agents.room.in_memory import InMemoryRoom

SERVER = "exec python3 -m http.server --bind $HOST $PORT"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class World:
    """A hosting over a real workspace and the room in memory."""

    def __init__(self, home: Path, mode: Mode) -> None:
        self.workspace = Workspace({name: home / name for name in ("infra", "config", "docs", "tmp")})
        self.site = home / "config" / "site"
        self.site.mkdir(parents=True)
        (self.site / "index.html").write_text("the page")
        self.room = InMemoryRoom("room")
        self.processes = Processes()
        self.notices: list[str] = []
        self.noticed = asyncio.Event()
        sandbox = Sandbox(self.processes, self.workspace, home / ".state", mode=mode)
        self.hosting = Hosting(
            sandbox, self.processes, self.workspace, self.room.presence, notice=self._notice, ready_seconds=20
        )

    async def _notice(self, text: str) -> None:
        self.notices.append(text)
        self.noticed.set()

    async def names(self) -> list[str]:
        return [app.name for app in await self.room.presence.hosted()]

    def app(self, name: str = "page", *, command: str | None = None, seconds: float = 600, port: int = 0) -> App:
        folder = "config/site" if command is None else None
        return App(name, port or free_port(), "DevOps", seconds, folder, command)


async def fetch(url: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(url)


@pytest.fixture(params=["bubblewrap", "container"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    if request.param == "bubblewrap" and shutil.which("bwrap") is None:
        pytest.skip("bubblewrap isn't installed")
    made = World(tmp_path, request.param)
    yield made
    await made.hosting.stop_all()


@pytest.fixture
async def plain(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path, "container")
    yield made
    await made.hosting.stop_all()


@pytest.mark.real
async def test_a_folder_answers_is_listed_and_ends(world: World) -> None:
    app = world.app()
    hosted = await world.hosting.host(app)
    assert (await fetch(app.url)).text == "the page"
    assert (hosted.name, hosted.what, hosted.role) == ("page", "folder config/site", "DevOps")
    assert await world.names() == ["page"]
    assert await world.hosting.stop("page") == app
    with pytest.raises(httpx.ConnectError):
        await fetch(app.url)
    assert await world.names() == []
    assert world.notices == []


@pytest.mark.real
async def test_a_command_answers_and_sees_the_workspace(world: World) -> None:
    app = world.app(command="cd config/site; " + SERVER)
    hosted = await world.hosting.host(app)
    assert hosted.what.startswith("command cd config/site")
    assert (await fetch(app.url)).status_code == 200
    assert await world.hosting.stop_all() == 1
    with pytest.raises(httpx.ConnectError):
        await fetch(app.url)


@pytest.mark.real
async def test_a_planted_link_serves_nothing_of_the_host(world: World) -> None:
    app = world.app()
    (world.site / "link").symlink_to("/etc/passwd")
    await world.hosting.host(app)
    assert (await fetch(app.url + "link")).status_code == 404
    assert (await fetch(app.url + "index.html")).status_code == 200


async def test_its_time_over_it_ends_and_says_so(plain: World) -> None:
    app = plain.app(seconds=0.7)
    await plain.hosting.host(app)
    async with asyncio.timeout(20):
        await plain.noticed.wait()
    assert plain.notices == [f"page is no longer served on 127.0.0.1:{app.port}: its time is over"]
    assert await plain.names() == []
    assert await plain.hosting.stop_all() == 0


async def test_a_crash_is_noticed_with_its_last_words(plain: World) -> None:
    app = plain.app(command="timeout 1 python3 -m http.server --bind $HOST $PORT; echo it broke >&2; exit 7")
    await plain.hosting.host(app)
    async with asyncio.timeout(20):
        await plain.noticed.wait()
    assert "it ended by itself: exit code 7" in plain.notices[0]
    assert "it broke" in plain.notices[0]
    assert await plain.names() == []


async def test_without_a_listener_an_end_is_only_logged(plain: World) -> None:
    plain.hosting._notice = None
    await plain.hosting.host(plain.app(seconds=0.5))
    async with asyncio.timeout(20):
        while await plain.names():
            await asyncio.sleep(0.02)


async def test_the_same_name_again_replaces_it(plain: World) -> None:
    first, second = plain.app(), plain.app()
    await plain.hosting.host(first)
    await plain.hosting.host(second)
    assert (await fetch(second.url)).text == "the page"
    with pytest.raises(httpx.ConnectError):
        await fetch(first.url)
    assert await plain.names() == ["page"]


async def test_a_port_of_ours_is_refused_naming_its_holder(plain: World) -> None:
    app = plain.app()
    await plain.hosting.host(app)
    with pytest.raises(Refused, match="held by app 'page' of DevOps: stop_app it"):
        await plain.hosting.host(plain.app("other", port=app.port))


async def test_a_port_of_others_is_refused(plain: World) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(Refused, match="another program listens there"):
            await plain.hosting.host(plain.app(port=port))
    # free again, it can be had
    await plain.hosting.host(plain.app(port=port))


async def test_a_port_of_the_system_is_refused(plain: World) -> None:
    with pytest.raises(Refused, match="choose one from 1024"):
        await plain.hosting.host(plain.app(port=80))


async def test_not_too_many(plain: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosting, "MOST_APPS", 1)
    await plain.hosting.host(plain.app("one"))
    with pytest.raises(Refused, match=r"1 apps are served already \(one\)"):
        await plain.hosting.host(plain.app("two"))


async def test_a_command_that_dies_at_once_is_told_with_its_stderr(plain: World) -> None:
    with pytest.raises(ToolError, match=r"ended before its port answered: exit code 3, stderr: no such thing"):
        await plain.hosting.host(plain.app(command="echo no such thing >&2; exit 3"))
    assert await plain.names() == []


async def test_a_command_that_never_answers_is_ended(plain: World) -> None:
    plain.hosting._ready_seconds = 0.4
    with pytest.raises(ToolError, match=r"doesn't answer on 127.0.0.1:\d+ after 0.4 s.*deaf"):
        await plain.hosting.host(plain.app(command="echo deaf >&2; sleep 60"))
    assert await plain.processes.stop_all() == 0


async def test_a_command_open_to_others_is_ended(plain: World) -> None:
    with pytest.raises(Refused, match="listens on more than this machine's loopback"):
        await plain.hosting.host(plain.app(command="exec python3 -m http.server --bind 0.0.0.0 $PORT"))
    assert await plain.processes.stop_all() == 0
    await plain.hosting.host(plain.app(command=SERVER))


async def test_cancelled_while_starting_nothing_is_left(plain: World) -> None:
    task = asyncio.create_task(plain.hosting.host(plain.app(command="sleep 60")))
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await plain.processes.stop_all() == 0


async def test_where_it_cannot_be_listed_it_is_not_served(plain: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(app: object) -> None:
        raise ConnectionError("no room")

    monkeypatch.setattr(plain.hosting, "_presence", type("Broken", (), {"host": staticmethod(broken)})())
    with pytest.raises(ConnectionError):
        await plain.hosting.host(plain.app())
    assert await plain.processes.stop_all() == 0


async def test_an_unknown_app_is_named_with_the_known(plain: World) -> None:
    with pytest.raises(ToolError, match=r"'other'; served here: nothing"):
        await plain.hosting.stop("other")
    await plain.hosting.host(plain.app())
    with pytest.raises(ToolError, match=r"'other'; served here: page"):
        await plain.hosting.stop("other")


@pytest.mark.parametrize(
    ("folder", "fault"), [("config/nothing", ToolError), ("/etc", PathEscape), ("config/site/index.html", ToolError)]
)
async def test_only_a_folder_of_the_workspace(plain: World, folder: str, fault: type[ToolError]) -> None:
    with pytest.raises(fault):
        await plain.hosting.host(App("page", free_port(), "DevOps", 60, folder))


def test_listening_addresses(tmp_path: Path) -> None:
    head = "  sl  local_address rem_address   st\n"
    rows = {
        "loopback": "0: 0100007F:1F99 00000000:0000 0A 0",
        "everywhere": "0: 00000000:1F99 00000000:0000 0A 0",
        "connected": "0: 0A0000C0:1F99 0B0000C0:0016 01 0",
        "everywhere6": "0: 00000000000000000000000000000000:1F99 00000000000000000000000000000000:0000 0A 0",
        "other port": "0: 00000000:1F98 00000000:0000 0A 0",
    }
    open_to_others = {}
    for name, row in rows.items():
        table = tmp_path / name
        table.write_text(head + row + "\n")
        open_to_others[name] = hosting._is_open_to_others(0x1F99, {"4": tmp_path / "missing", "6": table})
    assert {name for name, is_open in open_to_others.items() if is_open} == {"everywhere", "everywhere6"}


async def test_what_a_dead_worker_served_is_taken_off_the_list(plain: World) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    owners = {"dead": owner(gone.pid), "alive": owner(os.getpid()), "elsewhere": f"other:{gone.pid}", "unknown": ""}
    for name, of in owners.items():
        await plain.room.presence.host(HostedApp(name, 8089, "folder", "DevOps", 4e9, of))
    assert await plain.hosting.sweep() == 1
    assert await plain.names() == ["alive", "elsewhere", "unknown"]


async def test_an_app_names_the_process_it_ends_with(plain: World) -> None:
    hosted = await plain.hosting.host(plain.app())
    assert hosted.owner == owner(os.getpid())
    assert await plain.hosting.sweep() == 0
