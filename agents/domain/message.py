"""A message: what is said in the room, and its form on the wire."""

import json
import math
import re
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
_SENDER = re.compile(r"[^\W_][\w. -]{0,63}(?:::think)?")
_HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


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
    # a model may emit half a surrogate pair or a NaN: it must not make the message unsendable
    encoded = _dumps(body).encode("utf-8", "replace")
    size = len(encoded)
    if size > MAX_MESSAGE_BYTES:
        raise MessageTooLarge(
            f"a message of {size:,} bytes from {message.sender}: the limit is {MAX_MESSAGE_BYTES:,}; "
            "save the text to a file and name its path instead"
        )
    return encoded.decode()


def _dumps(body: dict[str, Any]) -> str:
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps(_mended(body), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _mended(value: Any) -> Any:
    """The JSON value with half surrogate pairs replaced and NaN and infinities as null."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {_mended(str(key)): _mended(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_mended(item) for item in value]
    return value


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def from_wire(wire: str | bytes) -> Message:
    """The message in `wire`. Raise MalformedMessage with what is wrong with it."""
    if len(wire) > MAX_MESSAGE_BYTES + 1024:
        raise MalformedMessage(f"{len(wire):,} bytes are more than a message may have")
    try:
        body = json.loads(wire, parse_constant=_no_number)
        if _HALF_PAIR.search(wire if isinstance(wire, str) else wire.decode("utf-8", "replace")):
            body = _mended(body)
    except (ValueError, RecursionError) as error:
        raise MalformedMessage(f"not JSON: {error}") from None
    if not isinstance(body, dict):
        raise MalformedMessage(f"a JSON {type(body).__name__}, not an object")
    for name in ("sender", "content", "timestamp"):
        if not isinstance(body.get(name), str):
            raise MalformedMessage(f"no text in {name!r}")
    # the sender is shown and compared: no line breaks, escapes or blanks to hide behind
    if not _SENDER.fullmatch(body["sender"]):
        raise MalformedMessage(f"the sender {body['sender'][:80]!a} is no name")
    return _parsed(body)


def _parsed(body: dict[str, Any]) -> Message:
    """A message of a JSON object whose three original fields are known to be text."""
    thought = body["sender"].endswith(THINK_SUFFIX)
    try:
        kind = Kind(body.get("kind", Kind.THINK if thought else Kind.SAY))
        if thought and kind is not Kind.THINK:
            raise ValueError(f"a {kind.value} from {body['sender']}: only thoughts are sent under that name")
        return Message(
            sender=body["sender"].removesuffix(THINK_SUFFIX),
            content=body["content"],
            timestamp=body["timestamp"],
            kind=kind,
            to=_names(body),
            id=str(body.get("id") or new_id()),
            hops=_count(body, "hops"),
            epoch=_count(body, "epoch"),
            seq=str(body.get("seq", "")),
            data=_object(body, "data"),
            **{name: _optional_text(body, name) for name in _OPTIONAL},
        )
    except ValueError as error:
        raise MalformedMessage(str(error)) from None


def _names(body: dict[str, Any]) -> tuple[str, ...]:
    names = body.get("to", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("'to' is no list of names")
    return tuple(names)


def _count(body: dict[str, Any], name: str) -> int:
    value = body.get(name, 0)
    # a bool is an int to Python; a negative hop count would never reach the budget
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{name!r} is no count")
    return value


def _object(body: dict[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name, {})
    if not isinstance(value, dict):
        raise ValueError(f"{name!r} is no object")
    return value


def _optional_text(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    return None if value is None else str(value)
