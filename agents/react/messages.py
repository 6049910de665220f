"""A model's reply, read leniently: thoughts taken out of the text, tool calls mended or kept as what they are."""

import ast
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, InvalidToolCall
from langchain_core.messages.tool import ToolCall as WireCall
from langchain_core.messages.tool import invalid_tool_call, tool_call

from agents.domain.message import new_id
from agents.domain.turn import ToolCall, Usage

CHARS_PER_TOKEN = 4
MAX_REPAIR_CHARS = 1_000_000
THOUGHTS = "reasoning_content"  # as providers name the field
EXTRAS = "extra_content"

_THINK = r"(?:think|thinking|thought|reasoning)"
_CLOSED = re.compile(rf"<({_THINK})>(.*?)</\1>", re.DOTALL | re.IGNORECASE)
_UNCLOSED = re.compile(rf"<{_THINK}>(.*)\Z", re.DOTALL | re.IGNORECASE)
_HEADLESS = re.compile(rf"\A(.*)</{_THINK}>", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"\A```[\w-]*\s*\n?(.*?)\n?\s*```\Z", re.DOTALL)
_WRITTEN_CALL = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)
_STRING_OR_COMMA = re.compile(r'"(?:[^"\\]|\\.)*"|,(?=\s*[}\]])', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered. `message` goes into the history; `thoughts` never reach `text`."""

    message: AIMessage
    text: str
    thoughts: str
    calls: tuple[ToolCall, ...]
    usage: Usage
    model: str
    cut: bool = False  # at the model's output limit


def reply_of(
    message: AIMessage, chunks: Sequence[Mapping[str, Any]], usage: Usage, model: str, *, cut: bool = False
) -> Reply:
    """The reply in `message`, whose tool calls arrived as `chunks` with name, args (text) and id."""
    text, thoughts = split_thoughts(content_text(message))
    if not chunks and (written := _written_calls(text)):
        text, chunks = "", written
    calls = tuple(_calls(chunks))
    signed = zip(calls, message.additional_kwargs.get(EXTRAS, ()), strict=False)
    extras = {call.id: extra for call, extra in signed if extra}
    return Reply(history_message(text, calls, thoughts, extras), text, thoughts, calls, usage, model, cut)


def content_text(message: BaseMessage) -> str:
    """The text of a message, also where its content is a list of parts."""
    if isinstance(message.content, str):
        return message.content
    parts = (part if isinstance(part, str) else part.get("text", "") for part in message.content)
    return "".join(str(part) for part in parts)


def split_thoughts(text: str) -> tuple[str, str]:
    """(what is said, what was only thought). A block that is never closed is thought to its end."""
    if "<" not in text:
        return text.strip(), ""
    thoughts = [match[2] for match in _CLOSED.finditer(text)]
    text = _CLOSED.sub("", text)
    for pattern in (_HEADLESS, _UNCLOSED):
        if match := pattern.search(text):
            thoughts.append(match[1])
            text = text[: match.start()] + text[match.end() :]
    return text.strip(), "\n".join(part.strip() for part in thoughts if part.strip())


def history_message(
    text: str, calls: Sequence[ToolCall], thoughts: str = "", extras: Mapping[str, Any] | None = None
) -> AIMessage:
    """The reply as the history keeps it. What was no JSON object stays visible as an invalid call.

    `thoughts` are for providers that demand them back, `extras` what a provider attached to calls, by their ids.
    """
    beside: dict[str, Any] = {THOUGHTS: thoughts} if thoughts else {}
    if extras:
        beside[EXTRAS] = dict(extras)
    valid: list[WireCall] = [tool_call(name=c.name, args=dict(c.args), id=c.id) for c in calls if c.args is not None]
    invalid: list[InvalidToolCall] = [
        invalid_tool_call(name=c.name, args=c.raw, id=c.id, error="not a JSON object")
        for c in calls
        if c.args is None
    ]
    return AIMessage(content=text, tool_calls=valid, invalid_tool_calls=invalid, additional_kwargs=beside)


def calls_of(message: AIMessage) -> tuple[ToolCall, ...]:
    """The calls in a message of the history."""
    valid = [ToolCall(call["id"] or "", call["name"], call["args"]) for call in message.tool_calls]
    invalid = [
        ToolCall(call["id"] or "", call["name"] or "", None, call["args"] or "")
        for call in message.invalid_tool_calls
    ]
    return (*valid, *invalid)


def with_unique_ids(reply: Reply, taken: set[str]) -> Reply:
    """The reply, its call ids unlike those in `taken` (servers that number from zero repeat them each step)."""
    if not any(call.id in taken for call in reply.calls):
        return reply
    calls = tuple(replace(call, id=_fresh_id()) if call.id in taken else call for call in reply.calls)
    signed = reply.message.additional_kwargs.get(EXTRAS, {})
    extras = {new.id: signed[old.id] for old, new in zip(reply.calls, calls, strict=True) if old.id in signed}
    return replace(reply, calls=calls, message=history_message(reply.text, calls, reply.thoughts, extras))


def arguments(raw: str) -> dict[str, Any] | None:
    """The JSON object in `raw`, common faults mended; None if there is none. Never guesses at a torn end."""
    for mend in (_as_sent, _unfenced, _without_trailing_commas, _python_literal):
        try:
            value = mend(raw.strip())
            if isinstance(value, str):  # an object that was encoded twice
                value = _as_sent(value.strip())
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        if value is None:
            return {}
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return value
    return None


def estimated_tokens(chars: int) -> int:
    """A cheap estimate of tokens: four characters each, which errs on the high side for English and code."""
    return -(-chars // CHARS_PER_TOKEN)


def _written_calls(text: str) -> list[dict[str, Any]]:
    """Calls that a server left in the text as the model wrote them: only if the text holds nothing else.

    A reply that merely quotes such a block stays a reply.
    """
    if not text.startswith("<tool_call>") or _WRITTEN_CALL.sub("", text).strip():
        return []
    found = [arguments(match[1]) or {} for match in _WRITTEN_CALL.finditer(text)]
    return [{"name": str(call.get("name") or ""), "args": json.dumps(call.get("arguments", {}))} for call in found]


def _calls(chunks: Iterable[Mapping[str, Any]]) -> Iterable[ToolCall]:
    """The calls, each with an id of its own."""
    taken: set[str] = set()
    for chunk in chunks:
        raw = chunk.get("args") or ""
        call_id = chunk.get("id") or ""
        if not call_id or call_id in taken:
            call_id = _fresh_id()
        taken.add(call_id)
        name = (chunk.get("name") or "").strip().removeprefix("functions.")
        args = arguments(raw)
        yield ToolCall(call_id, name, args, "" if args is not None else raw)


def _fresh_id() -> str:
    return "call_" + new_id()[:24]


def _as_sent(raw: str) -> Any:
    # strict=False: cheap models put line breaks into strings
    return json.loads(raw, strict=False) if raw else None


def _unfenced(raw: str) -> Any:
    match = _FENCE.match(raw)
    if not match:
        raise ValueError("no fence")
    return _without_trailing_commas(match[1].strip())


def _without_trailing_commas(raw: str) -> Any:
    return _as_sent(_STRING_OR_COMMA.sub(lambda match: "" if match[0] == "," else match[0], raw))


def _python_literal(raw: str) -> Any:
    if len(raw) > MAX_REPAIR_CHARS or not raw.startswith("{"):
        raise ValueError("no literal")
    value = ast.literal_eval(raw)
    return json.loads(json.dumps(value))  # what JSON can't say is no argument
