"""What the room costs: post → awake across two processes, each call's latency, durable messages per second.

    python -m benchmarks.room [--count 2000] [--url redis://…] [--unsigned]

Without --url a Redis of our own serves it, as in the product: unix socket, append-only file, fsync every second.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from agents.domain.approval import Capsule, Decision, request
from agents.domain.effect import EffectState, Lease
from agents.domain.message import USER, Kind, Message, new_id
from agents.domain.ports import OpenRoom
from agents.domain.turn import Claim, Effect, EntryKind, JournalEntry, Outcome, StopReason
from agents.room import embedded, open_room
from agents.room.keyring import Keyring, create

TEXT = "Applied the playbook on both nodes; the page answers with 200 and the expected title. " * 3
STEP = [
    JournalEntry(EntryKind.REPLY, 1, {"message": {"type": "ai", "data": {"content": TEXT}}, "usage": {"input": 900}}),
    JournalEntry(EntryKind.RESULT, 1, {"name": "read_file", "status": "ok", "content": TEXT}, "call", Effect.READ),
]
EVENTS = [Message("QA", "read_file ok 0.01 s", Kind.TOOL, data={"name": "read_file", "status": "ok"})]
SPEAKERS = ("Architect", "QA", *(f"Agent{number}" for number in range(4)), USER)
REPLIED = Outcome(StopReason.REPLIED)
Row = tuple[str, str, str]


async def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--url")
    parser.add_argument("--unsigned", action="store_true", help="without signatures, to see what they cost")
    parser.add_argument("--listen", help=argparse.SUPPRESS)
    parser.add_argument("--keys", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.listen:
        return await listen(Place(options.url, options.keys), options.listen, options.count)
    with tempfile.TemporaryDirectory() as folder:
        server = await embedded.start(Path(folder), options.url)
        place = Place(server.url, None if options.unsigned else Path(folder) / "keys")
        if place.keys:
            create(place.keys, SPEAKERS)
        try:
            rows = [await awake(place, options.count), *await calls(place, options.count)]
            rows.append(await acts(place, options.count))
            rows.append(await conversation(place, options.count))
        finally:
            await server.stop()
    print(f"{server.kind}, {'unsigned' if options.unsigned else 'signed'}, {options.count} of each\n")
    for name, *cells in [("", "p50", "p99"), *rows]:
        print(f"{name:<52}{cells[0]:>12}{cells[1]:>12}")


class Place(NamedTuple):
    """A Redis, and the keys everybody signs with."""

    url: str
    keys: Path | None

    async def room(self, name: str) -> OpenRoom:
        """The room there."""
        keyring = Keyring.load(self.keys, SPEAKERS) if self.keys else None
        return await open_room(self.url, name, patience=5, keyring=keyring)


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[OpenRoom]:
    """A room, wiped at the end."""
    room = await place.room(f"bench-{new_id()[:8]}")
    try:
        yield room
        await room.control.clear(Message(USER, "CLEAR", Kind.CONTROL))
    finally:
        await room.aclose()


async def awake(place: Place, count: int) -> Row:
    """One process posts, another one follows; both read the same monotonic clock."""
    async with opened(place) as room:
        argv = [sys.executable, "-m", "benchmarks.room", "--url", place.url, "--listen", room.room.name]
        argv += ["--keys", str(place.keys)] if place.keys else []
        listener = subprocess.Popen([*argv, "--count", str(count)], stdout=subprocess.PIPE, text=True)
        assert listener.stdout
        await asyncio.to_thread(listener.stdout.readline)
        for _ in range(count):
            await room.room.post(Message("Architect", TEXT, to=("QA",), data={"at": time.perf_counter_ns()}))
            await asyncio.sleep(0.002)
        times = [int(line) / 1e6 for line in await asyncio.to_thread(listener.stdout.readlines)]
        listener.wait()
        listener.stdout.close()
    return row("post → addressed agent awake, two processes", times)


async def listen(place: Place, name: str, count: int) -> None:
    """The other process: print each message's way in ns."""
    times = []
    room = await place.room(name)
    async with aclosing(room.room.follow("0")) as events:  # type: ignore[type-var]
        ready: asyncio.Task[Message] = asyncio.create_task(anext(events))  # type: ignore[arg-type]
        await asyncio.sleep(0.3)
        print("ready", flush=True)
        event = await ready
        while True:
            if "QA" in event.to:
                times.append(time.perf_counter_ns() - event.data["at"])
            if len(times) == count:
                break
            event = await anext(events)
    await room.aclose()
    print("\n".join(map(str, times)))


