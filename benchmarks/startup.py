"""How long it takes to be ready, and what six idle agents weigh: `python -m benchmarks.startup`.

Goals: worker ready ≤ 1.5 s, command line ≤ 0.6 s, six idle agents in one process ≤ 130 MB.
"""

import asyncio
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

from agents.domain.message import USER
from agents.domain.role import ROLES
from agents.room import open_room
from agents.room.embedded import start
from agents.room.keyring import create

ROOT = Path(__file__).resolve().parent.parent
RUNS = 5


async def worker(url: str, home: Path, number: int) -> tuple[float, float]:
    """Seconds from process start to the sixth heartbeat, and the process's resident MB three seconds later."""
    room = f"bench-{number}"
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "MINILAB_HOME": str(home),
        "REDIS_URL": url,
        "ROOM": room,
        "OPENAI_API_KEY": "none",
        "OPENAI_API_BASE": "http://127.0.0.1:9/v1",
        "LOG_LEVEL": "ERROR",
    }
    opened = await open_room(url, room, patience=5)
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "agents", "all", cwd=ROOT, env=env)
    try:
        while len(await opened.presence.present()) < 6:
            if process.returncode is not None:
                raise SystemExit("the agents ended")
            await asyncio.sleep(0.01)
        ready = time.perf_counter() - started
        await asyncio.sleep(3)
        weight = psutil.Process(process.pid).memory_info().rss / 1e6
    finally:
        process.terminate()
        await process.wait()
        await opened.aclose()
    return ready, weight


async def command_line() -> float:
    """Seconds of `minilab --help`, as a whole process."""
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "client.cli", "--help", cwd=ROOT, stdout=asyncio.subprocess.DEVNULL
    )
    await process.wait()
    return time.perf_counter() - started


async def main() -> None:
    """Print the medians and the spread."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        shutil.copytree(ROOT / "prompts", home / "prompts")
        create(home / ".minilab" / "keys", (*ROLES, USER))
        server = await start(home / ".minilab", None)
        try:
            workers = [await worker(server.url, home, number) for number in range(RUNS)]
        finally:
            await server.stop()
    show("worker ready, six agents", "s", [ready for ready, _ in workers], 1.5)
    show("six idle agents", "MB", [weight for _, weight in workers], 130)
    show("minilab --help", "s", [await command_line() for _ in range(RUNS)], 0.6)


def show(what: str, unit: str, values: list[float], goal: float) -> None:
    """One row: median, spread, goal."""
    median = statistics.median(values)
    met = "met" if median <= goal else "missed"
    print(f"{what:28} {median:8.2f} {unit:3} ({min(values):.2f}–{max(values):.2f})  goal ≤ {goal:g}: {met}")


if __name__ == "__main__":
    asyncio.run(main())
