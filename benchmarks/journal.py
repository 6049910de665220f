"""What writing a step down costs: `python -m benchmarks.journal`. Goal: ≤ 0.5 ms, one round trip.

A step of a read call: the model's reply, the result, a tool event, on a redis-server of our own (append-only file,
fsync every second). Beside it a PING on the same connection: what a round trip costs here at all.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from agents.domain.message import USER, Message
from agents.room import embedded, open_room
from benchmarks.room import EVENTS, STEP

COUNT = 3000


async def measure() -> tuple[float, float, float]:
    """(ms of a step, ms of a PING, scripts run per step)."""
    with tempfile.TemporaryDirectory() as folder:
        server = await embedded.start(Path(folder), None)
        opened = await open_room(server.url, "bench")
        await opened.room.post(Message(USER, "work", to=("QA",)))
        claim = await opened.inbox("QA", "one").claim()
        assert claim
        await opened.journal.record(claim, STEP, EVENTS)
        await opened._link.command("CONFIG", "RESETSTAT")
        steps, pings = [], []
        for _ in range(COUNT):
            started = time.perf_counter()
            await opened.journal.record(claim, STEP, EVENTS)
            steps.append(time.perf_counter() - started)
            started = time.perf_counter()
            await opened._link.command("PING")
            pings.append(time.perf_counter() - started)
        stats = (await opened._link.command("INFO", "commandstats")).decode()
        [scripts] = [line for line in stats.splitlines() if line.startswith("cmdstat_evalsha:")]
        trips = int(scripts.partition("calls=")[2].partition(",")[0]) / COUNT
        await opened.aclose()
        await server.stop()
    return statistics.median(steps) * 1000, statistics.median(pings) * 1000, trips


def main() -> int:
    """Measure and print; exit code 1 if the goal is missed."""
    step, ping, trips = asyncio.run(measure())
    met = "met" if step <= 0.5 and trips == 1 else "MISSED"
    print(f"a journaled step: {step:.3f} ms, {trips:g} round trip; a PING {ping:.3f} ms. goal ≤ 0.5 ms, 1: {met}")
    return int(met != "met")


if __name__ == "__main__":
    sys.exit(main())
