"""An HTTP endpoint that plays scripted answers and faults."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Request:
    headers: str
    body: dict[str, Any]


Line = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class FakeEndpoint:
    """An HTTP server that plays `lines` in order, the last one for ever; keeps requests and closed connections."""

    lines: list[Line]
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0
    _open: set[asyncio.Task[Any]] = field(default_factory=set)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task
        self._open.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                while not writer.is_closing():
                    await self._serve(reader, writer)
        finally:
            self._open.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(int(line.split(":")[1]) for line in head.splitlines() if line.lower().startswith("content-len"))
        self.requests.append(Request(head, json.loads(await reader.readexactly(length))))
        line = self.lines.pop(0) if len(self.lines) > 1 else self.lines[0]
        answer = asyncio.ensure_future(line(writer))
        gone = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait([answer, gone], return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                self.hung_up.set()
                writer.close()
        finally:
            answer.cancel()
            gone.cancel()
            await asyncio.wait([answer, gone])

    async def close(self) -> None:
        """End every connection."""
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


@contextlib.asynccontextmanager
async def endpoint(*lines: Line) -> AsyncIterator[FakeEndpoint]:
    fake = FakeEndpoint(list(lines))
    server = await asyncio.start_server(fake.accept, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
        await fake.close()


def respond(status: int, body: Any, kind: str = "application/json", **headers: str) -> Line:
    """One whole answer."""
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()

    async def line(writer: asyncio.StreamWriter) -> None:
        extra = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(content)}\r\n{extra}\r\n"
        writer.write(head.encode() + content)
        await writer.drain()

    return line


def stream(*events: Mapping[str, Any] | str, end: bool = True, then: float = 0.0, pause: float = 0.0) -> Line:
    """A streamed answer; `end` says [DONE], `then` keeps it open that long, `pause` lies between events."""

    async def line(writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nconnection: close\r\n\r\n"
        )
        for event in events:
            text = event if isinstance(event, str) else f"data: {json.dumps(event)}\n\n"
            writer.write(text.encode())
            await writer.drain()
            await asyncio.sleep(pause)
        if end:
            writer.write(b"data: [DONE]\n\n")
            await writer.drain()
        await asyncio.sleep(then)
        writer.close()

    return line


def piece(text: str | None = None, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """One chunk of a streamed answer."""
    return {
        "model": "fake",
        "choices": [{"index": 0, "delta": {"content": text, **delta}, "finish_reason": finish}],
    }


USAGE = {
    "choices": [],
    "usage": {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 64}},
}
HELLO = stream(piece("hel"), piece("lo"), piece(finish="stop"), USAGE)


def completion(text: str | None = "hello", **message: Any) -> dict[str, Any]:
    """A whole completion."""
    return {
        "model": "fake",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 7},
    }


def tool_delta(*deltas: Iterable[Any]) -> list[dict[str, Any]]:
    """Deltas of tool calls: (index, id, name, arguments), None left out."""
    return [
        {
            **({"index": index} if index is not None else {}),
            **({"id": call_id} if call_id else {}),
            "function": {**({"name": name} if name else {}), "arguments": arguments},
        }
        for index, call_id, name, arguments in deltas
    ]
