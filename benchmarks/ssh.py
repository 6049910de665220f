"""How long a command on a kept SSH connection takes: `python -m benchmarks.ssh`. Prints milliseconds.

Goal: `true` on loopback takes at most 15 ms (median). The server is the tests' own sshd.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.support.remote import Lab
from tests.support.sshd import running_sshd

ROUNDS = 200
COPIES = 50
MIB = b"x" * (1 << 20)


async def measured(title: str, count: int, call: Callable[[], Awaitable[object]]) -> None:
    """Call `count` times and print the distribution."""
    times = []
    for _ in range(count):
        started = time.perf_counter()
        await call()
        times.append((time.perf_counter() - started) * 1000)
    cuts = statistics.quantiles(times, n=100)
    print(f"{title:36} p50 {cuts[49]:8.2f}  p90 {cuts[89]:8.2f}  p99 {cuts[98]:8.2f}  max {max(times):8.2f}")


async def run(lab: Lab) -> None:
    """Every kind of call."""
    started = time.perf_counter()
    await lab.ssh.run("box", "true", 10)
    print(f"{'connect, log in, first true':36}     {(time.perf_counter() - started) * 1000:8.2f}")
    await measured("true on the kept connection", ROUNDS, lambda: lab.ssh.run("box", "true", 10))
    target = str(lab.base / "copied")
    await measured("copy 1 MiB to the host", COPIES, lambda: lab.ssh.put("box", MIB, target))
    await measured("copy 1 MiB from the host", COPIES, lambda: lab.ssh.get("box", target, 2 << 20))
    await lab.ssh.aclose()


def main() -> None:
    """Measure against an sshd of its own."""
    with (
        tempfile.TemporaryDirectory() as keys,
        running_sshd(Path(keys)) as sshd,
        tempfile.TemporaryDirectory() as base,
    ):
        asyncio.run(run(Lab(Path(base), sshd)))


if __name__ == "__main__":
    main()
