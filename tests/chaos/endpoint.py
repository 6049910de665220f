"""A model that does its jobs with care: a fast OpenAI-compatible endpoint for the chaos runs. Prints its port.

Its answer depends on the request alone. A call of unknown outcome is probed before it is made again; an interrupted
one is made again. `@Coder job-7` wants the effects 7-a and 7-b and passes the job on to QA, who reports it done.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

from benchmarks.fake_endpoint import Connection

_SAID = re.compile(r" says: (.*?)\n</message>", re.DOTALL)
_JOB = re.compile(r"job-(\d+)")
Step = list[tuple[str, dict[str, str]]] | str


def jobs_of(messages: list[dict[str, Any]]) -> list[str]:
    """The jobs that the turn is about, each once."""
    said = " ".join(text for m in messages if m["role"] == "user" for text in _SAID.findall(_text(m)))
    return list(dict.fromkeys(_JOB.findall(said)))


def outcomes(messages: list[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """(tool, key, result) of every call so far, in order."""
    asked = {}
    for message in messages:
        for call in message.get("tool_calls") or ():
            asked[call["id"]] = (call["function"]["name"], json.loads(call["function"]["arguments"]).get("key", ""))
        if message["role"] == "tool":
            yield (*asked[message["tool_call_id"]], _text(message))


def step(messages: list[dict[str, Any]]) -> Step:
    """What to do next: calls, or the last word."""
    jobs, seen = jobs_of(messages), list(outcomes(messages))
    named = " ".join(f"job-{job}" for job in jobs)
    if not any(tool == "look" and result.startswith("seen") for tool, _, result in seen):
        return [("look", {})]
    if "You are @QA" in _text(messages[0]):
        return f"@Architect verified {named}"
    missing = []
    for key in (f"{job}-{part}" for job in jobs for part in "ab"):
        last = next(((tool, result) for tool, of, result in reversed(seen) if of == key), ("", ""))
        if last[1].startswith(("appended", "present")):
            continue
        if "UNKNOWN OUTCOME" in last[1]:
            return [("probe", {"key": key})]
        missing.append(key)
    if not missing:
        return f"@QA check {named}"
    # a step with one effect, and steps with two and a read between them
    calls = [("append", {"key": key}) for key in missing[:2]]
    return [calls[0], ("look", {}), calls[1]] if len(missing) > 2 else calls[:1]


def answer(body: bytes) -> bytes:
    """The HTTP response to a request body."""
    messages = json.loads(body)["messages"]
    wanted = step(messages)
    done = sum(len(message.get("tool_calls") or ()) for message in messages)
    if isinstance(wanted, str):
        delta: dict[str, Any] = {"role": "assistant", "content": wanted}
    else:
        calls = [
            {
                "index": n,
                "id": f"call_{done + n}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(args)},
            }
            for n, (name, args) in enumerate(wanted)
        ]
        delta = {"role": "assistant", "content": None, "tool_calls": calls}
    head = {"id": "chatcmpl-chaos", "created": 1, "model": "chaos", "object": "chat.completion.chunk"}
    finish = "stop" if isinstance(wanted, str) else "tool_calls"
    usage = {"prompt_tokens": len(body) // 4, "completion_tokens": 20, "total_tokens": len(body) // 4 + 20}
    parts = [
        head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        head | {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]},
        head | {"choices": [], "usage": usage},
    ]
    raw = ("".join(f"data: {json.dumps(part)}\n\n" for part in parts) + "data: [DONE]\n\n").encode()
    return f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(raw)}\r\n\r\n".encode() + raw


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


class Careful(Connection):
    """One keep-alive connection to the careful model."""

    respond = staticmethod(answer)


async def main() -> None:
    """Serve on a free loopback port until killed."""
    server = await asyncio.get_running_loop().create_server(Careful, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
