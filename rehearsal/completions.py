"""A line in the form an OpenAI-compatible endpoint sends it: one JSON object, or chunks of a stream."""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from rehearsal.play import Line, Said

MODEL = "rehearsal"
_PIECE = 24  # characters in a streamed piece: small enough that clients must put pieces together
_CHARS_PER_TOKEN = 4


def completion(line: Line, body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a request that wants no stream."""
    message: dict[str, Any] = {"role": "assistant", "content": line.text or None}
    if line.calls:
        message["tool_calls"] = [
            _call(said, call_id, _arguments(said)) for said, call_id in zip(line.calls, _ids(line, body), strict=True)
        ]
    choice = {"index": 0, "message": message, "finish_reason": _finish_reason(line), "logprobs": None}
    return {**_envelope(body, "chat.completion"), "choices": [choice], "usage": usage(line, body)}


def chunks(line: Line, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The answer as chunks of a stream; the last has the usage if the request asks for it."""
    envelope = _envelope(body, "chat.completion.chunk")

    def chunk(delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {**envelope, "choices": [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}]}

    yield chunk({"role": "assistant", "content": ""})
    for piece in _pieces(line.text):
        yield chunk({"content": piece})
    for index, (said, call_id) in enumerate(zip(line.calls, _ids(line, body), strict=True)):
        yield chunk({"tool_calls": [{"index": index, **_call(said, call_id, "")}]})
        for piece in _pieces(_arguments(said)):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, _finish_reason(line))
    if (body.get("stream_options") or {}).get("include_usage"):
        yield {**envelope, "choices": [], "usage": usage(line, body)}


def models() -> dict[str, Any]:
    """The answer of `/v1/models`. Any other model name is accepted too."""
    return {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "minilab"}]}


def error(message: str, kind: str, code: str | None = None) -> dict[str, Any]:
    """An error body."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def usage(line: Line, body: Mapping[str, Any]) -> dict[str, int]:
    """Tokens of the exchange, estimated at four characters each."""
    asked = _tokens(json.dumps([body.get("messages"), body.get("tools")], ensure_ascii=False))
    answered = _tokens(line.text + "".join(said.tool + _arguments(said) for said in line.calls))
    return {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}


def _tokens(text: str) -> int:
    return -(-len(text) // _CHARS_PER_TOKEN)


def _finish_reason(line: Line) -> str:
    return "tool_calls" if line.calls else "stop"


def _envelope(body: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{_digest(body)}",
        "object": kind,
        "created": int(time.time()),
        "model": str(body.get("model") or MODEL),
    }


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body.get("messages")).encode()).hexdigest()[:16]


def _ids(line: Line, body: Mapping[str, Any]) -> list[str]:
    """Call ids that differ from step to step and repeat when the same request comes again."""
    return [f"call_{_digest(body)}_{index}" for index in range(len(line.calls))]


def _call(said: Said, call_id: str, arguments: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": said.tool, "arguments": arguments}}


def _arguments(said: Said) -> str:
    return said.raw if said.arguments is None else json.dumps(said.arguments, ensure_ascii=False)


def _pieces(text: str) -> Iterator[str]:
    for start in range(0, len(text), _PIECE):
        yield text[start : start + _PIECE]
