"""The chaos run: feeds jobs, kills whatever works on them, and counts what must not happen."""

import asyncio
import itertools
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from agents.domain.message import Kind, Message
from agents.domain.ports import Inbox, OpenRoom
from agents.room import Retention, open_room
from tests.chaos.crashes import POINTS
from tests.chaos.worker import Order, done
from tests.support.redis_server import RedisServer

CREW = {"Coder": 4, "QA": 2}
LEASE = 0.4
MOST_OPEN = 8  # jobs under way at once
PATIENCE = 60.0  # seconds the last jobs are given, once nobody is killed any more
_JOB = re.compile(r"job-(\d+)")


@dataclass
class Count:
    """What a run counted. All but the first three must be 0."""

    kills: int = 0
    jobs: int = 0
    points: int = 0
    lost: list[str] = field(default_factory=list)
    doubled_replies: list[str] = field(default_factory=list)
    doubled_effects: list[str] = field(default_factory=list)
    missing_effects: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing happened that must not."""
        return not (
            self.lost
            or self.doubled_replies
            or self.doubled_effects
            or self.missing_effects
            or self.stuck
            or self.faults
        )

    def report(self) -> str:
        """The figures, one a line."""
        bad = {
            name: getattr(self, name)
            for name in ("lost", "doubled_replies", "doubled_effects", "missing_effects", "stuck", "faults")
        }
        lines = [f"kills {self.kills} at {self.points} of {len(POINTS)} points and at random, jobs {self.jobs}"]
        return "\n".join(
            [*lines, *(f"{name.replace('_', ' ')}: {len(found)} {found[:5]}" for name, found in bad.items())]
        )


class Nursery:
    """The workers alive, by process id, with their roles."""

    def __init__(self, process: asyncio.subprocess.Process, base: Order) -> None:
        self.alive: dict[int, Order] = {}
        self.deaths: list[tuple[Order, int]] = []
        self._process = process
        self._base = base
        self._numbers = itertools.count()
        self._coming: dict[str, Order] = {}

    def bear(self, role: str, crash: str = "", **change: float | str) -> None:
        """Have a worker born."""
        fields = (
            asdict(self._base) | {"role": role, "consumer": f"{role}-{next(self._numbers)}", "crash": crash} | change
        )
        order = Order(**fields)
        self._coming[order.consumer] = order
        assert self._process.stdin
        self._process.stdin.write(json.dumps(asdict(order)).encode() + b"\n")

    def missing(self, role: str) -> int:
        """How many workers the role lacks."""
        there = [*self.alive.values(), *self._coming.values()]
        return CREW[role] - sum(order.role == role for order in there)

    async def listen(self) -> None:
        """Keep the books until the nursery ends."""
        assert self._process.stdout
        async for line in self._process.stdout:
            word, pid, detail = line.decode().split()
            if word == "born":
                self.alive[int(pid)] = self._coming.pop(detail)
            else:
                self.deaths.append((self.alive.pop(int(pid)), int(detail)))


@dataclass
class Run:
    """One run. `kills` and `seconds`: it goes on until both are reached."""

    kills: int
    seconds: float = 0.0
    seed: int = 1
    redis_kills: bool = True
    progress: bool = False

    async def count(self) -> Count:
        """Feed, kill, wait for the last jobs, count."""
        self._chance = random.Random(self.seed)
        self._count = Count()
        self._ended: set[str] = set()
        self._points = itertools.cycle(self._chance.sample(POINTS, len(POINTS)))
        server = _server()
        try:
            with tempfile.TemporaryDirectory() as folder:
                async with nursery_of(server, Path(folder), LEASE) as nursery:
                    opened = await open_room(server.url, "chaos", lease=LEASE, retention=Retention(log=10**7))
                    await self._trouble(opened, nursery, server)
                    await self._calm(opened, nursery)
                    await self._weigh(opened, Path(folder))
                    await opened.aclose()
        finally:
            server.close()
        return self._count

    async def _trouble(self, opened: OpenRoom, nursery: Nursery, server: RedisServer) -> None:
        """Feed and kill."""
        began = time.monotonic()
        feeding = asyncio.create_task(self._feed(opened))
        redis_at = self.kills // 4
        try:
            while self._killed(nursery) < self.kills or time.monotonic() - began < self.seconds:
                for role in CREW:
                    for _ in range(nursery.missing(role)):
                        # two of three die at a point of their turn, the others whenever it hits them
                        nursery.bear(role, next(self._points) if self._chance.random() < 0.67 else "")
                await asyncio.sleep(self._chance.uniform(0.02, 0.12))
                self._strike(nursery)
                if self.redis_kills and self._killed(nursery) >= redis_at:
                    redis_at += max(1, self.kills // 4)
                    server.kill()
                    await asyncio.to_thread(server.start)
                if self.progress:
                    print(f"\r{self._killed(nursery)} kills, {self._count.jobs} jobs", end="", flush=True)
        finally:
            feeding.cancel()
            await asyncio.wait([feeding])
        if not feeding.cancelled():
            feeding.result()
        self._count.kills = self._killed(nursery)
        points = {order.crash for order, by in nursery.deaths if order.crash and by == signal.SIGKILL}
        self._count.points = len(points)
        self._count.faults = [
            f"{order.consumer} ended by itself: {by}" for order, by in nursery.deaths if by != signal.SIGKILL
        ]

    def _killed(self, nursery: Nursery) -> int:
        return sum(by == signal.SIGKILL for _, by in nursery.deaths)

    def _strike(self, nursery: Nursery) -> None:
        """Kill one, hold one for longer than its lease, or, rarely, kill all."""
        alive, dice = list(nursery.alive), self._chance.random()
        if not alive:
            return
        if dice < 0.01:
            for pid in alive:
                _signal(pid, signal.SIGKILL)
        elif dice < 0.35:
            _signal(self._chance.choice(alive), signal.SIGKILL)
        elif dice < 0.42:
            pid = self._chance.choice(alive)
            _signal(pid, signal.SIGSTOP)
            asyncio.get_running_loop().call_later(LEASE * 2.5, _signal, pid, signal.SIGCONT)

    async def _feed(self, opened: OpenRoom) -> None:
        """Keep some jobs under way."""
        while True:
            verified = len(await self._verified(opened))
            while self._count.jobs - verified < MOST_OPEN:
                await opened.room.post(Message("Architect", f"@Coder job-{self._count.jobs}", to=("Coder",)))
                self._count.jobs += 1
            await asyncio.sleep(0.1)

    async def _calm(self, opened: OpenRoom, nursery: Nursery) -> None:
        """Nobody is killed any more: everything must come to its end."""
        for pid in list(nursery.alive):
            _signal(pid, signal.SIGKILL)
        while nursery.alive:
            await asyncio.sleep(0.02)
        for role in CREW:
            nursery.bear(role)
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while len(await self._verified(opened)) < self._count.jobs:
                    await asyncio.sleep(0.1)
                while any([await opened.inbox(role, "looker").pending() for role in CREW]):
                    await asyncio.sleep(0.1)
        await asyncio.sleep(2 * LEASE)
        for role in CREW:
            await self._look_for_leftovers(opened.inbox(role, "looker"), nursery, role)

    async def _look_for_leftovers(self, inbox: Inbox, nursery: Nursery, role: str) -> None:
        """What nobody will ever work on: messages that wait, turns that are open."""
        if waiting := await inbox.pending():
            self._count.stuck.append(f"{waiting} messages to {role}")
        for pid in [pid for pid, order in nursery.alive.items() if order.role == role]:
            _signal(pid, signal.SIGKILL)
        await asyncio.sleep(3 * LEASE)
        if claim := await inbox.claim():
            self._count.stuck.append(f"turn {claim.turn} of {role}")

    async def _verified(self, opened: OpenRoom) -> set[str]:
        """The jobs that came to their end so far."""
        said = await opened.room.said(200)
        self._ended |= {job for event in said if event.sender == "QA" for job in _JOB.findall(event.content)}
        return self._ended

    async def _weigh(self, opened: OpenRoom, folder: Path) -> None:
        events = await opened.room.events(limit=10**7)
        replies: Counter[str] = Counter()
        for event in events:
            if event.kind is not Kind.TOOL and event.sender in CREW:
                replies.update(f"{event.sender} on {job}" for job in set(_JOB.findall(event.content)))
        jobs = [str(number) for number in range(self._count.jobs)]
        self._count.lost = [job for job in jobs if not replies[f"QA on {job}"]]
        self._count.doubled_replies = [what for what, times in replies.items() if times > 1]
        effects = Counter(done(folder / "effects"))
        self._count.doubled_effects = [key for key, times in effects.items() if times > 1]
        self._count.missing_effects = [
            f"{job}-{part}" for job in jobs for part in "ab" if not effects[f"{job}-{part}"]
        ]
        self._count.faults += [
            event.content for event in events if event.kind is Kind.SYSTEM and event.sender in CREW
        ]


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _server() -> RedisServer:
    program = shutil.which("redis-server")
    if program is None:
        raise SystemExit("redis-server isn't installed")
    server = RedisServer(Path(program))
    server.start()
    return server


@asynccontextmanager
async def nursery_of(server: RedisServer, folder: Path, lease: float) -> AsyncIterator[Nursery]:
    """A nursery with its endpoint and prompts; whatever it bore ends with it."""
    (folder / "prompts").mkdir()
    (folder / "prompts" / "_shared.md").write_text("Be careful.")
    for role, tools in {"Coder": "[append, probe, look]", "QA": "[look]", "Architect": "[]"}.items():
        lead = "answers_user: true\n" if role == "Architect" else ""
        head = f"tag: '@{role}'\ntitle: {role}\n{lead}tools: {tools}\nlimits: {{steps: 1000, context_tokens: 60000}}"
        text = f"---\n{head}\n---\nWork.\n"
        (folder / "prompts" / f"{role}.md").write_text(text)
    pipe = asyncio.subprocess.PIPE
    endpoint = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.chaos.endpoint", stdout=pipe)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chaos.nursery", stdin=pipe, stdout=pipe
    )
    try:
        assert endpoint.stdout
        assert process.stdout
        port = (await endpoint.stdout.readline()).decode().strip()
        assert await process.stdout.readline() == b"ready\n"
        base = Order("", "", server.url, f"http://127.0.0.1:{port}/v1", str(folder), lease)
        nursery = Nursery(process, base)
        listening = asyncio.create_task(nursery.listen())
        yield nursery
        listening.cancel()
    finally:
        for child in (process, endpoint):
            child.kill()
            await child.wait()
