"""What one Redis carries: rooms × 6 agents × messages/s, until p99 of post → wake exceeds 50 ms.

    python -m benchmarks.scale [--rate 5] [--seconds 6] [--workers 2] [--quick]

Each message is posted at its time, whether or not the last one was answered (so waiting counts), wakes the agent it
names in another process, is claimed, one step is journaled, and it is answered: four scripts, signed as in the
product. Latency counts from the time the message was due. The server is one of our own: unix socket, append-only
file, fsync every second. Poster, workers and Redis share the machine.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from redis.asyncio import Redis

from agents.domain.message import USER, Message, new_id
from agents.domain.mission import Presence
from agents.domain.ports import OpenRoom
from agents.domain.role import ROLES
from agents.domain.turn import Outcome, StopReason
from agents.room import embedded, open_room
from agents.room.keyring import Keyring, create
from benchmarks.room import EVENTS, STEP, TEXT

TOO_LATE = 50.0  # ms
ENOUGH = 0.95  # of what was offered
LEVELS = (4, 8, 16, 32, 64, 96, 128, 192, 256)  # rooms
IDLE_ROOMS = 50
WARM = 1.0  # seconds of each level that don't count


@dataclass(frozen=True)
class Level:
    """What a level came to.

    Messages/s that were offered and that woke their agent, times in ms, the shares of a core that Redis and the
    workers took, and the commands Redis ran per message, those within scripts included.
    """

    rooms: int
    offered: float
    woken: float
    p50: float
    p99: float
    redis: float
    commands: float
    workers: float

    @property
    def holds(self) -> bool:
        """Whether it was carried."""
        return self.p99 <= TOO_LATE and self.woken >= ENOUGH * self.offered

    def line(self) -> str:
        """A row."""
        return (
            f"{self.rooms:6} {self.rooms * len(ROLES):7} {self.offered:9.0f} {self.woken:8.0f} {self.p50:9.2f} "
            f"{self.p99:9.2f} {self.redis:8.1%} {self.workers:8.1%} {self.commands:8.1f}"
            f"{'' if self.holds else '  too much'}"
        )


HEAD = " rooms  agents  offered/s   woken/s    p50 ms    p99 ms    Redis  workers  commands"


def percentile(times: Sequence[float], share: int) -> float:
    """The `share`-th percentile; infinite where nothing arrived."""
    return statistics.quantiles(times, n=100)[share - 1] if len(times) > 1 else float("inf")


# ── the workers ────────────────────────────────────────────────────────────────────────────────────────────────────


async def work(url: str, keys: Path, names: Sequence[str]) -> None:
    """Play every agent of the rooms until standard input says end; then print the latencies since `begin`, ms."""
    keyring = Keyring.load(keys, ROLES)
    late: list[float] = []
    rooms = [await open_room(url, name, keyring=keyring) for name in names]
    tasks = [asyncio.create_task(play(room, late)) for room in rooms]
    await asyncio.sleep(0.5)
    print("ready", flush=True)
    while (line := await asyncio.to_thread(sys.stdin.readline)).strip() == "begin":
        late.clear()
    del line
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    print(json.dumps(late), flush=True)
    await asyncio.gather(*(room.aclose() for room in rooms))


async def play(room: OpenRoom, late: list[float]) -> None:
    """One room's six agents."""
    wakes = {role: asyncio.Event() for role in ROLES}

    async def agent(role: str) -> None:
        inbox, wake = room.inbox(role, f"{role}-1"), wakes[role]
        while True:
            await wake.wait()
            wake.clear()
            while claim := await inbox.claim():
                await room.journal.record(claim, STEP[:1], EVENTS)
                await room.journal.commit(claim, Outcome(StopReason.REPLIED), [Message(role, TEXT)])

    async with asyncio.TaskGroup() as group:
        for role in ROLES:
            group.create_task(agent(role))
        async with aclosing(room.room.follow()) as events:  # type: ignore[type-var]
            async for event in events:
                for role in event.to:
                    late.append((time.perf_counter_ns() - event.data["due"]) / 1e6)
                    wakes[role].set()


# ── the poster ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def post(rooms: Sequence[OpenRoom], rate: float, seconds: float) -> int:
    """Post to the rooms in turn, `rate` messages per second and room, each at its time; return how many."""
    count, start = round(rate * len(rooms) * seconds), time.perf_counter()
    gap = 1 / (rate * len(rooms))
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            due = start + number * gap
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            message = Message(USER, TEXT, to=(ROLES[number % len(ROLES)],), data={"due": round(due * 1e9)})
            group.create_task(rooms[number % len(rooms)].room.post(message))
    return count


