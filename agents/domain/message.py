"""A message: what is said in the room, and its form on the wire."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from agents.domain.errors import MalformedMessage, MessageTooLarge

MAX_MESSAGE_BYTES = 256 * 1024
USER = "User"
SYSTEM = "System"
THINK_SUFFIX = "::think"


class Kind(StrEnum):
    """What a message is; only an addressed `say` wakes an agent."""

    SAY = "say"
    THINK = "think"
    TOOL = "tool"
    CONTROL = "control"
    APPROVAL = "approval"
    SYSTEM = "system"


def new_id() -> str:
    """A fresh message, turn or call id: 32 hex digits."""
    return uuid.uuid4().hex


def now() -> str:
    """The time in UTC, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True, slots=True)
class Message:
    """One event in the room. `seq` and `epoch` are given by the room when it is posted.

    `to` holds role names. `data` is what programs read of a tool, control or approval event
    (a tool's name and status, a STOP's receipt); `content` is what people read.
    """

    sender: str
    content: str
    kind: Kind = Kind.SAY
    to: tuple[str, ...] = ()
    id: str = field(default_factory=new_id)
    timestamp: str = field(default_factory=now)
    reply_to: str | None = None
    turn: str | None = None
    hops: int = 0
    prompt_sha: str | None = None
    sig: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    epoch: int = 0
    seq: str = ""

    @property
    def shown_sender(self) -> str:
        """The sender as shown: thoughts carry `<Role>::think`."""
        return self.sender + THINK_SUFFIX if self.kind is Kind.THINK else self.sender

    def with_place(self, seq: str, epoch: int) -> "Message":
        """The same message as the room stored it."""
        return replace(self, seq=seq, epoch=epoch)


_OPTIONAL = ("reply_to", "turn", "prompt_sha", "sig")


def to_wire(message: Message) -> str:
    """The message as one JSON object, without `seq` and `epoch`: the room adds those two.

    Raise MessageTooLarge over 256 KiB of UTF-8.
    """
    body: dict[str, Any] = {
        "sender": message.shown_sender,
        "content": message.content,
        "timestamp": message.timestamp,
        "id": message.id,
        "kind": message.kind.value,
        "to": list(message.to),
        "hops": message.hops,
    }
    body.update({name: value for name in _OPTIONAL if (value := getattr(message, name)) is not None})
    if message.data:
        body["data"] = dict(message.data)
    # a model may emit half a surrogate pair: it must not make the message unsendable
    encoded = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    size = len(encoded)
    if size > MAX_MESSAGE_BYTES:
        raise MessageTooLarge(
            f"a message of {size:,} bytes from {message.sender}: the limit is {MAX_MESSAGE_BYTES:,}; "
            "save the text to a file and name its path instead"
        )
    return encoded.decode()


def from_wire(wire: str | bytes) -> Message:
    """The message in `wire`. Raise MalformedMessage with what is wrong with it."""
    if len(wire) > MAX_MESSAGE_BYTES + 1024:
        raise MalformedMessage(f"{len(wire):,} bytes are more than a message may have")
    try:
        body = json.loads(wire)
    except (ValueError, RecursionError) as error:
        raise MalformedMessage(f"not JSON: {error}") from None
    if not isinstance(body, dict):
        raise MalformedMessage(f"a JSON {type(body).__name__}, not an object")
    for name in ("sender", "content", "timestamp"):
        if not isinstance(body.get(name), str):
            raise MalformedMessage(f"no text in {name!r}")
    return _parsed(body)


def _parsed(body: dict[str, Any]) -> Message:
    """A message of a JSON object whose three original fields are known to be text."""
    try:
        kind = Kind(body.get("kind", "say"))
        to = tuple(str(role) for role in body.get("to", ()))
        data = body.get("data", {})
        if not isinstance(data, dict):
            raise TypeError("data is no object")
        return Message(
            sender=body["sender"].removesuffix(THINK_SUFFIX) if kind is Kind.THINK else body["sender"],
            content=body["content"],
            timestamp=body["timestamp"],
            kind=kind,
            to=to,
            id=str(body.get("id") or new_id()),
            hops=int(body.get("hops", 0)),
            epoch=int(body.get("epoch", 0)),
            seq=str(body.get("seq", "")),
            data=data,
            **{name: _optional_text(body, name) for name in _OPTIONAL},
        )
    except (TypeError, ValueError) as error:
        raise MalformedMessage(str(error)) from None


def _optional_text(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    return None if value is None else str(value)
