"""What one ReAct step costs against a bare httpx loop, in the same run. `python -m benchmarks.react_step`

Ours is the real thing: ChatOpenAI over our transport, the real gate with its execution log, every query reserved and
settled with the governor, every step journaled to a redis-server of our own. Bare is httpx posting a growing list and
doing the same addition. Both talk to the same fake endpoint in a process of its own. Rounds are interleaved; medians
are printed, the ratio's over the rounds.
Goals: ≤ 3 × at 50 steps, ≤ 4 × at 200.
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from agents.domain.addressing import Roster
from agents.domain.budget import Budget, Prices
from agents.domain.message import Message
from agents.domain.redaction import SecretMask
from agents.domain.role import Limits, Role
from agents.domain.turn import StopReason
from agents.react.breaker import TEAM_WINDOW
from agents.react.context import Turn
from agents.react.governed import GovernedModel
from agents.react.loop import ReAct
from agents.react.models import ChatModel
from agents.react.transport import Endpoint, Timeouts, Transport
from agents.room import embedded
from agents.room.opening import RedisOpenRoom, open_room
from agents.runtime.budget import BudgetAlarm
from agents.settings import HOME
from agents.telemetry.execution_log import MarkdownExecutionLog
from agents.telemetry.ledger import Ledger
from agents.tools.assessment import Assessor
from agents.tools.gate import Books, ToolGate
from agents.tools.policy import PolicyFile
from agents.tools.registry import Act, Args, Output, Registry, Tool
from agents.tools.warrants import Warrants

SIZES = (10, 50, 200)
GOALS = {50: 3.0, 200: 4.0}
PROSE = "You add numbers with the tool `add`, one call at a time, and report the sum. " * 8
TASK = "@Coder add the numbers one after the other and report."


class Addition(Args):
    """What `add` takes."""

    a: int
    b: int


async def _add(args: Addition, act: Act) -> Output:
    return Output(str(args.a + args.b))


ADD = Tool("add", "Add two whole numbers.", Addition, _add)
TOOLS = [ADD.schema()]


@contextlib.contextmanager
def endpoint() -> Iterator[str]:
    """The fake endpoint in its own process."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.fake_endpoint"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
    finally:
        process.kill()
        process.communicate()


async def bare(http: httpx.AsyncClient, base: str, steps: int) -> None:
    """The lower bound: no journal, no gate, no log."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": PROSE}, {"role": "user", "content": TASK}]
    while True:
        body = {"model": f"fake-n{steps}", "messages": messages, "tools": TOOLS}
        message = (await http.post(f"{base}/chat/completions", json=body)).json()["choices"][0]["message"]
        messages.append(message)
        if not message.get("tool_calls"):
            return
        for call in message["tool_calls"]:
            args = json.loads(call["function"]["arguments"])
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": str(args["a"] + args["b"])})


class Ours:
    """The loop, wired as a worker wires it."""

    def __init__(self, opened: RedisOpenRoom, transport: Transport, docs: Path) -> None:
        self._opened = opened
        redactor = SecretMask(["a-secret-of-the-environment"])
        registry = Registry([ADD])
        log = MarkdownExecutionLog(docs, redactor, print)
        gate = ToolGate(
            registry,
            Books(opened.journal, log, redactor, lambda text, name: text),
            Warrants(
                Assessor(opened.room.name, redactor),
                PolicyFile((HOME / "policy.yaml").read_text, time.monotonic),
                opened.approvals,
                opened.findings,
                Ledger(docs / "ledger", opened.room.name, redactor, print),
            ),
            opened.leases,
        )
        self._models = {steps: ChatModel(transport, [f"fake-n{steps}"]) for steps in SIZES}
        team = opened.failures(TEAM_WINDOW)
        governor = opened.governor(Budget(usd=1000))
        alarm = BudgetAlarm(opened, governor, None)
        self._loops = {
            steps: ReAct(
                {"default": GovernedModel(model, governor, "Coder", Prices(), alarm)},
                gate,
                opened.journal,
                redactor,
                registry.schemas,
                team,
            )
            for steps, model in self._models.items()
        }
        limits = Limits(steps=1000, context_tokens=128_000)
        self._role = Role("Coder", "adds", (), ("add",), "default", False, limits, PROSE, "sha")
        self._inbox = opened.inbox("Coder", "bench")

    async def warm(self) -> None:
        """Import langchain before the clock runs."""
        for model in self._models.values():
            await model.warm()

    async def turn(self, steps: int) -> None:
        """One turn, from the claim to its end; only claiming and committing are left out."""
        await self._opened.room.post(Message("User", TASK, to=("Coder",)))
        claim = await self._inbox.claim()
        assert claim
        turn = Turn(self._role, Roster.of([self._role]), "", claim)
        started = time.perf_counter()
        outcome = await self._loops[steps].run(turn)
        self.seconds = time.perf_counter() - started
        await self._opened.journal.commit(claim, outcome)
        assert (outcome.reason, outcome.steps) == (StopReason.REPLIED, steps)


@contextlib.asynccontextmanager
async def ours(base: str) -> AsyncIterator[Ours]:
    """Our side with a redis-server of its own."""
    with tempfile.TemporaryDirectory() as folder:
        server = await embedded.start(Path(folder), None)
        opened = await open_room(server.url, "bench")
        transport = Transport(Endpoint(base, "none"), Timeouts())
        try:
            yield Ours(opened, transport, Path(folder))
        finally:
            await transport.aclose()
            await opened.aclose()
            await server.stop()


async def timed(run: Callable[[], Awaitable[None]]) -> float:
    """Seconds that `run` takes."""
    started = time.perf_counter()
    await run()
    return time.perf_counter() - started


async def measure(rounds: int) -> dict[int, tuple[list[float], list[float]]]:
    """Milliseconds per step by size: (bare, ours), round by round."""
    found: dict[int, tuple[list[float], list[float]]] = {steps: ([], []) for steps in SIZES}
    with endpoint() as base:
        async with httpx.AsyncClient() as http, ours(base) as loop:
            await loop.warm()
            for number in range(rounds + 1):
                for steps in SIZES:
                    plain = await timed(lambda steps=steps: bare(http, base, steps))  # type: ignore[misc]
                    await loop.turn(steps)
                    if number:  # the first round warms up
                        found[steps][0].append(plain / steps * 1e3)
                        found[steps][1].append(loop.seconds / steps * 1e3)
    return found


def main() -> int:
    """Measure and print; exit code 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    found = asyncio.run(measure(parser.parse_args().rounds))
    print(f"{'steps':>6} {'bare ms':>9} {'ours ms':>9} {'ratio':>7}  goal")
    missed = 0
    for steps, (plain, full) in found.items():
        # by round: both halves of a round saw the same load of the machine
        ratio = statistics.median(mine / theirs for mine, theirs in zip(full, plain, strict=True))
        goal = GOALS.get(steps)
        missed += goal is not None and ratio > goal
        wanted = f"≤ {goal:g}: {'met' if ratio <= goal else 'MISSED'}" if goal else "-"
        print(f"{steps:>6} {statistics.median(plain):>9.3f} {statistics.median(full):>9.3f} {ratio:>6.2f}×  {wanted}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
