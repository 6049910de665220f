"""What confinement and killing cost: `python -m benchmarks.sandbox [--rounds N]`. Prints milliseconds.

Goal: `true` in the sandbox takes at most 15 ms longer (median) than as a plain subprocess; a tree with a daemonised
child is gone within 300 ms of its cancellation. In a container (SANDBOX=container) commands run under Landlock
instead: the same acts, and the ratio to a plain subprocess of the same run.
"""

import argparse
import asyncio
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import psutil

from agents.executors.process import Processes, base_environment
from agents.executors.sandbox import Sandbox
from agents.executors.workspace import Workspace

ENV = base_environment(Path("/nonexistent"))
MARK = "31415.9265"
# a daemon in a session of its own that ignores TERM, and one without any mark of its parents
TREE = f"""
( setsid bash -c 'trap "" TERM; sleep {MARK} & wait; wait' & )
( setsid env -i sleep {MARK} & )
sleep {MARK}
"""


async def times(rounds: int, acts: Sequence[Callable[[], Awaitable[object]]]) -> list[list[float]]:
    """Milliseconds of each act, in turns, so that a busy moment of the machine meets all of them."""
    taken: list[list[float]] = [[] for _ in acts]
    for number in range(rounds + 3):
        for act, times in zip(acts, taken, strict=True):
            started = time.perf_counter()
            await act()
            if number >= 3:
                times.append((time.perf_counter() - started) * 1000)
    return taken


def sleepers() -> int:
    """How many of the tree's sleepers live."""
    found = 0
    for process in psutil.process_iter(["cmdline", "status"]):
        command = process.info["cmdline"] or []
        found += command[-2:] == ["sleep", MARK] and process.info["status"] != psutil.STATUS_ZOMBIE
    return found


async def kill(run: Callable[[str], Awaitable[object]]) -> float:
    """Milliseconds from cancelling the tree to its being gone."""
    task = asyncio.ensure_future(run(TREE))
    while sleepers() < 3:
        await asyncio.sleep(0.01)
    started = time.perf_counter()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    taken = (time.perf_counter() - started) * 1000
    if left := sleepers():
        raise RuntimeError(f"{left} processes outlived their cancellation")
    return taken


def line(name: str, values: Sequence[float]) -> str:
    """Median and tail."""
    ordered = sorted(values)
    tail = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"{name:<42} p50 {statistics.median(ordered):8.2f}   p99 {tail:8.2f}"


def compare(names: Sequence[str], taken: Sequence[Sequence[float]]) -> None:
    """Each over the first, which is the plain subprocess."""
    plain = statistics.median(taken[0])
    for name, values in zip(names[1:], taken[1:], strict=True):
        median = statistics.median(values)
        print(f"{f'{name}, over plain, median':<42}     {median - plain:8.2f}   ratio {median / plain:8.2f}")


async def main(rounds: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        processes = Processes()
        workspace = Workspace({name: home / name for name in ("infra", "config", "docs", "tmp")})
        sandbox = Sandbox(processes, workspace, home / ".state")
        direct = Sandbox(processes, workspace, home / ".state", mode="container")
        for each in (sandbox, direct):
            print((await each.probe()).line())

        async def plain() -> None:
            subprocess.run(["/bin/true"], env=ENV, stdin=subprocess.DEVNULL, capture_output=True, check=True)

        async def supervised(script: str | None = None) -> object:
            argv = ["bash", "-c", script] if script else ["/bin/true"]
            return await processes.run(argv, cwd=home, env=ENV, timeout=60)

        async def confined(script: str | None = None) -> object:
            return await sandbox.run(["bash", "-c", script] if script else ["/bin/true"], timeout=60)

        async def landlocked(script: str | None = None) -> object:
            return await direct.run(["bash", "-c", script] if script else ["/bin/true"], timeout=60)

        acts = (plain, supervised, confined, landlocked)
        names = ("plain subprocess", "supervised", "in the sandbox", "in a container")
        taken = await times(rounds, acts)
        for name, values in zip(names, taken, strict=True):
            print(line(f"true, {name}", values))
        compare(names, taken)
        for name, run in zip(names[1:], (supervised, confined, landlocked), strict=True):
            print(line(f"kill of a daemonised tree, {name}", [await kill(run) for _ in range(max(10, rounds // 4))]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    asyncio.run(main(parser.parse_args().rounds))
