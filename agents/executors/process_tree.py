"""Processes as the supervisor sees them: trees, limits, control groups. Standard library only, and little of it."""

import ctypes
import os
import resource
import time
from collections.abc import Iterable
from contextlib import suppress

SUBREAPER = 36
PDEATHSIG = 1
_TICK = 0.002
_LIBC = ctypes.CDLL(None, use_errno=True)
_PAGE = os.sysconf("SC_PAGE_SIZE")
# where a cgroup counts what it refused: version 2, version 1, either
_EVENTS = (
    ("memory.events", "oom_kill", "memory"),
    ("memory.oom_control", "oom_kill", "memory"),
    ("pids.events", "max", "pids"),
)


def precede() -> None:
    """Run before everybody else, but not our children: a watch that waits behind a fork bomb sees nothing."""
    with suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))


def prctl(option: int, value: int) -> None:
    """Set a property of this process."""
    with suppress(AttributeError):  # no Linux: process groups must do
        _LIBC.prctl(option, value, 0, 0, 0)


def close_above(last: int) -> None:
    """Close every descriptor above `last`: by what is open, for the limit may be a billion."""
    try:
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208  pathlib doubles the start-up
    except OSError:
        numbers = list(range(4096))
    for number in numbers:
        if number > last:
            with suppress(OSError):
                os.close(number)


def _parents() -> dict[int, int]:
    """Every process and its parent."""
    found = {}
    with suppress(FileNotFoundError):
        for name in os.listdir("/proc"):  # noqa: PTH208  as above
            if name.isdigit():
                with suppress(OSError, ValueError, IndexError):
                    fields = read(f"/proc/{name}/stat").rpartition(b")")[2].split()
                    if fields[0] not in (b"Z", b"X"):
                        found[int(name)] = int(fields[1])
    return found


def children(pid: int) -> set[int]:
    """All living processes directly below `pid`."""
    return {child for child, parent in _parents().items() if parent == pid}


def descendants(pid: int) -> list[int]:
    """All living processes below `pid`."""
    below: dict[int, list[int]] = {}
    for child, parent in _parents().items():
        below.setdefault(parent, []).append(child)
    found, ahead = [], [pid]
    while ahead:
        children = below.get(ahead.pop(), [])
        found += children
        ahead += children
    return found


def kill(pids: Iterable[int], number: int) -> None:
    """Send a signal to all that are still there."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def over(top: int, pids: int | None, memory: int | None) -> str | None:
    """Which bound all processes below `top` exceed: "pids" or "memory" (resident bytes)."""
    found = descendants(top)
    if pids is not None and len(found) > pids:
        return "pids"
    resident = 0
    for pid in found:
        with suppress(OSError, ValueError, IndexError):
            resident += int(read(f"/proc/{pid}/statm").split()[1]) * _PAGE
    return "memory" if memory is not None and resident > memory else None


def limit(which: int, value: int) -> None:
    """Set a resource limit, as far as the hard one allows."""
    hard = resource.getrlimit(which)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(which, (value, value))


def read(path: str) -> bytes:
    """The first 4 KiB of a file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 4096)
    finally:
        os.close(descriptor)


def write(path: str, text: str) -> None:
    """Write to a file that is there."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def exceeded(group: str) -> str | None:
    """Which of its bounds the group ran into."""
    for file, counter, bound in _EVENTS:
        with suppress(OSError, ValueError):
            counts = dict(line.split() for line in read(f"{group}/{file}").decode().splitlines())
            if int(counts.get(counter, 0)):
                return bound
    return None


def remove_group(group: str) -> None:
    """Remove an empty control group."""
    for _ in range(50):  # the kernel needs a moment to forget the dead
        try:
            os.rmdir(group)  # noqa: PTH106  as above
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(_TICK)
        else:
            return
