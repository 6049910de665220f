"""Starting programs: exactly the environment given, bounded output, and an end that takes the whole tree along."""

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from agents.domain.errors import MissingBinary, ToolError
from agents.executors.capture import Capture, drain

GRACE = 0.1  # seconds between TERM and KILL

_INSTALL = {
    "ansible-playbook": "it comes with the product: run ./minilab doctor",
    "bwrap": "apt install bubblewrap",
    "docker": "install Docker Engine (docs.docker.com/engine/install)",
    "git": "apt install git",
    "kubectl": "install kubectl (kubernetes.io/docs/tasks/tools)",
    "node": "apt install nodejs (22.6 or later runs TypeScript)",
    "ssh": "apt install openssh-client",
    "terraform": "install Terraform 1.x (developer.hashicorp.com/terraform/install)",
}


@dataclass(frozen=True, slots=True)
class Finished:
    """A program that ended. `exit_code` None: killed by us; negative: died of that signal."""

    argv: tuple[str, ...]
    exit_code: int | None
    stdout: str
    stderr: str
    seconds: float
    timed_out: bool
    truncated: bool


class Processes:
    """Runs programs. `output_cap` bytes are kept of each stream, head and tail."""

    def __init__(self, *, output_cap: int = 1 << 20) -> None:
        self._cap = output_cap
        self._running: dict[int, asyncio.subprocess.Process] = {}

    async def run(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float, stdin: bytes = b""
    ) -> Finished:
        """Run `argv` in `cwd` with exactly `env`, for at most `timeout` seconds.

        On timeout or cancellation the whole tree is ended, cancellation raised again after that.
        Raise MissingBinary naming the program and how to get it, ToolError if it can't start.
        """
        started = time.monotonic()
        process = await self._start(argv, cwd, env)
        self._running[process.pid] = process
        out, err = Capture(self._cap), Capture(self._cap)
        timed_out = False
        try:
            async with asyncio.timeout(timeout):
                await _converse(process, stdin, out, err)
                await process.wait()
        except TimeoutError:
            timed_out = True
        finally:
            await _end(process)
            del self._running[process.pid]
        return Finished(
            tuple(argv),
            None if timed_out else process.returncode,
            out.text(),
            err.text(),
            time.monotonic() - started,
            timed_out,
            out.truncated or err.truncated,
        )

    async def stop_all(self) -> int:
        """End everything that runs; return how many programs that were."""
        running = list(self._running.values())
        await asyncio.gather(*(_end(process) for process in running))
        return len(running)

    async def _start(self, argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> asyncio.subprocess.Process:
        program = located(argv[0], env, cwd)
        try:
            return await asyncio.create_subprocess_exec(
                program,
                *argv[1:],
                cwd=cwd,
                env=dict(env),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise ToolError(f"{argv[0]} can't be started in {cwd}: {error.strerror}") from None


def located(program: str, env: Mapping[str, str], cwd: Path) -> str:
    """The program's file. Raise MissingBinary naming it and how to get it."""
    found = str(cwd / program) if "/" in program else shutil.which(program, path=env.get("PATH", os.defpath))
    if not found or not os.access(found, os.X_OK):
        hint = _INSTALL.get(Path(program).name, "install it, or name another program")
        raise MissingBinary(f"the program {program!r} isn't installed here: {hint}")
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


async def _converse(process: asyncio.subprocess.Process, stdin: bytes, out: Capture, err: Capture) -> None:
    if process.stdout and process.stderr and process.stdin:
        await asyncio.gather(drain(process.stdout, out), drain(process.stderr, err), _feed(process.stdin, stdin))


async def _feed(stdin: asyncio.StreamWriter, data: bytes) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):
        stdin.write(data)
        await stdin.drain()
    stdin.close()


async def _end(process: asyncio.subprocess.Process) -> None:
    tree = _tree(process.pid)
    for sig in (signal.SIGTERM, signal.SIGKILL):
        for one in tree:
            with suppress(psutil.NoSuchProcess):
                one.send_signal(sig)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sig)
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await process.wait()


def _tree(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        top = psutil.Process(pid)
        return [*top.children(recursive=True), top]
    return []
