"""A program of the session, under its warden: it can't outlive the session, and takes all it started along."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Mapping, Sequence
from pathlib import Path

from client.text import clean
from client.warden import GRACE_SECONDS

_LOG_BYTES = 5 << 20


class Child:
    """`argv` run in `home` with exactly `env`; what it prints goes to `log`."""

    def __init__(self, argv: Sequence[str], home: Path, env: Mapping[str, str], log: Path) -> None:
        self.log = log
        self._argv = tuple(argv)
        self._home = home
        self._env = dict(env)
        self._leash = -1
        self._process: Process | None = None

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.returncode if self._process else None

    async def start(self) -> None:
        """Start it. Raise OSError if the log can't be written."""
        _rotate(self.log)
        held, leash = os.pipe()  # the warden reads `held`: it ends when the last holder of `leash`, us, is gone
        try:
            with self.log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "client.warden", str(held), *self._argv),
                    cwd=self._home,
                    env=self._env,
                    stdin=DEVNULL,
                    stdout=log,
                    stderr=STDOUT,
                    pass_fds=(held,),
                    start_new_session=True,  # Ctrl-C is for the session: it ends its children in order
                )
        except BaseException:
            os.close(leash)
            raise
        finally:
            os.close(held)
        self._leash = leash

    async def wait(self) -> int:
        """Its exit code, once it ended."""
        if self._process is None:
            raise RuntimeError("not started")
        code = await self._process.wait()
        self._let_go()
        return code

    async def stop(self) -> None:
        """End it and all it started: asked first, killed after the grace."""
        if self._process is None:
            return
        self._let_go()
        try:
            await asyncio.wait_for(self._process.wait(), 2 * GRACE_SECONDS + 2)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def tail(self, lines: int = 8) -> str:
        """The end of its log, cleaned."""
        try:
            text = self.log.read_bytes()[-8000:].decode("utf-8", "replace")
        except OSError:
            return ""
        return "\n".join(clean(text).splitlines()[-lines:])

    def _let_go(self) -> None:
        if self._leash >= 0:
            os.close(self._leash)
            self._leash = -1


def _rotate(log: Path) -> None:
    """Keep one older log."""
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if log.is_file() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_suffix(".1.log"))
