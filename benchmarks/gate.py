"""What the gate costs beside the act itself: a read, a write, an approved act, on a real Redis.

`python -m benchmarks.gate [--calls N]`. Goals: a read ≤ 0.5 ms, an approved act ≤ 5 ms (medians). The tools do
nothing, the approval is given before the clock starts; material is a small folder that is read and hashed twice.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from agents.domain.approval import Decision
from agents.domain.message import USER, Kind, Message
from agents.domain.ports import TurnContext
from agents.domain.redaction import SecretMask
from agents.domain.role import Limits, Role
from agents.domain.turn import Effect, Status, ToolCall
from agents.executors.snapshot import snapshot
from agents.executors.workspace import Workspace
from agents.room import embedded
from agents.room.opening import RedisOpenRoom, open_room
from agents.settings import HOME
from agents.telemetry.execution_log import MarkdownExecutionLog
from agents.telemetry.ledger import Ledger
from agents.tools.assessment import Assessor
from agents.tools.gate import Books, ToolGate
from agents.tools.material import Material
from agents.tools.policy import PolicyFile
from agents.tools.registry import Act, Args, Output, Registry, Tool
from agents.tools.warrants import Warrants

READ_GOAL, ACT_GOAL = 0.5, 5.0  # ms
ROLE = Role(
    "DevOps", "applies", (), ("look", "save", "change"), "default", False, Limits.model_validate({}), "", "sha"
)


class Number(Args):
    """What every tool here takes."""

    n: int


@dataclass
class Bench:
    """A gate over a room on Redis, and a turn to call it from."""

    opened: RedisOpenRoom
    gate: ToolGate
    turn: TurnContext

    async def call(self, tool: str, number: int) -> float:
        """Milliseconds of one call."""
        started = time.perf_counter()
        result = await self.gate.call(ToolCall(f"c{number}", tool, {"n": number}), self.turn)
        assert result.status is Status.OK, result.content
        return (time.perf_counter() - started) * 1000

    async def approved(self, number: int) -> float:
        """Milliseconds of an act that waits for nobody: it was approved when it was asked for the first time."""
        asking = asyncio.create_task(self.call("change", number))
        while not (waiting := await self.opened.approvals.open()):
            await asyncio.sleep(0.002)
        approval = waiting[0][0]
        asking.cancel()
        await asyncio.wait([asking])
        decision = Decision("Security", True, approval.digest, time.time())
        await self.opened.approvals.decide(approval.id, decision, Message("Security", "approved", Kind.APPROVAL))
        return await self.call("change", number)


def tools(workspace: Workspace) -> list[Tool[Number]]:
    """Three tools that do nothing."""

    async def nothing(args: Number, act: Act) -> Output:
        return Output("done")

    async def material(args: Number) -> Material:
        shot = await asyncio.to_thread(snapshot, workspace, ["config/site"])
        return Material({"tree": shot.sha}, ("config/site",), ("localhost",), ("host:localhost",))

    return [
        Tool("look", "look", Number, nothing, Effect.READ),
        Tool("save", "save", Number, nothing, Effect.WRITE),
        Tool("change", "change", Number, nothing, Effect.MUTATE, material=material),
    ]


async def bench(opened: RedisOpenRoom, home: Path) -> Bench:
    """Everything in place."""
    workspace = Workspace({name: home / "space" / name for name in ("infra", "config", "docs", "tmp")})
    for number in range(3):
        workspace.write_text(f"config/site/{number}.yml", "- hosts: localhost\n" * 40)
    mask, registry = SecretMask(["a-secret-value"]), Registry(tools(workspace))
    ledger = Ledger(home / "ledger", "bench", mask, print)
    warrants = Warrants(
        Assessor("bench", mask),
        PolicyFile((HOME / "policy.yaml").read_text, time.monotonic, tools=()),
        opened.approvals,
        opened.findings,
        ledger,
    )
    log = MarkdownExecutionLog(home / "docs", mask, print)
    gate = ToolGate(registry, Books(opened.journal, log, mask, lambda text, name: text), warrants, opened.leases)
    await opened.room.post(Message(USER, "go", to=("DevOps",)))
    claim = await opened.inbox("DevOps", "bench").claim()
    assert claim is not None
    return Bench(opened, gate, TurnContext(ROLE, claim, 1))


async def measured(call: Callable[[int], Awaitable[float]], calls: int, start: int) -> list[float]:
    """The milliseconds of `calls` calls, after a few that don't count."""
    for number in range(start, start + 5):
        await call(number)
    return [await call(number) for number in range(start + 5, start + 5 + calls)]


async def run(calls: int) -> bool:
    """Measure and print; whether the goals are met."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        server = await embedded.start(home / "state", None)
        opened = await open_room(server.url, "bench", patience=10, lease=600)
        try:
            made = await bench(opened, home)
            rows = (
                ("read", await measured(lambda n: made.call("look", n), calls * 5, 0), READ_GOAL),
                ("write", await measured(lambda n: made.call("save", n), calls * 2, 100_000), None),
                ("approved act", await measured(made.approved, calls, 200_000), ACT_GOAL),
            )
        finally:
            await opened.aclose()
            await server.stop()
    print(f"on {server.kind}; ms per call, the act itself does nothing")
    for name, times, goal in rows:
        high = statistics.quantiles(times, n=100)[98]
        aim = f"  goal ≤ {goal:g}" if goal else ""
        print(f"{name:13} median {statistics.median(times):6.3f}  p99 {high:6.3f}{aim}")
    return all(goal is None or statistics.median(times) <= goal for _, times, goal in rows)


def main() -> int:
    """The exit code: 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100)
    return 0 if asyncio.run(run(parser.parse_args().calls)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
