"""What a journal says of an earlier try at a turn, as messages. Pair-safe: every call gets a result."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage, messages_from_dict

from agents.domain.turn import (
    Effect,
    EntryKind,
    JournalEntry,
    Outcome,
    Status,
    StopReason,
    ToolCall,
    ToolResult,
    Usage,
)
from agents.react import wording
from agents.react.messages import calls_of, content_text


@dataclass(slots=True)
class Resumed:
    """Where a turn stands. `done` pairs calls with results, by step; `outcome` is set if the turn was at its end."""

    messages: list[BaseMessage] = field(default_factory=list)
    step: int = 0
    usage: Usage = field(default_factory=Usage)
    done: list[list[tuple[ToolCall, ToolResult]]] = field(default_factory=list)
    empty: int = 0
    outcome: Outcome | None = None


def rebuild(entries: Sequence[JournalEntry]) -> Resumed:
    """The state that the entries of an earlier try lead to."""
    resumed = Resumed()
    step = _Step(resumed)
    for entry in entries:
        if entry.kind is EntryKind.REPLY:
            step.close()
            step.open(entry)
        elif entry.kind is EntryKind.NOTE:
            step.close()
            if resumed.outcome and resumed.outcome.reason is StopReason.REPLIED:
                resumed.outcome = None  # a note after a last word: it wasn't accepted
            resumed.messages.append(HumanMessage(wording.NOTE + str(entry.body["text"])))
        elif entry.kind is EntryKind.INTENT:
            step.started[entry.call] = entry.effect
        else:
            step.results[entry.call] = entry
    step.close()
    return resumed


class _Step:
    """The step whose entries are being read."""

    def __init__(self, resumed: Resumed) -> None:
        self._resumed = resumed
        self._calls: tuple[ToolCall, ...] = ()
        self.started: dict[str, Effect] = {}
        self.results: dict[str, JournalEntry] = {}

    def open(self, entry: JournalEntry) -> None:
        """Take a reply in."""
        resumed = self._resumed
        (message,) = messages_from_dict([dict(entry.body["message"])])
        resumed.step = max(resumed.step, entry.step)
        resumed.usage += Usage(**entry.body["usage"])
        resumed.outcome = None
        if not isinstance(message, AIMessage):
            raise TypeError(f"a journaled reply of type {message.type}")
        self._calls = calls_of(message)
        text = content_text(message)
        if not text and not self._calls:
            resumed.empty += 1
            return
        resumed.messages.append(message)
        if not self._calls:
            resumed.outcome = Outcome(StopReason.REPLIED, text, steps=resumed.step, usage=resumed.usage)

    def close(self) -> None:
        """Answer every call of the step."""
        pairs = [(call, self._result(call)) for call in self._calls]
        self._resumed.messages += [ToolMessage(r.content or "(no output)", tool_call_id=r.call_id) for _, r in pairs]
        for _, result in pairs:
            if result.ends:
                self._resumed.outcome = Outcome(
                    result.ends, result.content, steps=self._resumed.step, usage=self._resumed.usage
                )
        if pairs:
            self._resumed.done.append(pairs)
        self._calls, self.started, self.results = (), {}, {}

    def _result(self, call: ToolCall) -> ToolResult:
        if entry := self.results.get(call.id):
            return result_of(call.id, entry.body)
        if effect := self.started.get(call.id):
            return ToolResult(call.id, call.name, Status.UNKNOWN, wording.unknown_outcome(call.name), effect)
        return ToolResult(call.id, call.name, Status.CANCELLED, wording.interrupted(call.name))


def result_of(call_id: str, body: Any) -> ToolResult:
    """The result that a RESULT entry's body holds."""
    ends = body.get("ends")
    return ToolResult(
        call_id,
        body["name"],
        Status(body["status"]),
        body["content"],
        Effect(body["effect"]),
        float(body["seconds"]),
        StopReason(ends) if ends else None,
    )
