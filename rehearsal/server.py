"""The HTTP side: an OpenAI-compatible endpoint on 127.0.0.1 that answers from a scenario.

HTTP/1.1 by h11 on asyncio streams rather than a web framework: faults need the raw connection, and it starts at once.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import h11

from rehearsal import completions
from rehearsal.conversation import BadRequest, read
from rehearsal.faults import Faults
from rehearsal.play import Line, NoLine, line_for
from rehearsal.scenario import Fault, FaultKind, Scenario

HOST = "127.0.0.1"
MAX_BODY_BYTES = 32 << 20
_HTML = b"<!doctype html><html><title>Sign in</title><body>This network asks you to sign in.</body></html>"
_GARBAGE = b'data: {"id": "chatcmpl-\x00\xff\xfe", "choices": [{"delta": {"content": "half a li\n\ndata: nonsense\n\n'


@dataclass(frozen=True, slots=True)
class _Answer:
    """What goes back. `stream` follows the head as chunks; `broken` drops the connection after it."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: AsyncIterator[bytes] | None = None
    broken: bool = False


class Server:
    """Plays `scenario`, on 127.0.0.1 unless told otherwise. `latency` (seconds) passes before each completion."""

    def __init__(self, scenario: Scenario, *, latency: float = 0.0, faults: Faults | None = None) -> None:
        self._scenario = scenario
        self._latency = latency
        self._faults = faults or Faults()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0, host: str = HOST) -> str:
        """Listen; return the base URL, such as `http://127.0.0.1:41234/v1`. Raise OSError for a taken port."""
        self._server = await asyncio.start_server(self._connected, host, port)
        return f"http://{host}:{self._server.sockets[0].getsockname()[1]}/v1"

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        if self._server:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        if self._server:
            await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  start_server runs this in a task
        self._connections.add(task)
        try:
            await self._serve(_Connection(reader, writer))
        except (ConnectionError, h11.ProtocolError):
            pass  # the client left, or speaks no HTTP: nobody is there to tell
        except asyncio.CancelledError:
            pass  # stop() drops the connection; the stream protocol would log a cancelled task as a failure
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _serve(self, connection: "_Connection") -> None:
        while (request := await connection.request()) is not None:
            answer = await self._answer(request.target.decode("ascii"), request.method.decode(), connection.body)
            if not await connection.send(answer):
                return

    async def _answer(self, target: str, method: str, body: bytes | None) -> _Answer:
        path = target.partition("?")[0].rstrip("/")
        allowed = _METHODS.get(path)
        if allowed is None:
            return _error(404, f"there is no {path or '/'}; there is {' and '.join(_METHODS)}")
        if method != allowed:
            return _error(405, f"{path} takes {allowed}, not {method}")
        if path == "/v1/models":
            return _json(200, completions.models())
        if body is None:
            return _error(413, f"the body is larger than {MAX_BODY_BYTES:,} bytes")
        return await self._complete(body)

    async def _complete(self, raw: bytes) -> _Answer:
        if self._latency:
            await asyncio.sleep(self._latency)
        fault = self._faults.next_anywhere()
        if fault and fault.kind in _INSTEAD:
            return await _instead(fault)
        try:
            body = json.loads(raw)
            line = line_for(self._scenario, read(body))
        except (ValueError, RecursionError, BadRequest) as error:
            return _error(400, f"not a chat-completions request: {error}")
        except NoLine as error:
            return _error(400, str(error), "no_line")
        fault = fault or self._faults.next_of(line.rule)
        if fault and fault.kind in _INSTEAD:
            return await _instead(fault)
        return _spoken(line, body, truncated=fault is not None)


_METHODS = {"/v1/models": "GET", "/v1/chat/completions": "POST"}
_INSTEAD = frozenset(FaultKind) - {FaultKind.TRUNCATED}


async def _instead(fault: Fault) -> _Answer:
    """What is answered instead of the line."""
    match fault.kind:
        case FaultKind.RATE_LIMIT:
            body = completions.error("Rate limit reached (injected by the rehearsal).", "rate_limit_error")
            return _json(429, body, {"Retry-After": f"{fault.retry_after:g}"})
        case FaultKind.SERVER_ERROR:
            return _error(500, "The server had an error (injected by the rehearsal).", kind="server_error")
        case FaultKind.UNAUTHORIZED:
            return _error(401, "Incorrect API key provided (injected by the rehearsal).", "invalid_api_key")
        case FaultKind.HTML:
            return _Answer(200, _HTML, "text/html; charset=utf-8")
        case FaultKind.GARBAGE:
            return _Answer(200, _GARBAGE, "text/event-stream")
        case _:  # a hanging server: the client's patience or a STOP ends it
            await asyncio.Event().wait()
            raise AssertionError


def _spoken(line: Line, body: Mapping[str, Any], *, truncated: bool) -> _Answer:
    headers = {"X-Rehearsal-Rule": line.rule.id}
    if body.get("stream"):
        events = _events(line, body, truncated)
        return _Answer(200, content_type="text/event-stream", headers=headers, stream=events, broken=truncated)
    whole = json.dumps(completions.completion(line, body), ensure_ascii=False).encode()
    if truncated:
        headers["Content-Length"] = str(len(whole))
        return _Answer(200, whole[: len(whole) // 2], headers=headers, broken=True)
    return _Answer(200, whole, headers=headers)


async def _events(line: Line, body: Mapping[str, Any], truncated: bool) -> AsyncIterator[bytes]:
    """Server-sent events; a truncated stream ends after half of them, with no finish and no `[DONE]`."""
    events = [json.dumps(chunk, ensure_ascii=False) for chunk in completions.chunks(line, body)] + ["[DONE]"]
    for event in events[: len(events) // 2 if truncated else None]:
        yield f"data: {event}\n\n".encode()


def _json(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> _Answer:
    return _Answer(status, json.dumps(body).encode(), headers=headers or {})


def _error(status: int, message: str, code: str | None = None, kind: str = "invalid_request_error") -> _Answer:
    return _json(status, completions.error(message, kind, code))


class _Connection:
    """One client connection: requests in, answers out. `body` is None where it was too large to keep."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER)
        self.body: bytes | None = b""

    async def request(self) -> h11.Request | None:
        """The next request, its body read; None when the client is through."""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        request: h11.Request | None = None
        parts: list[bytes] = []
        size = 0
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    await self._write(h11.InformationalResponse(status_code=100, headers=[]))
                self._http.receive_data(await self._reader.read(65536))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                size += len(event.data)
                if size <= MAX_BODY_BYTES:
                    parts.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                self.body = b"".join(parts) if size <= MAX_BODY_BYTES else None
                return request
            else:
                return None

    async def send(self, answer: _Answer) -> bool:
        """Send it; return whether the connection can take another request."""
        headers = {"Content-Type": answer.content_type, **answer.headers}
        if answer.stream is None:
            headers.setdefault("Content-Length", str(len(answer.body)))
        else:
            headers["Transfer-Encoding"] = "chunked"
        await self._write(h11.Response(status_code=answer.status, headers=list(headers.items())))
        if answer.stream is None:
            await self._write(h11.Data(data=answer.body))
        else:
            async for part in answer.stream:
                await self._write(h11.Data(data=part))
        if answer.broken:
            return False
        await self._write(h11.EndOfMessage())
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def _write(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            self._writer.write(data)
            await self._writer.drain()
