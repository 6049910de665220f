"""Ends this process when the one that started it is gone."""

import asyncio
import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 1.0


def die_with_parent() -> None:
    """Ask the kernel to end us with our parent. Where it can't, `parent_gone` still notices."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


async def parent_gone(parent: int) -> None:
    """Return once `parent` (a pid) is no longer our parent; covers a death before `die_with_parent` took effect."""
    while os.getppid() == parent:
        await asyncio.sleep(_POLL_SECONDS)
