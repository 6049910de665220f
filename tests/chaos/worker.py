"""An agent for the chaos runs: the real listener, loop, gate and journal, with a tool whose effects are counted."""

import asyncio
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import structlog

from agents.domain.mission import Mission
from agents.domain.redaction import SecretMask
from agents.domain.role import Role
from agents.domain.turn import Claim, Effect, Outcome
from agents.react.context import Turn
from agents.react.loop import ReAct
from agents.react.models import ChatModel
from agents.react.transport import Endpoint, Timeouts, Transport
from agents.room import open_room
from agents.runtime.control import Halted, Switchboard
from agents.runtime.listener import Agent, Limits, Progress
from agents.runtime.prompts import PromptLibrary
from agents.tools.assessment import Assessor
from agents.tools.gate import Books, ToolGate
from agents.tools.policy import PolicyFile
from agents.tools.registry import Act, Args, Output, Registry, Tool
from agents.tools.warrants import Warrants
from tests.chaos.crashes import Crash, Doomed
from tests.support.gates import RecordedLedger
from tests.support.team import RecordedLog

POLICY = """
version: 1
level: free
risk_threshold: 1.0
levels:
  free:
    - name: the run counts what happens, and lets it happen
      effect: [read, write, mutate]
      then: allow
"""


@dataclass(frozen=True)
class Order:
    """What a worker is told at its birth: `crash` and `hold` are points of `crashes.POINTS`, or empty.

    `hold` may also be `begin:n:sent`. `pace`: seconds it takes to begin a turn.
    """

    role: str
    consumer: str
    url: str
    endpoint: str
    folder: str
    lease: float = 0.4
    crash: str = ""
    hold: str = ""
    deaths: int = 10**9
    room: str = "chaos"
    pace: float = 0.0


class Keyed(Args):
    """What is appended, or looked for."""

    key: str


class Nothing(Args):
    """No arguments."""


class Effects:
    """A file of unique effects: nothing keeps it from being told the same twice."""

    def __init__(self, path: Path, crash: Crash) -> None:
        self._path = path
        self._crash = crash

    async def append(self, args: Keyed, act: Act) -> Output:
        """Do it: one line, in one write."""
        self._crash.come("effect", "before")
        line = f"{args.key} {act.claim.turn} {act.claim.fence} {os.getpid()}\n".encode()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, line)
        os.close(descriptor)
        self._crash.come("effect", "after")
        await asyncio.sleep(0.005)
        return Output(f"appended {args.key}")

    async def probe(self, args: Keyed, act: Act) -> Output:
        """Look whether it was done."""
        return Output("present" if args.key in done(self._path) else "absent")

    async def look(self, args: Nothing, act: Act) -> Output:
        """Read something."""
        return Output(f"seen {len(done(self._path))} effects")

    def tools(self) -> Registry:
        """The tools of the run."""
        return Registry(
            [
                Tool("append", "Do an effect.", Keyed, self.append, Effect.MUTATE),
                Tool("probe", "Look whether an effect was done.", Keyed, self.probe),
                Tool("look", "Look around.", Nothing, self.look),
            ]
        )


def done(path: Path) -> list[str]:
    """The keys of the effects in the file, in order."""
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


def gate_of(opened: Doomed, registry: Registry) -> ToolGate:
    """The real gate with a policy that lets every act pass."""
    mask = SecretMask()
    policy = PolicyFile(lambda: POLICY, time.monotonic)
    assessor = Assessor(opened.room.name, mask)
    warrants = Warrants(assessor, policy, opened.approvals, opened.findings, RecordedLedger())
    return ToolGate(
        registry, Books(opened.journal, RecordedLog(), mask, lambda text, name: text), warrants, opened.leases
    )


async def work(order: Order) -> None:
    """Be the agent of the order until killed."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    crash, hold, folder = Crash(order.crash), Crash(order.hold, signal.SIGSTOP), Path(order.folder)
    hold.between_sending_and_reading("begin")
    opened = Doomed(Doomed(await open_room(order.url, order.room, lease=order.lease), crash), hold)
    registry = Effects(folder / "effects", crash).tools()
    gate = gate_of(opened, registry)
    prompts = PromptLibrary(folder / "prompts")
    model = crash.around(ChatModel(Transport(Endpoint(order.endpoint, "none"), Timeouts()), ["chaos"]), "query")
    react = ReAct({"default": model}, gate, opened.journal, SecretMask(), registry.schemas)

    async def reason(role: Role, claim: Claim, progress: Progress) -> Outcome:
        if order.pace:
            await asyncio.sleep(order.pace)
        turn = Turn(role, prompts.roster(), "", claim, mission=Mission(), progress=progress)
        return await react.run(turn)

    async def halt(role: str | None) -> Halted:
        return Halted()

    limits = Limits(lease=order.lease, poll=0.05, window=5, deaths=order.deaths, hop_budget=1000)
    agent = Agent(order.role, order.consumer, "here", opened, prompts, reason, SecretMask(), limits)
    async with asyncio.TaskGroup() as group:
        group.create_task(agent.run())
        group.create_task(Switchboard(opened, [agent], halt).run())