@dataclass(frozen=True)
class Bench:
    """A server of our own and the keys everybody signs with."""

    url: str
    keys: Path
    redis: "Redis"

    async def level(self, count: int, rate: float, seconds: float, workers: int) -> Level:
        """Run `count` rooms at `rate` messages per second each."""
        names = [f"scale-{new_id()[:8]}" for _ in range(count)]
        keyring = Keyring.load(self.keys, [USER])
        rooms = [await open_room(self.url, name, keyring=keyring) for name in names]
        children = [self._worker(names[n::workers]) for n in range(min(workers, count))]
        try:
            for child in children:
                assert child.stdout
                await asyncio.to_thread(child.stdout.readline)
            await post(rooms, rate, WARM)
            for child in children:
                _tell(child, "begin\n")
            busy, calls, used = await self._used(), await self._calls(), _processor(children)
            started = time.perf_counter()
            posted = await post(rooms, rate, seconds)
            elapsed = time.perf_counter() - started
            busy, used = await self._used() - busy, _processor(children) - used
            calls = await self._calls() - calls
            await asyncio.sleep(0.3)
            late = [time for child in children for time in await asyncio.to_thread(_ended, child)]
        finally:
            for child in children:
                child.kill()
                child.wait()
            await asyncio.gather(*(room.aclose() for room in rooms))
        return Level(
            count,
            rate * count,
            min(len(late), posted) / elapsed,
            percentile(late, 50),
            percentile(late, 99),
            busy / elapsed,
            calls / posted,
            used / elapsed,
        )

    def _worker(self, names: Sequence[str]) -> "subprocess.Popen[str]":
        argv = [sys.executable, "-m", "benchmarks.scale", "--work", self.url, str(self.keys), *names]
        return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    async def _used(self) -> float:
        told = await self.redis.info("cpu")
        return float(told["used_cpu_user"]) + float(told["used_cpu_sys"])

    async def _calls(self) -> int:
        return int((await self.redis.info("stats"))["total_commands_processed"])

    async def kept(self, count: int) -> float:
        """Bytes of memory that one message and its turn take while they are kept."""
        before = int((await self.redis.info("memory"))["used_memory"])
        await self.level(2, count / 8, 4, 1)
        return (int((await self.redis.info("memory"))["used_memory"]) - before) / (count + count / 4)

    async def idle(self, seconds: float) -> float:
        """Redis' processor share for IDLE_ROOMS rooms whose agents only send heartbeats."""
        rooms = [await open_room(self.url, f"idle-{new_id()[:8]}") for _ in range(IDLE_ROOMS)]
        before, started = await self._used(), time.perf_counter()
        while time.perf_counter() - started < seconds:
            begun = time.perf_counter()
            for room in rooms:
                for role in ROLES:
                    await room.presence.beat(Presence(role, f"{role}@here", "here", "idle", 0))
                    await room.inbox(role, "looker").pending()
            await asyncio.sleep(max(0.0, 3 - (time.perf_counter() - begun)))
        share = (await self._used() - before) / (time.perf_counter() - started)
        await asyncio.gather(*(room.aclose() for room in rooms))
        return share


@asynccontextmanager
async def bench(*settings: tuple[str, str]) -> AsyncIterator[Bench]:
    """A server of our own, with `settings` set."""
    with tempfile.TemporaryDirectory() as folder:
        server = await embedded.start(Path(folder), None)
        client = Redis.from_url(server.url, protocol=2)
        try:
            for name, value in settings:
                await client.config_set(name, value)
            create(Path(folder) / "keys", (*ROLES, USER))
            yield Bench(server.url, Path(folder) / "keys", client)
        finally:
            await client.aclose()
            await server.stop()


def _tell(child: "subprocess.Popen[str]", line: str) -> None:
    assert child.stdin
    child.stdin.write(line)
    child.stdin.flush()


def _ended(child: "subprocess.Popen[str]") -> list[float]:
    """The worker's latencies, once it is told to end."""
    said, _ = child.communicate("end\n", timeout=60)
    times: list[float] = json.loads(said)
    return times


def _processor(children: Sequence["subprocess.Popen[str]"]) -> float:
    return sum(sum(psutil.Process(child.pid).cpu_times()[:2]) for child in children)


async def measure(rate: float, seconds: float, workers: int, levels: Sequence[int]) -> list[Level]:
    """Ramp, print each level, and what follows from them."""
    done: list[Level] = []
    async with bench() as here:
        print(HEAD)
        for count in levels:
            done.append(await here.level(count, rate, seconds, workers))
            print(done[-1].line(), flush=True)
            if not done[-1].holds:
                break
        kept = await here.kept(800)
        idle = await here.idle(max(6.0, seconds))
    async with bench(("appendfsync", "always")) as durable:
        always = await durable.level(levels[0], rate, seconds, workers)
    last = [level for level in done if level.holds]
    if last:
        best = last[-1]
        print(f"\ncarried: {best.woken:.0f} messages/s in {best.rooms} rooms, p99 {best.p99:.1f} ms")
        each = best.redis / best.woken
        print(f"Redis: {each * 1e6:.0f} µs of a core per message; derived: {1 / each:.0f} messages/s fill one core")
    print(f"memory: {kept:.0f} bytes per kept message, its turn included")
    print(f"{IDLE_ROOMS} idle rooms × {len(ROLES)} agents: {idle:.1%} of a core of Redis")
    print(f"appendfsync always, {always.rooms} rooms: p50 {always.p50:.2f} ms, p99 {always.p99:.2f} ms")
    return done


def main() -> None:
    """Measure, or be a worker."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=5, help="messages per second and room")
    parser.add_argument("--seconds", type=float, default=6, help="of each level")
    parser.add_argument("--workers", type=int, default=2, help="processes that play the agents")
    parser.add_argument("--quick", action="store_true", help="two small levels, to see that it works")
    parser.add_argument("--work", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        url, keys, *names = options.work
        asyncio.run(work(url, Path(keys), names))
    elif options.quick:
        asyncio.run(measure(options.rate, 1, 1, LEVELS[:2]))
    else:
        asyncio.run(measure(options.rate, options.seconds, options.workers, LEVELS))


if __name__ == "__main__":
    main()
