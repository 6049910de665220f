"""Doubles for the loop's neighbours: a model that plays a script, a gate and a journal."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from agents.domain.addressing import Roster
from agents.domain.effect import EffectRecord, EffectState, Lease
from agents.domain.message import Message
from agents.domain.ports import Journal, TurnContext
from agents.domain.redaction import SecretMask
from agents.domain.role import Limits, Role
from agents.domain.turn import (
    Claim,
    Delivery,
    Effect,
    EntryKind,
    JournalEntry,
    Outcome,
    Status,
    ToolCall,
    ToolResult,
    Usage,
)
from agents.react.context import Turn
from agents.react.loop import ReAct
from agents.react.messages import Reply, history_message
from agents.react.models import Model

SECRET = "hunter2-hunter2"


def role(name: str = "Coder", **limits: Any) -> Role:
    return Role(
        name, "writes code", (), ("look", "save"), "default", False, Limits(**limits), "You write code.", "sha"
    )


def claim(*texts: str, entries: Sequence[JournalEntry] = (), sender: str = "Architect") -> Claim:
    batch = tuple(Delivery(str(n), Message(sender, text, id=f"m{n}")) for n, text in enumerate(texts or ("go",)))
    return Claim("turn1", "Coder", "c1", 1, 0, batch, tuple(entries))


def turn(*texts: str, entries: Sequence[JournalEntry] = (), **limits: Any) -> Turn:
    me = role(**limits)
    return Turn(me, Roster.of([me, role("Architect")]), "Be brief.", claim(*texts, entries=entries))


def says(text: str, thoughts: str = "") -> Reply:
    return Reply(history_message(text, ()), text, thoughts, (), Usage(10, 2), "scripted")


def calls(*wanted: ToolCall, text: str = "", thoughts: str = "") -> Reply:
    return Reply(history_message(text, wanted, thoughts), text, thoughts, wanted, Usage(10, 2), "scripted")


def call(call_id: str, name: str = "look", **args: Any) -> ToolCall:
    return ToolCall(call_id, name, args)


@dataclass
class ScriptedModel:
    """Plays replies and errors in order; keeps what it was asked."""

    script: list[Reply | Exception]
    asked: list[list[BaseMessage]] = field(default_factory=list)

    async def query(self, messages: Sequence[BaseMessage], schemas: Sequence[dict[str, Any]]) -> Reply:
        assert_paired(messages)
        self.asked.append(list(messages))
        line = self.script.pop(0)
        if isinstance(line, Exception):
            raise line
        return line


@dataclass
class RecordingJournal:
    """Keeps what is recorded, batch by batch, in one `story` with what the gate does."""

    story: list[str] = field(default_factory=list)
    entries: list[JournalEntry] = field(default_factory=list)
    events: list[Message] = field(default_factory=list)

    async def record(self, claim: Claim, entries: Sequence[JournalEntry], events: Sequence[Message] = ()) -> None:
        self.story.append("+".join(entry.kind.value for entry in entries))
        self.entries += entries
        self.events += events

    async def commit(self, claim: Claim, outcome: Outcome, replies: Sequence[Message] = ()) -> list[Message]:
        raise AssertionError("the loop commits nothing")

    async def begin_effect(
        self, claim: Claim, intent: JournalEntry, *, approval: str | None, digest: str, lease: Lease | None = None
    ) -> str:
        raise AssertionError("effects are the gate's")

    async def end_effect(self, effect: str, state: EffectState) -> None:
        raise AssertionError("effects are the gate's")

    async def effects(self) -> list[EffectRecord]:
        raise AssertionError("effects are the gate's")


Act = Callable[[ToolCall], ToolResult | Awaitable[ToolResult]]


@dataclass
class ScriptedGate:
    """`save` writes, everything else reads; answers by `act`, journals INTENT as the port says."""

    journal: Journal
    story: list[str]
    act: Act
    carried_out: list[str] = field(default_factory=list)

    def effect(self, call: ToolCall, turn: TurnContext) -> Effect:
        return Effect.WRITE if call.name == "save" else Effect.READ

    async def call(self, call: ToolCall, turn: TurnContext) -> ToolResult:
        effect = self.effect(call, turn)
        if effect is not Effect.READ:
            entry = JournalEntry(EntryKind.INTENT, turn.step, {"name": call.name, "args": {}}, call.id, effect)
            await self.journal.record(turn.claim, [entry])
        self.story.append(f"run {call.id}")
        self.carried_out.append(call.id)
        result = self.act(call)
        return await result if isinstance(result, Awaitable) else result


def ok(call: ToolCall, content: str = "fine") -> ToolResult:
    effect = Effect.WRITE if call.name == "save" else Effect.READ
    return ToolResult(call.id, call.name, Status.OK, content, effect, 0.1)


def failed(call: ToolCall, content: str = "no such file") -> ToolResult:
    return ToolResult(call.id, call.name, Status.ERROR, content)


class Stage:
    """A loop with all its doubles."""

    def __init__(
        self,
        *script: Reply | Exception,
        act: Act = ok,
        team: Any = None,
        objections: Sequence[str | None] = (),
        tiers: Mapping[str, Model] | None = None,
    ) -> None:
        self.model = ScriptedModel(list(script))
        self.journal = RecordingJournal()
        self.gate = ScriptedGate(self.journal, self.journal.story, act)
        self.loop = ReAct(
            {"default": self.model, **(tiers or {})},
            self.gate,
            self.journal,
            SecretMask([SECRET]),
            lambda tools: [],
            team,
            self._object if objections else None,
        )
        self._objections = list(objections)

    async def _object(self, role: Role, text: str) -> str | None:
        return self._objections.pop(0)

    async def play(self, turn: Turn) -> Outcome:
        return await self.loop.run(turn)

    def last_asked(self) -> str:
        return "\n".join(str(message.content) for message in self.model.asked[-1])


def assert_paired(messages: Sequence[BaseMessage]) -> None:
    """Every call is answered right after it, every result answers a call."""
    waiting: list[str] = []
    for message in messages:
        if message.type == "tool":
            waiting.remove(message.tool_call_id)  # type: ignore[attr-defined]
            continue
        assert not waiting, f"unanswered before {message}: {waiting}"
        if isinstance(message, AIMessage):
            waiting = [str(c["id"]) for c in (*message.tool_calls, *message.invalid_tool_calls)]
    assert not waiting, f"unanswered: {waiting}"
