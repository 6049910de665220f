"""Peculiarities of OpenAI-compatible servers, learned from their complaints and respected from then on."""

import re
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from agents.react.messages import content_text

NO_USAGE = "no stream_options"
ONE_CALL = "one call per message"
ALTERNATE = "roles alternate"
NO_SYSTEM = "no system role"
THINK_BACK = "thoughts sent back"

_COMPLAINTS = {
    NO_USAGE: re.compile(r"stream_options|include_usage", re.IGNORECASE),
    ONE_CALL: re.compile(r"single tool[- _]?call|parallel[_ ]tool|multiple tool[- _]?calls", re.IGNORECASE),
    ALTERNATE: re.compile(r"roles? must alternate|alternat\w+ (?:between )?user", re.IGNORECASE),
    THINK_BACK: re.compile(r"missing.{0,10}reasoning_content|reasoning_content.{0,60}passed back", re.IGNORECASE),
    NO_SYSTEM: re.compile(r"system (?:role|message)s? (?:is |are )?not supported", re.IGNORECASE),
}


class Dialect:
    """What one model's server can't do."""

    def __init__(self) -> None:
        self._limits: set[str] = set()

    def learn(self, complaint: str) -> bool:
        """Note what the complaint tells; whether it was news."""
        news = {limit for limit, pattern in _COMPLAINTS.items() if pattern.search(complaint)} - self._limits
        self._limits |= news
        return bool(news)

    @property
    def wants_thoughts(self) -> bool:
        """Whether the server demands each reply's thoughts back."""
        return THINK_BACK in self._limits

    def parameters(self, payload: dict[str, Any]) -> dict[str, Any]:
        """The request without what the server doesn't know."""
        if NO_USAGE in self._limits:
            payload.pop("stream_options", None)
        return payload

    def messages(self, messages: Sequence[BaseMessage]) -> Sequence[BaseMessage]:
        """The history in a form the server takes; the very same objects where it has no peculiarity."""
        if ONE_CALL in self._limits:
            messages = one_call_each(messages)
        if NO_SYSTEM in self._limits:
            messages = [HumanMessage(m.content) if isinstance(m, SystemMessage) else m for m in messages]
        if self._limits & {ALTERNATE, NO_SYSTEM}:
            messages = alternating(messages)
        return messages


def one_call_each(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Each call in a message of its own, followed by its result."""
    results = {message.tool_call_id: message for message in messages if isinstance(message, ToolMessage)}
    split: list[BaseMessage] = []
    for message in messages:
        if isinstance(message, AIMessage) and len(message.tool_calls) + len(message.invalid_tool_calls) > 1:
            split += _one_by_one(message, results)
        elif not isinstance(message, ToolMessage) or message.tool_call_id in results:
            split.append(message)
    return split


def _one_by_one(message: AIMessage, results: dict[str, ToolMessage]) -> list[BaseMessage]:
    """The calls of one message, each with its result, which is taken out of `results`."""
    beside = message.additional_kwargs
    parts = [AIMessage(content="", tool_calls=[call], additional_kwargs=beside) for call in message.tool_calls]
    parts += [AIMessage(content="", invalid_tool_calls=[call]) for call in message.invalid_tool_calls]
    parts[0] = parts[0].model_copy(update={"content": message.content})
    split: list[BaseMessage] = []
    for part in parts:
        call_id = (part.tool_calls or part.invalid_tool_calls)[0]["id"]
        result = results.pop(call_id or "", None)
        split += [part, result] if result else [part]
    return split


def alternating(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Neighbouring messages of people joined into one."""
    joined: list[BaseMessage] = []
    for message in messages:
        if isinstance(message, HumanMessage) and joined and isinstance(joined[-1], HumanMessage):
            joined[-1] = HumanMessage(f"{content_text(joined[-1])}\n\n{content_text(message)}")
        else:
            joined.append(message)
    return joined
