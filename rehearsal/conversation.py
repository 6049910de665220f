"""What a chat-completions request says: whose turn it is, what woke it, and what its tools have answered so far."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_ROLE = re.compile(r"\AYou are @(?P<role>[A-Za-z]\w*)\b")
_NOTE = re.compile(r"\A\[(?:runtime|note)\]", re.IGNORECASE)


class BadRequest(Exception):
    """A body that is no chat-completions request."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A tool call of this turn and its result."""

    tool: str
    args: Mapping[str, Any]
    content: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """One request. `earlier` holds every other text of it, newest first; `step` counts from 1."""

    role: str
    heard: str
    step: int
    results: tuple[Answered, ...] = ()
    earlier: tuple[str, ...] = ()


def read(body: Any) -> Conversation:
    """The conversation in a request body. Raise BadRequest naming what is missing."""
    messages = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise BadRequest("'messages' must be a list of objects")
    if not messages:
        raise BadRequest("'messages' is empty")
    role = _ROLE.match(text_of(messages[0]))
    if not role or messages[0].get("role") not in ("system", "developer"):
        raise BadRequest("the first message must be the system prompt, and start with 'You are @<Role> …'")
    start = _last_heard(messages)
    turn = messages[start + 1 :]
    return Conversation(
        role=role["role"],
        heard=text_of(messages[start]),
        step=1 + sum(message.get("role") == "assistant" for message in turn),
        results=tuple(_results(turn)),
        earlier=tuple(text_of(message) for message in reversed(messages[1:start])),
    )


def text_of(message: Mapping[str, Any]) -> str:
    """The text of a message, whichever of the two forms its content has."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _last_heard(messages: list[dict[str, Any]]) -> int:
    """The index of the message that woke the turn: the last from outside that is no note of the runtime."""
    for index in range(len(messages) - 1, 0, -1):
        if messages[index].get("role") == "user" and not _NOTE.match(text_of(messages[index])):
            return index
    raise BadRequest("no message of role 'user': nothing woke this turn")


def _results(turn: list[dict[str, Any]]) -> list[Answered]:
    calls: dict[str, Mapping[str, Any]] = {}
    answered = []
    for message in turn:
        for call in message.get("tool_calls") or ():
            calls[str(call.get("id"))] = call.get("function") or {}
        if message.get("role") == "tool":
            call = calls.get(str(message.get("tool_call_id")))
            if call is None:
                raise BadRequest(f"a tool result answers no call of this turn: {message.get('tool_call_id')!r}")
            answered.append(Answered(str(call.get("name")), _arguments(call), text_of(message)))
    return answered


def _arguments(call: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        args = json.loads(call.get("arguments") or "{}")
    except (TypeError, ValueError):
        return {}
    return args if isinstance(args, dict) else {}
