"""Server-sent events, and one answer put together from their pieces. Pure."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from agents.domain.errors import ModelError

DONE = b"[DONE]"


class GarbledStream(Exception):
    """Bytes that are no event of a chat completion."""


class Events:
    """Splits bytes into the JSON objects of `data:` lines. `[DONE]` is yielded as None."""

    def __init__(self) -> None:
        self._tail = b""
        self._data: list[bytes] = []

    def feed(self, data: bytes) -> Iterator[Any]:
        """The events that `data` completes. Raise GarbledStream."""
        *lines, self._tail = (self._tail + data).split(b"\n")
        for line in lines:
            yield from self._line(line.rstrip(b"\r"))

    def rest(self) -> Iterator[Any]:
        """The event a stream ends with that forgot its last blank line."""
        tail, self._tail = self._tail, b""
        if tail:
            yield from self._line(tail.rstrip(b"\r"))
        yield from self._flush()

    def _line(self, line: bytes) -> Iterator[Any]:
        if line.startswith(b"data:"):
            value = line[5:].lstrip()
            if value == DONE:
                yield from self._flush()
                yield None
            elif value:
                yield from self._value(value)
        elif not line:
            yield from self._flush()
        # comments (": keep-alive") and other fields say nothing about the answer

    def _value(self, value: bytes) -> Iterator[Any]:
        """One object a line is the rule; an object that spans several is put together at the blank line."""
        if self._data or value[-1:] != b"}":
            self._data.append(value)
            return
        try:
            yield json.loads(value)
        except ValueError:
            self._data.append(value)

    def _flush(self) -> Iterator[Any]:
        if not self._data:
            return
        lines, self._data = self._data, []
        try:
            yield json.loads(b"\n".join(lines))
        except ValueError:
            raise GarbledStream(f"not JSON: {lines[0][:120]!r}") from None


class Assembly:
    """Collects the deltas of one answer; only the first choice counts."""

    def __init__(self) -> None:
        self.started = False
        self.ended = False
        self._finish = ""
        self._model = ""
        self._usage: dict[str, Any] | None = None
        self._text: list[str] = []
        self._thoughts: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._at: dict[Any, dict[str, Any]] = {}

    @property
    def complete(self) -> bool:
        """Whether the server said that this is all."""
        return bool(self._finish) or (self.ended and bool(self._text or self._thoughts or self._calls))

    def add(self, event: Any, fault: Callable[[object], ModelError]) -> None:
        """Take one event in; None ends. Raise GarbledStream, or `fault` of an error event."""
        if event is None:
            self.ended = True
            return
        if not isinstance(event, dict):
            raise GarbledStream(f"a JSON {type(event).__name__}, not an object")
        if event.get("error"):
            raise fault(event["error"])
        if isinstance(usage := event.get("usage"), dict):
            self._usage = usage
        if isinstance(model := event.get("model"), str):
            self._model = model
        choices = event.get("choices")
        if choices and isinstance(choices, list) and isinstance(choices[0], dict):
            self._choice(choices[0])

    def chunk(self) -> dict[str, Any]:
        """The whole answer as one chunk of a stream."""
        text = "".join(self._text)
        if self._thoughts:
            thoughts = "".join(self._thoughts).replace("</think>", "")
            text = f"<think>{thoughts}</think>{text}"
        calls = [
            {
                "index": number,
                "id": call["id"] or None,
                "type": "function",
                "function": {"name": call["name"], "arguments": "".join(call["arguments"])},
            }
            for number, call in enumerate(self._calls)
        ]
        delta: dict[str, Any] = {"role": "assistant", "content": text, "tool_calls": calls or None}
        choice = {"index": 0, "delta": delta, "finish_reason": self._finish or "stop"}
        extras = [call["extra"] for call in self._calls]
        return {"choices": [choice], "model": self._model, "usage": counts(self._usage), "extra_content": extras}

    def _choice(self, choice: Mapping[str, Any]) -> None:
        if choice.get("index", 0) not in (0, None):
            return
        delta = choice.get("delta")
        if delta is None:
            delta = choice.get("message")
        if isinstance(delta, dict):
            self._delta(delta)
        if isinstance(finish := choice.get("finish_reason"), str):
            self._finish = finish

    def _delta(self, delta: Mapping[str, Any]) -> None:
        if text := _text(delta.get("content")) or _text(delta.get("refusal")):
            self._text.append(text)
        if thought := _text(delta.get("reasoning_content")) or _text(delta.get("reasoning")):
            self._thoughts.append(thought)
        calls = delta.get("tool_calls")
        if isinstance(calls, list):
            for call in calls:
                if isinstance(call, dict):
                    self._call(call, call.get("function"))
        elif isinstance(delta.get("function_call"), dict):  # the form of 2023, still sent by some
            self._call({"index": 0}, delta["function_call"])
        self.started = self.started or bool(text or thought or calls)

    def _call(self, call: Mapping[str, Any], function: Any) -> None:
        """A piece of a call. Servers differ: no index, or index 0 for each of several calls with ids of their own."""
        function = function if isinstance(function, dict) else {}
        index, call_id, name = call.get("index"), _text(call.get("id")), _text(function.get("name"))
        open_call = self._at.get(index) if index is not None else (self._calls[-1] if self._calls else None)
        if open_call is None or (call_id and open_call["id"] and call_id != open_call["id"]):
            open_call = {"id": call_id, "name": "", "arguments": [], "extra": None}
            self._calls.append(open_call)
            self._at[index] = open_call
        elif call_id:
            open_call["id"] = call_id
        if name and name != open_call["name"]:
            open_call["name"] += name
        if isinstance(extra := call.get("extra_content"), dict):
            open_call["extra"] = extra  # a provider's signature: sent back with the call or the next query fails
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            open_call["arguments"].append(arguments)
        elif arguments is not None:
            open_call["arguments"].append(json.dumps(arguments))


def counts(usage: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Usage with whole numbers only, None where the server says nothing usable."""
    if not usage or not isinstance(usage.get("prompt_tokens"), int):
        return None
    answered = usage.get("completion_tokens")
    answered = answered if isinstance(answered, int) else 0
    prompt = usage["prompt_tokens"]
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else usage.get("prompt_cache_hit_tokens")
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answered,
        "total_tokens": prompt + answered,
        "prompt_tokens_details": {"cached_tokens": cached if isinstance(cached, int) else 0},
    }


def _text(value: Any) -> str:
    """Text of a content field: a string, or a list of text parts."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(str(part.get("text") or "") for part in value if isinstance(part, dict))
    return ""
