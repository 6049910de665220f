"""A bound on what commands write to the workspace: looked at only where the file system got fuller."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from agents.domain.errors import QuotaExceeded
from agents.executors.process import Running

LOOK_SECONDS = 0.1
SUSPICIOUS_BYTES = 64 << 20
SUSPICIOUS_FILES = 20_000
MAX_FILES = 200_000


class DiskWatch:
    """Keeps the workspace `folders` under `cap` bytes (and 200,000 files) in all."""

    def __init__(self, folders: Sequence[Path], cap: int) -> None:
        self._folders = tuple(folders)
        self._cap = cap
        self._free: tuple[int, int] | None = None  # at the last count: bytes, files
        self._fault: str | None = None

    async def admit(self) -> None:
        """Raise QuotaExceeded, naming the fix, while the workspace is over its bound."""
        if self._free is None or self._fault or self._fuller():
            await self._count()
        if self._fault:
            raise QuotaExceeded(f"{self._fault}: delete files you don't need (delete_file) before running commands")

    async def guard(self, running: Running) -> None:
        """End the program should it overfill the workspace."""
        while not running.call.ended:
            await asyncio.sleep(LOOK_SECONDS)
            if self._fuller():
                await self._count()
                if self._fault:
                    running.call.over = "disk"
                    await running.end()

    def _fuller(self) -> bool:
        if self._free is None:
            return True
        now = self._look()
        return (
            self._free[0] - now[0] > min(SUSPICIOUS_BYTES, self._cap // 8)
            or self._free[1] - now[1] > SUSPICIOUS_FILES
        )

    def _look(self) -> tuple[int, int]:
        """Free bytes and files below all folders' file systems."""
        seen = {}
        for folder in self._folders:
            state = os.statvfs(folder)
            seen[state.f_fsid] = (state.f_bavail * state.f_frsize, state.f_favail)
        return sum(size for size, _ in seen.values()), sum(files for _, files in seen.values())

    async def _count(self) -> None:
        # the look comes first: what is written during the count is seen by the next look
        self._free = self._look()
        size, files = await asyncio.to_thread(_usage, self._folders)
        self._fault = None
        if size > self._cap:
            self._fault = f"the workspace holds {size >> 20:,} MiB, more than the {self._cap >> 20:,} MiB allowed"
        elif files > MAX_FILES:
            self._fault = f"the workspace holds more than the {MAX_FILES:,} files allowed"


def _usage(folders: Sequence[Path]) -> tuple[int, int]:
    """Bytes on the disk, and files, below the folders; counting stops beyond twice the files allowed."""
    size = files = 0
    ahead = [str(folder) for folder in folders]
    while ahead and files <= 2 * MAX_FILES:
        try:
            with os.scandir(ahead.pop()) as entries:
                for entry in entries:
                    files += 1
                    size += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        ahead.append(entry.path)
        except OSError:
            continue  # deleted meanwhile, or unreadable
    return size, files
