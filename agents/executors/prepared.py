"""A confined call on its way: ready to start, started, cleared away."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from agents.executors import container
from agents.executors.disk_watch import DiskWatch
from agents.executors.process import Finished, Processes, Running
from agents.executors.spawning import Bounds


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a call starts with. `private` is a folder of the call alone, removed after it."""

    argv: list[str]
    cwd: Path
    env: Mapping[str, str]
    bounds: Bounds = field(default_factory=Bounds)
    private: Path | None = None

    async def start(self, processes: Processes, disks: Sequence[DiskWatch] = (), stdin: bytes = b"") -> "Started":
        """Start it. Raise what `Processes.start` raises; nothing is left then."""
        try:
            running = await processes.start(self.argv, cwd=self.cwd, env=self.env, stdin=stdin, bounds=self.bounds)
        except BaseException:
            if self.private:
                container.remove(self.private)
            raise
        return Started(running, tuple(disks), self.private)


@dataclass(frozen=True, slots=True)
class Started:
    """A call under way, and the watches over what it may write."""

    running: Running
    disks: tuple[DiskWatch, ...]
    private: Path | None

    async def wait(self, timeout: float) -> Finished:
        """Its end; see `Running.wait`."""
        try:
            async with self._watched():
                return await self.running.wait(timeout)
        finally:
            await self._clear()

    async def attend(self) -> None:
        """Watch it until its end, for which somebody else waits."""
        try:
            await self._guard()
        finally:
            await self._clear()

    @asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        watch = asyncio.create_task(self._guard())
        try:
            yield
        finally:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch

    async def _guard(self) -> None:
        await asyncio.gather(*(disk.guard(self.running) for disk in self.disks))

    async def _clear(self) -> None:
        if self.private:
            await asyncio.to_thread(container.remove, self.private)
