"""What the team serves on this machine's loopback: folders and commands, each for a time, ended with the team."""

import asyncio
import errno
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import structlog

from agents.domain.errors import Refused, ToolError
from agents.domain.mission import HostedApp
from agents.domain.ports import PresenceBoard
from agents.executors import bubblewrap
from agents.executors.bubblewrap import Bind
from agents.executors.process import Processes, Running, base_environment
from agents.executors.sandbox import Sandbox
from agents.executors.workspace import Workspace

HOST = "127.0.0.1"
LOWEST_PORT = 1024
MOST_APPS = 8
READY_SECONDS = 15.0
_POLL = 0.05
_STDERR_TAIL = 1500
_SERVER = Path(__file__).with_name("static_server.py")
_SERVER_INSIDE = "/opt/static_server.py"
_LISTEN = "0A"
_LOOPBACK = ("0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F")

log = structlog.get_logger()
Notice = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class App:
    """Something to serve: exactly one of a workspace `folder` and a shell `command`, for `seconds`."""

    name: str
    port: int
    role: str
    seconds: float
    folder: str | None = None
    command: str | None = None

    @property
    def what(self) -> str:
        """What it serves, in a few words."""
        return f"folder {self.folder}" if self.folder is not None else f"command {(self.command or '')[:120]}"

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self.port}/"


@dataclass(eq=False, slots=True)
class _Served:
    app: App
    running: Running
    expires: float
    watch: asyncio.Task[None] | None = None


class Hosting:
    """Serves apps. `notice` hears of every app that ended by itself or whose time is over."""

    def __init__(
        self,
        sandbox: Sandbox,
        processes: Processes,
        workspace: Workspace,
        presence: PresenceBoard,
        *,
        notice: Notice | None = None,
        ready_seconds: float = READY_SECONDS,
    ) -> None:
        self._sandbox = sandbox
        self._processes = processes
        self._workspace = workspace
        self._presence = presence
        self._notice = notice
        self._ready_seconds = ready_seconds
        self._served: dict[str, _Served] = {}
        self._turn = asyncio.Lock()

    async def host(self, app: App) -> HostedApp:
        """Serve it; return once its port answers. One of the same name is ended first.

        Raise Refused for a port that can't be had, ToolError with the last of its stderr if it doesn't answer.
        """
        async with self._turn:
            if app.name in self._served:
                await self._end(self._served[app.name])
            self._admit(app)
            running = await self._start(app)
            try:
                await self._ready(app, running)
            except BaseException:
                await running.end()
                raise
            served = _Served(app, running, time.time() + app.seconds)
            self._served[app.name] = served
            hosted = HostedApp(app.name, app.port, app.what, app.role, served.expires, owner(os.getpid()))
            try:
                await self._presence.host(hosted)
            except BaseException:
                await self._end(served, listed=False)
                raise
            served.watch = asyncio.create_task(self._watch(served), name=f"hosting {app.name}")
            return hosted

    async def sweep(self) -> int:
        """Take off the room's list what workers that died on this machine served; return how many apps that were."""
        dead = [app for app in await self._presence.hosted() if _is_dead(app.owner)]
        for app in dead:
            await self._presence.unhost(app.name)
        return len(dead)

    async def stop(self, name: str) -> App:
        """End it. Raise ToolError naming what is served if there is no such app."""
        async with self._turn:
            if name not in self._served:
                names = ", ".join(sorted(self._served)) or "nothing"
                raise ToolError(f"no app is called {name!r}; served here: {names}")
            served = self._served[name]
            await self._end(served)
            return served.app

    async def stop_all(self, role: str | None = None) -> int:
        """End everything, or what the role serves; return how many apps that were."""
        async with self._turn:
            served = [one for one in self._served.values() if role in (None, one.app.role)]
            await asyncio.gather(*(self._end(one) for one in served))
            return len(served)

    def _admit(self, app: App) -> None:
        if app.port < LOWEST_PORT:
            raise Refused(f"port {app.port} is reserved: choose one from {LOWEST_PORT} to 65535")
        if len(self._served) >= MOST_APPS:
            raise Refused(f"{MOST_APPS} apps are served already ({', '.join(self._served)}): stop_app one first")
        for other in self._served.values():
            if other.app.port == app.port:
                raise Refused(
                    f"port {app.port} is held by app {other.app.name!r} of {other.app.role}: "
                    "stop_app it, or choose another port"
                )
        if fault := _busy(app.port):
            raise Refused(f"port {app.port} can't be used: {fault}; choose another port")

    async def _start(self, app: App) -> Running:
        if app.command is not None:
            variables = {"PORT": str(app.port), "HOST": HOST}
            return await self._sandbox.start(["bash", "-c", app.command], variables=variables)
        name = self._workspace.shown(app.folder or "")
        if not self._workspace.host_path(name).is_dir():
            raise ToolError(f"{name} is no folder: name the folder that holds the page")
        root, _, below = name.partition("/")
        path = self._workspace.roots[root]
        if (await self._sandbox.probe()).name == "bubblewrap":
            inside = bubblewrap.inside(root)
            binds = [Bind(path, inside), Bind(_SERVER, _SERVER_INSIDE)]
            return await self._sandbox.start(_server(_SERVER_INSIDE, inside, below, app.port), binds=binds)
        # our own program reads that folder and nothing else: it may run where commands may not
        return await self._processes.start(
            _server(str(_SERVER), str(path), below, app.port), cwd=path, env=base_environment(Path("/nonexistent"))
        )

    async def _ready(self, app: App, running: Running) -> None:
        """Return once the port answers."""
        deadline = time.monotonic() + self._ready_seconds
        while not await _answers(app.port):
            if running.call.ended:
                raise ToolError(f"{app.name} ended before its port answered: {await _last_words(running)}")
            if time.monotonic() > deadline:
                await running.end()
                raise ToolError(
                    f"{app.name} doesn't answer on {HOST}:{app.port} after {self._ready_seconds:g} s: it must listen "
                    f"on $HOST:$PORT and stay in the foreground; {await _last_words(running)}"
                )
            await asyncio.sleep(_POLL)
        if await asyncio.to_thread(_is_open_to_others, app.port):
            raise Refused(f"{app.name} listens on more than this machine's loopback: bind it to {HOST} ($HOST)")

    async def _watch(self, served: _Served) -> None:
        """Wait for its end or the end of its time."""
        app = served.app
        done = await served.running.wait(served.expires - time.time())
        async with self._turn:
            if self._served.get(app.name) is not served:
                return
            del self._served[app.name]
            with suppress(Exception):  # the room may be away: the app is gone all the same
                await self._presence.unhost(app.name)
        why = "its time is over" if done.timed_out else f"it ended by itself: {_said(done.exit_code, done.stderr)}"
        log.info("hosted app ended", app=app.name, port=app.port, why=why)
        if self._notice:
            await self._notice(f"{app.name} is no longer served on {HOST}:{app.port}: {why}")

    async def _end(self, served: _Served, *, listed: bool = True) -> None:
        self._served.pop(served.app.name, None)
        if served.watch:
            served.watch.cancel()
            with suppress(asyncio.CancelledError):
                await served.watch
        await served.running.end()
        if listed:
            await self._presence.unhost(served.app.name)


