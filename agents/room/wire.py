"""Messages, journal entries and outcomes as Redis keeps them, and back."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from agents.domain.message import Kind, Message, from_wire, to_wire
from agents.domain.turn import Effect, EntryKind, JournalEntry, Outcome

# what people and prompts read as the conversation
SAID = frozenset({Kind.SAY, Kind.SYSTEM})
# recorded and shown, never delivered, whatever their `to` says
_UNDELIVERED = frozenset({Kind.THINK, Kind.TOOL, Kind.CONTROL})


def sendable(message: Message) -> Message:
    """`message` with content that UTF-8 can carry: half a surrogate pair becomes a question mark."""
    return message if message.content.isascii() else replace(message, content=_utf8(message.content).decode())


def encoded(message: Message) -> bytes:
    """The wire form as bytes. Raise MessageTooLarge."""
    return _utf8(to_wire(message))


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def said_flag(message: Message) -> str:
    """'1' if the message belongs to the conversation."""
    return "1" if message.kind in SAID else ""


def delivered_to(message: Message) -> tuple[str, ...]:
    """The roles in whose inbox the message belongs, each once."""
    return () if message.kind in _UNDELIVERED else tuple(dict.fromkeys(message.to))


def placed(message: Message, place: bytes) -> Message:
    """`message` at the place a script answered: "<seq> <epoch>"."""
    seq, epoch = place.decode().split()
    return message.with_place(seq, int(epoch))


def stored(seq: bytes, wire: bytes, epoch: bytes) -> Message:
    """A message of a stream entry. Raise MalformedMessage."""
    return from_wire(wire).with_place(seq.decode(), int(epoch))


def of_entries(entries: Sequence[Any]) -> Iterator[Message]:
    """The messages of stream entries. Raise MalformedMessage."""
    for seq, fields in entries:
        yield stored(seq, fields[1], fields[3])


def dumped(value: Any) -> str:
    """Compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def entry_to_text(entry: JournalEntry) -> str:
    """A journal entry as JSON."""
    return dumped(
        {
            "kind": entry.kind.value,
            "step": entry.step,
            "body": dict(entry.body),
            "call": entry.call,
            "effect": entry.effect.value,
        }
    )


def entry_from_text(text: bytes) -> JournalEntry:
    """A journal entry of its JSON."""
    fields = json.loads(text)
    return JournalEntry(
        EntryKind(fields["kind"]), fields["step"], fields["body"], fields["call"], Effect(fields["effect"])
    )


def acts(entries: Sequence[JournalEntry]) -> int:
    """How many of `entries` start something that changes the world."""
    changing = (Effect.MUTATE, Effect.DESTROY)
    return sum(entry.kind is EntryKind.INTENT and entry.effect in changing for entry in entries)


def outcome_to_text(outcome: Outcome) -> str:
    """An outcome as JSON, without its text: that is in the log."""
    return dumped(
        {
            "reason": outcome.reason.value,
            "detail": outcome.detail,
            "steps": outcome.steps,
            "input_tokens": outcome.usage.input_tokens,
            "output_tokens": outcome.usage.output_tokens,
            "cached_tokens": outcome.usage.cached_tokens,
            "estimated": outcome.usage.estimated,
        }
    )