async def calls(place: Place, count: int) -> list[Row]:
    """Each call on its own."""
    async with opened(place) as room:
        inbox, claims = room.inbox("QA", "one"), list[Claim]()

        async def post() -> None:
            await room.room.post(Message("Architect", TEXT, to=("QA",)))

        async def claim() -> None:
            taken = await inbox.claim()
            assert taken
            claims.append(taken)

        async def record() -> None:
            await room.journal.record(claims[-1], STEP, EVENTS)

        async def commit() -> None:
            await room.journal.commit(claims[-1], REPLIED, [Message("QA", TEXT, to=("Architect",))])

        steps: dict[str, Callable[[], Awaitable[None]]] = {
            "post, delivered to one": post,
            "claim of one message": claim,
            "record of a step: 2 entries, 1 event": record,
            "renew": lambda: inbox.renew(claims[-1]),
            "commit with one reply": commit,
        }
        times: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(count):
            for name, step in steps.items():
                started = time.perf_counter()
                await step()
                times[name].append((time.perf_counter() - started) * 1000)
    return [row(name, values) for name, values in times.items()]


async def acts(place: Place, count: int) -> Row:
    """The room's share of an approved act: lease, start under a signed approval, end."""
    times = []
    async with opened(place) as room:
        await room.room.post(Message("Architect", TEXT, to=("QA",)))
        claim = await room.inbox("QA", "one").claim()
        assert claim
        for number in range(min(count, 300)):
            capsule = Capsule(room.room.name, 0, "QA", "run_shell", {"command": TEXT, "number": number})
            asked = request(new_id()[:8], capsule, (USER,), time.time())
            asked = await room.approvals.request(asked, {"card": TEXT * 10}, Message("QA", "?", Kind.APPROVAL))
            yes = Decision(USER, True, asked.digest, time.time())
            await room.approvals.decide(asked.id, yes, Message(USER, "yes", Kind.APPROVAL))
            intent = JournalEntry(EntryKind.INTENT, number, {"name": "run_shell"}, "call", Effect.MUTATE)
            started = time.perf_counter()
            lease = await room.leases.acquire(["web1"], "QA", 60)
            assert isinstance(lease, Lease)
            effect = await room.journal.begin_effect(
                claim, intent, approval=asked.id, digest=asked.digest, lease=lease
            )
            await room.journal.end_effect(effect, EffectState.DONE)
            await room.leases.release(lease)
            times.append((time.perf_counter() - started) * 1000)
    return row("an approved act's lease, start, end and release", times)


async def conversation(place: Place, count: int) -> Row:
    """Four agents of one process pass messages round: woken by the channel they claim, record a step and answer."""
    names = [f"Agent{n}" for n in range(4)]
    wakes = {name: asyncio.Event() for name in names}
    done = 0

    async def agent(room: OpenRoom, index: int) -> None:
        nonlocal done
        inbox, wake = room.inbox(names[index], "one"), wakes[names[index]]
        while True:
            await wake.wait()
            wake.clear()
            while claim := await inbox.claim():
                await room.journal.record(claim, STEP[:1])
                to = (names[(index + 1) % len(names)],)
                await room.journal.commit(claim, REPLIED, [Message(names[index], TEXT, to=to)])
                done += 1

    async with opened(place) as room, asyncio.TaskGroup() as group:
        tasks = [group.create_task(agent(room, index)) for index in range(len(names))]
        for name in names:
            await room.room.post(Message(USER, TEXT, to=(name,)))
        started = time.perf_counter()
        async with aclosing(room.room.follow("0")) as events:  # type: ignore[type-var]
            async for event in events:
                for name in event.to:
                    wakes[name].set()
                if done >= count:
                    break
        seconds = time.perf_counter() - started
        for task in tasks:
            task.cancel()
    return ("4 agents: woken, claimed, journaled and answered", f"{done / seconds:,.0f} /s", "")


def row(name: str, times: list[float]) -> Row:
    """A row of a table, times in ms."""
    cuts = statistics.quantiles(times, n=100)
    return (name, f"{cuts[49]:.3f} ms", f"{cuts[98]:.3f} ms")


if __name__ == "__main__":
    asyncio.run(main())