def owner(pid: int) -> str:
    """How a process of this machine is named as an app's owner."""
    return f"{socket.gethostname()}:{pid}"


def _is_dead(name: str) -> bool:
    """Whether the owner of that name was a process of this machine, and is gone."""
    host, _, pid = name.rpartition(":")
    return host == socket.gethostname() and pid.isdigit() and not psutil.pid_exists(int(pid))


def _server(program: str, root: str, below: str, port: int) -> list[str]:
    return [sys.executable, "-I", "-S", "-B", program, root, below, str(port)]


def _busy(port: int) -> str | None:
    """Why the port can't be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError as error:
            return "another program listens there" if error.errno == errno.EADDRINUSE else str(error.strerror)
    return None


async def _answers(port: int) -> bool:
    try:
        async with asyncio.timeout(1):
            _, writer = await asyncio.open_connection(HOST, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _is_open_to_others(port: int, tables: Mapping[str, Path] | None = None) -> bool:
    """Whether anything listens on the port at an address other than loopback."""
    for table in (tables or {"4": Path("/proc/net/tcp"), "6": Path("/proc/net/tcp6")}).values():
        with suppress(OSError):
            for line in table.read_text().splitlines()[1:]:
                _, local, _, state, *_ = line.split()
                address, _, number = local.partition(":")
                if state == _LISTEN and int(number, 16) == port and address not in _LOOPBACK:
                    return True
    return False


async def _last_words(running: Running) -> str:
    done = await running.wait(1)
    return _said(done.exit_code, done.stderr)


def _said(exit_code: int | None, stderr: str) -> str:
    code = "killed" if exit_code is None else f"exit code {exit_code}"
    return f"{code}, stderr: {stderr.strip()[-_STDERR_TAIL:] or '(nothing)'}"
