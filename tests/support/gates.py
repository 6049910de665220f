"""A gate over an in-memory room, with the shipped policy and a ledger that keeps its lines."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agents.domain.ports import TurnContext
from agents.domain.redaction import SecretMask
from agents.domain.turn import ToolCall, ToolResult
from agents.room.in_memory import InMemoryRoom
from agents.tools.assessment import Assessor
from agents.tools.gate import Books, ToolGate
from agents.tools.policy import PolicyFile
from agents.tools.registry import Registry, Tool
from agents.tools.warrants import Warrants
from tests.conftest import REPOSITORY
from tests.support.team import RecordedLog

CAP = 8000
SHIPPED = (REPOSITORY / "policy.yaml").read_text()


class RecordedLedger:
    """A ledger that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, Mapping[str, Any]]] = []

    def append(self, kind: str, body: Mapping[str, Any]) -> str:
        """Keep the line."""
        self.lines.append((kind, dict(body)))
        return f"line {len(self.lines)}"

    def note(self, kind: str, body: Mapping[str, Any]) -> None:
        """Keep the line."""
        self.append(kind, body)

    def kinds(self) -> list[str]:
        """The kinds of the lines, in order."""
        return [kind for kind, _ in self.lines]


@dataclass
class Text:
    """A policy file's text, as it is now."""

    text: str = SHIPPED

    def read(self) -> str:
        """The text."""
        return self.text


def at_level(level: str) -> str:
    """The shipped policy at another level."""
    return SHIPPED.replace("level: guarded", f"level: {level}")


@dataclass
class Guarded:
    """A gate, and what stands around it."""

    opened: InMemoryRoom
    tools: Iterable[Tool[Any]]
    policy: Text = field(default_factory=Text)
    mask: SecretMask = field(default_factory=lambda: SecretMask(["open-sesame-42"]))
    lifetime: float = 60.0
    lease_wait: float = 0.0
    ledger: RecordedLedger = field(default_factory=RecordedLedger)

    def __post_init__(self) -> None:
        self.log, self.complaints = RecordedLog(), list[str]()
        self.registry = Registry(self.tools)
        # looked at anew at each call
        self.policy_file = PolicyFile(self.policy.read, iter(range(0, 10**9, 10)).__next__)
        self.warrants = Warrants(
            Assessor(self.opened.room.name, self.mask),
            self.policy_file,
            self.opened.approvals,
            self.opened.findings,
            self.ledger,
            self.complaints.append,
            self.lifetime,
        )
        books = Books(self.opened.journal, self.log, self.mask, lambda text, name: text[:CAP])
        self.gate = ToolGate(self.registry, books, self.warrants, self.opened.leases, lease_wait=self.lease_wait)

    async def call(self, turn: TurnContext, name: str, args: Mapping[str, Any], id: str = "c1") -> ToolResult:
        """Call a tool in the turn."""
        return await self.gate.call(ToolCall(id, name, args), turn)

    def schemas(self, allowed: Sequence[str]) -> list[dict[str, Any]]:
        """The tools as functions."""
        return self.registry.schemas(allowed)
