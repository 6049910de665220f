"""The local sandbox: agents' commands see the workspace and the system's programs, and nothing else."""

import asyncio
import os
import platform
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol

from agents.domain.errors import MissingBinary, Refused, ToolError
from agents.executors import bubblewrap, cgroups, container, landlock_rules
from agents.executors.bubblewrap import Bind
from agents.executors.disk_watch import DiskWatch
from agents.executors.levels import Level, Limits
from agents.executors.prepared import Prepared, Started
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


class Sandbox:
    """Runs agents' commands over the workspace.

    `mode` auto and bubblewrap: in bubblewrap or not at all. `mode` container: directly, for a container around us is
    the boundary, and under Landlock where there is any: what we hold in that container is not for commands.
    `variables` is all of our environment that commands see.
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
        self._abi = 0  # of Landlock, where commands run under it
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
        started = await self._start(argv, binds, cwd, network, stdin)
        return await started.wait(timeout)

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
        started = await self._start(argv, binds, cwd, True, b"", variables)
        guard = asyncio.create_task(started.attend())
        self._guards.add(guard)
        guard.add_done_callback(self._guards.discard)
        return started.running

    async def _start(
        self,
        argv: Sequence[str],
        binds: Sequence[Bind],
        cwd: str,
        network: bool,
        stdin: bytes,
        variables: Mapping[str, str] | None = None,
    ) -> Started:
        level = await self.probe()
        if not level.runs:
            raise Refused(f"commands don't run on this machine: {level.detail}")
        await self._disk.admit()
        prepared = self._prepared(level, argv, binds, cwd, network, variables or {})
        disks = [self._disk]
        if prepared.private and prepared.bounds.landlock:
            disks.append(DiskWatch([prepared.private], self.limits.tmp_bytes))
        return await prepared.start(self._processes, disks, stdin)

    def _masks(self) -> list[Bind]:
        return bubblewrap.masks(self._workspace.states())

    def _prepared(
        self,
        level: Level,
        argv: Sequence[str],
        binds: Sequence[Bind],
        cwd: str,
        network: bool,
        variables: Mapping[str, str],
    ) -> Prepared:
        inner, host = self._folder(cwd)
        if level.name == "container":
            return self._direct(argv, binds, host, network, variables)
        env = {**base_environment(Path(bubblewrap.HOME)), "TMPDIR": "/tmp", **self._variables, **variables}  # noqa: S108
        layout = bubblewrap.Layout(binds, self._state, self.limits.tmp_bytes)
        counted = self._counted(argv) if self._groups is None else list(argv)
        return Prepared(
            bubblewrap.arguments(layout, counted, cwd=inner, network=network),
            Path("/"),
            env,
            self._bounds(groups=True),
        )

    def _direct(
        self, argv: Sequence[str], binds: Sequence[Bind], cwd: Path, network: bool, variables: Mapping[str, str]
    ) -> Prepared:
        private = container.private_folder()
        own = landlock_rules.variables(private, self._roots)
        env = {**base_environment(private / "home"), **own, **self._variables, **variables}
        bounds = self._bounds(groups=False)
        if self._abi:
            top = self._top()
            listed = None if self._state.resolve().is_relative_to(top) else top  # names only, but not of what is ours
            reach = landlock_rules.Reach(binds, private, network, listed)
            bounds = replace(bounds, landlock=landlock_rules.ruleset(self._abi, reach))
        return Prepared(list(argv), cwd, env, bounds, private)

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
            return "/app", self._top()
        host = self._workspace.host_path(name)
        if not host.is_dir():
            raise ToolError(f"cwd {name!r} is no folder")
        return bubblewrap.inside(name), host

    def _top(self) -> Path:
        """Where commands start that name no folder."""
        return next(iter(self._roots.values())).parent

    async def _probed(self) -> Level:
        if self._mode == "container":
            return await self._probed_directly()
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
        return Level("bubblewrap", "commands are confined", container.BOUNDS)

    async def _probed_directly(self) -> Level:
        offer = container.offer()
        self._abi = offer.abi
        if not offer.abi:
            return container.bare(offer.why)
        try:
            with container.bait(offer.abi) as bait:
                binds = [Bind(bait.workspace, "/app/infra", True)]
                return container.judged(await self._try(Level("container", ""), bait.argv, binds), offer.abi)
        except (OSError, ToolError) as error:
            return container.refused(str(error))

    async def _try_bubblewrap(self) -> Finished:
        with tempfile.TemporaryDirectory(prefix="minilab-probe-") as folder:
            binds = [Bind(Path(folder), "/app/infra")]
            return await self._try(Level("bubblewrap", ""), ["/bin/sh", "-c", _PROBE], binds)

    async def _try(self, level: Level, argv: Sequence[str], binds: Sequence[Bind]) -> Finished:
        started = await self._prepared(level, argv, binds, "", False, {}).start(self._processes)
        return await started.wait(PROBE_SECONDS)
