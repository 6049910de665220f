"""What a turn writes down: journal entries and the events that show it in the room, in one round trip each."""

from dataclasses import asdict
from typing import Any

from langchain_core.messages import BaseMessage, messages_from_dict, messages_to_dict

from agents.domain.message import Kind, Message
from agents.domain.ports import Journal, Redactor
from agents.domain.role import Role
from agents.domain.turn import Claim, EntryKind, JournalEntry, ToolCall, ToolResult, unresolved
from agents.react.messages import THOUGHTS, Reply
from agents.react.wording import one_line, shortened

THOUGHT_CHARS = 20_000
ARGS_CHARS = 2_000
SHOWN_ARGS = 20  # a model may invent any number
FIRST_LINE_CHARS = 160


class Record:
    """The journal of one turn. Entries are collected and written together by `write`."""

    def __init__(self, journal: Journal, redactor: Redactor, role: Role, claim: Claim) -> None:
        self._journal = journal
        self._redactor = redactor
        self._role = role
        self._claim = claim
        self._entries: list[JournalEntry] = []
        self._events: list[Message] = []
        self._numbered = 0
        self._known = list(claim.entries)

    @property
    def unresolved(self) -> tuple[str, ...]:
        """The calls of an earlier try whose end nobody saw, nor looked for since."""
        return unresolved(self._known)

    def note(self, step: int, text: str) -> None:
        """A word of the runtime to the model."""
        self._entries.append(JournalEntry(EntryKind.NOTE, step, {"text": text}))

    def reply(self, step: int, reply: Reply) -> BaseMessage:
        """A model's answer; thoughts, and what it says while calling tools, are shown as thoughts.

        Return it redacted: what a model makes up or read elsewhere isn't sent to the next one either.
        """
        redacted = self._message(reply)
        body = {"message": redacted, "usage": asdict(reply.usage), "model": reply.model}
        self._entries.append(JournalEntry(EntryKind.REPLY, step, body))
        thoughts = "\n\n".join(filter(None, (reply.thoughts, reply.text if reply.calls else "")))
        if thoughts:
            self._event(step, Kind.THINK, shortened(self._redactor.text(thoughts), THOUGHT_CHARS), {})
        (message,) = messages_from_dict([redacted])
        return message

    def result(self, step: int, call: ToolCall, result: ToolResult) -> None:
        """A call's outcome, as journal entry and tool event."""
        body = {
            "name": result.name,
            "status": result.status.value,
            "content": result.content,
            "effect": result.effect.value,
            "seconds": round(result.seconds, 4),
            "ends": result.ends.value if result.ends else None,
        }
        self._entries.append(JournalEntry(EntryKind.RESULT, step, body, call.id, result.effect))
        first = one_line(result.content.lstrip().partition("\n")[0], FIRST_LINE_CHARS)
        data = {
            "name": one_line(result.name, 80),
            "status": result.status.value,
            "seconds": round(result.seconds, 4),
            "args": self._shown(call),
        }
        content = f"{data['name']} {data['status']} {result.seconds:.1f} s: {first}"
        self._event(step, Kind.TOOL, content, data)

    async def write(self) -> None:
        """Write what was collected. Raise LeaseLost or StaleEpoch."""
        entries, self._entries = self._entries, []
        events, self._events = self._events, []
        if entries:
            self._known += entries
            await self._journal.record(self._claim, entries, events)

    def _message(self, reply: Reply) -> dict[str, Any]:
        """The history's message as JSON; what the model wrote is redacted, ids and types are not touched."""
        (message,) = messages_to_dict([reply.message])
        data = message["data"]
        data["content"] = self._redactor.text(data["content"])
        if thoughts := data["additional_kwargs"].get(THOUGHTS):
            data["additional_kwargs"][THOUGHTS] = self._redactor.text(thoughts)
        for call in data["tool_calls"]:
            call["args"] = self._redactor.value(call["args"])
        for call in data["invalid_tool_calls"]:
            call["args"] = self._redactor.text(call["args"])
        return message

    def _event(self, step: int, kind: Kind, content: str, data: dict[str, Any]) -> None:
        self._numbered += 1
        self._events.append(
            Message(
                sender=self._role.name,
                content=content,
                kind=kind,
                # the fence: a step that is tried again after a crash shows anew
                id=f"{self._claim.turn}-{self._claim.fence}-{step}-{self._numbered}",
                turn=self._claim.turn,
                hops=self._claim.hops,
                prompt_sha=self._role.sha,
                data=data,
            )
        )

    def _shown(self, call: ToolCall) -> dict[str, Any]:
        """The arguments, redacted, each long text cut."""
        if call.args is None:
            return {"raw": one_line(self._redactor.text(call.raw), ARGS_CHARS)}
        args = list(self._redactor.value(call.args).items())[:SHOWN_ARGS]
        return {one_line(name, 80): _cut(value) for name, value in args}


def _cut(value: Any) -> Any:
    text = value if isinstance(value, str) else str(value)
    return value if len(text) <= ARGS_CHARS else shortened(text, ARGS_CHARS)
