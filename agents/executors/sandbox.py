"""The local sandbox: agents' commands see the workspace and the system's programs, and nothing else."""

import asyncio
import os
import platform
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from agents.domain.errors import MissingBinary, Refused, ToolError
from agents.executors import bubblewrap, cgroups
from agents.executors.bubblewrap import Bind
from agents.executors.disk_watch import DiskWatch
from agents.executors.process import Finished, Processes, Running, base_environment
from agents.executors.spawning import Bounds
from agents.executors.workspace import Workspace

PROBE_SECONDS = 10.0
_NPROC_KERNEL = (5, 14)  # since then a user namespace counts its own processes
_FIX = "install bubblewrap ≥ 0.8, or set SANDBOX=container where a container or VM is the boundary"
# what must hold inside, each a line of shell
_PROBE = """
test ! -e /run/docker.sock && test ! -e /etc/shadow || { echo the host shows; exit 1; }
! touch /usr/probe 2>/dev/null && ! touch /probe 2>/dev/null || { echo the root can be written; exit 1; }
test ! -w /proc/sys/kernel/core_pattern || { echo the kernel can be configured; exit 1; }
touch /tmp/probe || { echo /tmp cannot be written; exit 1; }
"""
Mode = Literal["auto", "bubblewrap", "container"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds one call: `memory` and `pids` the whole tree, `cpu_seconds`, `file_bytes` and `open_files` each of
    its processes, `tmp_bytes` each of its own file systems; `workspace_bytes` the workspace, over all calls."""

    memory: int = 1 << 30
    pids: int = 256
    cpu_seconds: int = 600
    file_bytes: int = 256 << 20
    open_files: int = 1024
    tmp_bytes: int = 256 << 20
    workspace_bytes: int = 1 << 30


@dataclass(frozen=True, slots=True)
class Level:
    """What really confines commands here. `name` is bubblewrap, container or none; `detail` says why, or the fix."""

    name: str
    detail: str
    bounds: str = ""

    @property
    def runs(self) -> bool:
        """Whether commands may run at all."""
        return self.name != "none"

    def line(self) -> str:
        """One line for people."""
        return ": ".join((self.name, self.detail)) + (f"; bounds by {self.bounds}" if self.bounds else "")


class Executor(Protocol):
    """Whatever runs agents' commands in a confined place. `cwd` is a workspace folder as agents name it."""

    async def run(
        self,
        argv: Sequence[str],
        *,
        cwd: str = "",
        timeout: float,
        network: bool = False,
        read_only: bool = False,
        stdin: bytes = b"",
    ) -> Finished: ...


@dataclass(frozen=True, slots=True)
class _Prepared:
    argv: list[str]
    cwd: Path
    env: Mapping[str, str]
    bounds: Bounds = field(default_factory=Bounds)


class Sandbox:
    """Runs agents' commands over the workspace.

    `mode` auto and bubblewrap: in bubblewrap or not at all. `mode` container: directly, for a container around us is
    the boundary. `variables` is all of our environment that commands see.
    """

    def __init__(
        self,
        processes: Processes,
        workspace: Workspace,
        state_dir: Path,
        *,
        mode: Mode = "auto",
        limits: Limits | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._processes = processes
        self._workspace = workspace
        self._roots = workspace.roots
        self._state = state_dir / "sandbox"
        self._mode = mode
        self.limits = limits or Limits()
        self._variables = dict(variables or {})
        self._level: Level | None = None
        self._groups: cgroups.Groups | None = None
        self._guards: set[asyncio.Task[None]] = set()
        self._probing = asyncio.Lock()
        self._disk = DiskWatch(tuple(self._roots.values()), self.limits.workspace_bytes)

    async def probe(self) -> Level:
        """What confines commands here: found by running one, once."""
        async with self._probing:
            if self._level is None:
                self._groups = cgroups.find()
                self._level = await self._probed()
            return self._level

    async def run(
        self,
        argv: Sequence[str],
        *,
        cwd: str = "",
        timeout: float,
        network: bool = False,
        read_only: bool = False,
        stdin: bytes = b"",
    ) -> Finished:
        """Run `argv` for at most `timeout` seconds. Raise Refused where nothing confines commands, QuotaExceeded
        where the workspace is full, and what `Processes.run` raises."""
        binds = bubblewrap.workspace_binds(self._roots, read_only=read_only) + self._masks()
        running = await self._start(argv, binds, cwd, network, stdin)
        async with self._watched(running):
            return await running.wait(timeout)

    async def start(
        self,
        argv: Sequence[str],
        *,
        cwd: str = "",
        binds: Sequence[Bind] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Running:
        """Start a server that listens on this machine's loopback; the caller ends it. Raise what `run` raises."""
        if binds is None:
            binds = bubblewrap.workspace_binds(self._roots, read_only=False) + self._masks()
        running = await self._start(argv, binds, cwd, True, b"", variables)
        guard = asyncio.create_task(self._disk.guard(running))
        self._guards.add(guard)
        guard.add_done_callback(self._guards.discard)
        return running

    async def _start(
        self,
        argv: Sequence[str],
        binds: Sequence[Bind],
        cwd: str,
        network: bool,
        stdin: bytes,
        variables: Mapping[str, str] | None = None,
    ) -> Running:
        level = await self.probe()
        if not level.runs:
            raise Refused(f"commands don't run on this machine: {level.detail}")
        await self._disk.admit()
        prepared = self._prepared(level, argv, binds, cwd, network, variables or {})
        return await self._processes.start(
            prepared.argv, cwd=prepared.cwd, env=prepared.env, stdin=stdin, bounds=prepared.bounds
        )

    def _masks(self) -> list[Bind]:
        return bubblewrap.masks(self._workspace.states())

    @asynccontextmanager
    async def _watched(self, running: Running) -> AsyncIterator[None]:
        watch = asyncio.create_task(self._disk.guard(running))
        try:
            yield
        finally:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch

    def _prepared(
        self,
        level: Level,
        argv: Sequence[str],
        binds: Sequence[Bind],
        cwd: str,
        network: bool,
        variables: Mapping[str, str],
    ) -> _Prepared:
        inner, host = self._folder(cwd)
        if level.name == "container":
            home = self._state / "home"
            home.mkdir(parents=True, exist_ok=True)
            env = {**base_environment(home), **self._variables, **variables}
            return _Prepared(list(argv), host, env, self._bounds(groups=False))
        env = {**base_environment(Path(bubblewrap.HOME)), "TMPDIR": "/tmp", **self._variables, **variables}  # noqa: S108
        layout = bubblewrap.Layout(binds, self._state, self.limits.tmp_bytes)
        counted = self._counted(argv) if self._groups is None else list(argv)
        return _Prepared(
            bubblewrap.arguments(layout, counted, cwd=inner, network=network),
            Path("/"),
            env,
            self._bounds(groups=True),
        )

    def _bounds(self, *, groups: bool) -> Bounds:
        limits = self.limits
        each = {
            "RLIMIT_CORE": 0,
            "RLIMIT_CPU": limits.cpu_seconds,
            "RLIMIT_FSIZE": limits.file_bytes,
            "RLIMIT_NOFILE": limits.open_files,
            # not RLIMIT_AS: runtimes reserve far more than they use
            "RLIMIT_DATA": limits.memory,
        }
        if groups and self._groups:
            with suppress(OSError):
                return Bounds(each, self._groups.make(limits.memory, limits.pids))
        return Bounds(each, memory=limits.memory, pids=limits.pids)

    def _counted(self, argv: Sequence[str]) -> list[str]:
        """`argv` with the kernel counting its processes, set inside: outside, all of the user's would count."""
        release = tuple(int(part) for part in platform.release().split(".")[:2] if part.isdigit())
        if os.getuid() == 0 or release < _NPROC_KERNEL:
            return list(argv)
        return ["/bin/bash", "-c", 'ulimit -u "$0" && exec "$@"', str(self.limits.pids), *argv]

    def _folder(self, cwd: str) -> tuple[str, Path]:
        """A workspace folder: its path inside and the host's. Raise PathEscape, ToolError if it isn't there."""
        name = self._workspace.shown(cwd)
        if not name:
            return "/app", next(iter(self._roots.values())).parent
        host = self._workspace.host_path(name)
        if not host.is_dir():
            raise ToolError(f"cwd {name!r} is no folder")
        return bubblewrap.inside(name), host

    async def _probed(self) -> Level:
        if self._mode == "container":
            return Level(
                "container",
                "commands run directly: SANDBOX=container says a container is the boundary",
                "rlimits and a watch over each tree",
            )
        try:
            bubblewrap.write_stubs(self._state)
            done = await self._try_bubblewrap()
        except MissingBinary:
            return Level("none", f"bubblewrap isn't installed; {_FIX}")
        except (OSError, ToolError) as error:
            return Level("none", f"bubblewrap can't start ({error}); {_FIX}")
        if done.timed_out or done.exit_code != 0:
            said = (done.stderr.strip() or done.stdout.strip() or "no answer").splitlines()[-1][:300]
            return Level("none", f"bubblewrap can't confine commands here ({said}); {_FIX}")
        if self._groups:
            return Level("bubblewrap", "commands are confined", f"cgroup v{self._groups.version} and rlimits")
        return Level("bubblewrap", "commands are confined", "rlimits and a watch over each tree")

    async def _try_bubblewrap(self) -> Finished:
        with tempfile.TemporaryDirectory(prefix="minilab-probe-") as folder:
            inside = Level("bubblewrap", "")
            binds = [Bind(Path(folder), "/app/infra")]
            prepared = self._prepared(inside, ["/bin/sh", "-c", _PROBE], binds, "", False, {})
            return await self._processes.run(
                prepared.argv, cwd=prepared.cwd, env=prepared.env, timeout=PROBE_SECONDS, bounds=prepared.bounds
            )
