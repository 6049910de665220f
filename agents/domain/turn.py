"""A turn: one addressed batch of messages → one reply, in steps; and its journal."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from agents.domain.message import Message

_ARGS_CHARS = 300  # of a call's arguments in one line


class Effect(StrEnum):
    """What a call does to the world, from harmless to irreversible."""

    READ = "read"
    WRITE = "write"
    MUTATE = "mutate"
    DESTROY = "destroy"


class StopReason(StrEnum):
    """Why a turn ended."""

    REPLIED = "replied"
    DONE = "done"
    AWAITING_INPUT = "awaiting_input"
    ESCALATED = "escalated"
    STEP_LIMIT = "step_limit"
    STOPPED = "stopped"
    OVER_BUDGET = "over_budget"
    FAILED = "failed"


class Status(StrEnum):
    """How a tool call ended. `unknown`: it was started and nobody saw the end."""

    OK = "ok"
    ERROR = "error"
    DENIED = "denied"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's wish. `args` is None where the model sent no JSON object; `raw` is what it sent."""

    id: str
    name: str
    args: Mapping[str, Any] | None
    raw: str = ""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What came of a call, as the model reads it: redacted and capped.

    `ends` is set by tools that end the turn (`finish`, `ask_user`); `seconds` is wall time.
    """

    call_id: str
    name: str
    status: Status
    content: str
    effect: Effect = Effect.READ
    seconds: float = 0.0
    ends: StopReason | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one query. `estimated` where the server didn't say."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.estimated or other.estimated,
        )


class EntryKind(StrEnum):
    """Kinds of journal entries, in the order a step writes them."""

    REPLY = "reply"  # the model's answer, with usage
    INTENT = "intent"  # a call that isn't a mere read is about to start
    RESULT = "result"  # the call's outcome
    NOTE = "note"  # what the runtime told the model (a warning, a nudge)


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One line of a turn's journal. `body` is JSON; `call` is the tool call's id where there is one."""

    kind: EntryKind
    step: int
    body: Mapping[str, Any]
    call: str = ""
    effect: Effect = Effect.READ


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as it lies in an inbox: `entry` is the id to acknowledge."""

    entry: str
    message: Message


@dataclass(frozen=True, slots=True)
class Claim:
    """A turn this worker holds: its batch, and what the journal says of an earlier try.

    `fence` rises at each take-over; every write of an older fence is refused (LeaseLost).
    `attempt` counts from 1.
    """

    turn: str
    role: str
    consumer: str
    fence: int
    epoch: int
    deliveries: tuple[Delivery, ...]
    entries: tuple[JournalEntry, ...] = ()
    attempt: int = 1

    @property
    def hops(self) -> int:
        """The deepest hop count of the batch."""
        return max((d.message.hops for d in self.deliveries), default=0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a turn ended and what it says. `text` is for the room; `detail` for the log.

    `unresolved`: calls whose end nobody saw and nobody looked for since, a line each.
    """

    reason: StopReason
    text: str = ""
    detail: str = ""
    steps: int = 0
    usage: Usage = field(default_factory=Usage)
    unresolved: tuple[str, ...] = ()


def unresolved(entries: Iterable[JournalEntry]) -> tuple[str, ...]:
    """The calls in a journal that were started and whose end nobody saw, nor looked for since, a line each.

    A read that worked counts as a look, and so does a call of the same tool that worked.
    """
    open_calls: dict[str, tuple[str, str]] = {}
    for entry in entries:
        name = str(entry.body.get("name", ""))
        if entry.kind is EntryKind.INTENT:
            open_calls[entry.call] = (name, f"{name}({_shown(entry.body.get('args'))})")
        elif entry.kind is EntryKind.RESULT:
            open_calls.pop(entry.call, None)
            if entry.body.get("status") == Status.OK:
                looked = entry.effect is Effect.READ
                open_calls = {} if looked else {k: v for k, v in open_calls.items() if v[0] != name}
    return tuple(line for _, line in open_calls.values())


def _shown(args: Any) -> str:
    text = json.dumps(args, ensure_ascii=False, default=str)
    return text if len(text) <= _ARGS_CHARS else text[:_ARGS_CHARS] + "…"
