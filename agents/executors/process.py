"""Starting programs: exactly the environment given, bounded output, and an end that takes the whole tree along."""

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agents.domain.errors import MissingBinary, ToolError
from agents.executors import cgroups
from agents.executors.capture import Capture
from agents.executors.spawning import Bounds, Call, Spawner

UNWILLING = 5.0  # seconds to wait for a tree that was killed: the kernel may hold a process that waits for a disk

_INSTALL = {
    "ansible-playbook": "it comes with the product: run ./minilab doctor",
    "bwrap": "apt install bubblewrap",
    "docker": "install Docker Engine (docs.docker.com/engine/install)",
    "git": "apt install git",
    "kubectl": "install kubectl (kubernetes.io/docs/tasks/tools)",
    "node": "apt install nodejs",
    "ssh": "apt install openssh-client",
    "terraform": "install Terraform 1.x (developer.hashicorp.com/terraform/install)",
}


@dataclass(frozen=True, slots=True)
class Finished:
    """A program that ended. `exit_code` None: killed by us; negative: died of that signal.

    `over` names the bound ("memory", "pids") its tree ran into.
    """

    argv: tuple[str, ...]
    exit_code: int | None
    stdout: str
    stderr: str
    seconds: float
    timed_out: bool
    truncated: bool
    over: str | None = None


@dataclass(eq=False, slots=True)
class Running:
    """A program under way."""

    argv: tuple[str, ...]
    call: Call
    out: Capture
    err: Capture
    groups: tuple[str, ...] = ()
    started: float = field(default_factory=time.monotonic)
    ended_by_us: bool = False
    unwilling: bool = False  # nobody saw its end in time

    async def wait(self, timeout: float | None = None) -> Finished:
        """Its end, for which it has `timeout` seconds. If they run out, or we are cancelled, its tree is ended."""
        timed_out = False
        try:
            async with asyncio.timeout(timeout):
                await self.call.finished()
        except TimeoutError:
            timed_out = True
            await self.end()
        except asyncio.CancelledError:
            await self.end()
            raise
        finally:
            cgroups.remove(self.groups)
        return Finished(
            self.argv,
            None if timed_out or self.ended_by_us else self.call.exit_code,
            self.out.text(),
            self.err.text(),
            time.monotonic() - self.started,
            timed_out,
            self.out.truncated or self.err.truncated,
            self.call.over,
        )

    async def end(self) -> None:
        """End the whole tree: TERM, a tenth of a second, KILL. Cancelled meanwhile: KILL at once."""
        if self.call.ended:
            return
        self.ended_by_us = True
        self.call.request_end()
        try:
            async with asyncio.timeout(UNWILLING):
                await self.call.finished()
        except TimeoutError:
            self.unwilling = True
        finally:
            self.call.close()


class Processes:
    """Runs programs. `output_cap` bytes are kept of each stream, head and tail."""

    def __init__(self, *, output_cap: int = 1 << 20) -> None:
        self._cap = output_cap
        self._spawner = Spawner()
        self._running: set[Running] = set()
        self.unwilling: tuple[str, ...] = ()  # programs whose end the last `stop_all` didn't see

    async def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        timeout: float,
        stdin: bytes = b"",
        bounds: Bounds | None = None,
    ) -> Finished:
        """Run `argv` in `cwd` with exactly `env`, for at most `timeout` seconds.

        Its whole tree ends with it: on timeout or cancellation by force (cancellation is raised again after that),
        and what it left in the background too. Raise MissingBinary naming the program and how to get it, ToolError
        if it can't start.
        """
        running = await self.start(argv, cwd=cwd, env=env, stdin=stdin, bounds=bounds)
        try:
            return await running.wait(timeout)
        finally:
            self._running.discard(running)

    async def start(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdin: bytes = b"",
        bounds: Bounds | None = None,
    ) -> Running:
        """Start `argv`; the caller waits for its end or ends it. Raise what `run` raises."""
        bounds = bounds or Bounds()
        out, err = Capture(self._cap), Capture(self._cap)
        try:
            program = located(argv[0], env, cwd)
            call = await self._spawner.call(program, argv, cwd, env, stdin, (out, err), bounds)
        except BaseException:
            cgroups.remove(bounds.groups)
            raise
        running = Running(tuple(argv), call, out, err, bounds.groups)
        self._running = {one for one in self._running if not one.call.ended} | {running}
        return running

    async def stop_all(self) -> int:
        """End everything that runs; return how many programs that were."""
        running = [one for one in self._running if not one.call.ended]
        ends: list[Awaitable[None]] = [one.end() for one in running]
        await asyncio.gather(*ends)
        self.unwilling = tuple(one.argv[0] for one in running if one.unwilling)
        return len(running)


def located(program: str, env: Mapping[str, str], cwd: Path) -> str:
    """The program's file. Raise MissingBinary naming it and how to get it."""
    found = str(cwd / program) if "/" in program else shutil.which(program, path=env.get("PATH", os.defpath))
    if not found or not os.access(found, os.X_OK):
        hint = _INSTALL.get(Path(program).name, "install it, or name another program")
        raise MissingBinary(f"the program {program!r} isn't installed here: {hint}")
    if not cwd.is_dir():
        raise ToolError(f"{program} can't be started: there is no folder {cwd}")
    return found


def base_environment(home: Path) -> dict[str, str]:
    """A program's environment: where programs lie, a home, a locale, a dumb terminal, and nothing else."""
    system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {
        "PATH": f"{Path(sys.executable).parent}:{system}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "NO_COLOR": "1",
    }
