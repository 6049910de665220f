"""HTTP to an OpenAI-compatible endpoint: one POST, the answer streamed and put together, every fault named.

Stands in for the openai SDK's client inside ChatOpenAI. The SDK walks the whole history on each request; here the
body arrives as ready JSON bytes and is sent as it is.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx

from agents.domain.errors import ModelError, ModelRejected, SettingsError
from agents.react.faults import Transient, refusal
from agents.react.stream import Assembly, Events, GarbledStream

MAX_ANSWER_BYTES = 32 * 1024 * 1024
DRAIN = 0.5  # seconds granted to a server for closing its stream after the answer is complete
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to connect, to the first token, between tokens, and for one query with all its retries."""

    connect: float = 10.0
    first_token: float = 60.0
    gap: float = 30.0
    total: float = 120.0

    @classmethod
    def within(cls, total: float) -> "Timeouts":
        """Timeouts that leave room for a second try within `total`."""
        return cls(min(10.0, total), total / 2, total / 4, total)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model answers. `base` ends in the API's version, e.g. `https://api.openai.com/v1`."""

    base: str
    key: str = field(repr=False)

    @property
    def url(self) -> str:
        """Address of chat completions."""
        return self.base.rstrip("/") + "/chat/completions"


class Body:
    """A request body in parts: what changes per request, and JSON bytes made earlier."""

    __slots__ = ("fragments", "tools")

    def __init__(self, fragments: Sequence[bytes], tools: bytes) -> None:
        self.fragments = fragments
        self.tools = tools

    def encode(self, parameters: Mapping[str, Any]) -> bytes:
        """The body as JSON."""
        head = json.dumps(parameters, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        tools = b'"tools":' + self.tools + b"," if self.tools else b""
        return b'{"messages":[' + b",".join(self.fragments) + b"]," + tools + head[1:]


class Answer:
    """One complete answer, in the shape of a stream of a single chunk: ChatOpenAI converts it once."""

    def __init__(self, chunk: dict[str, Any]) -> None:
        self._chunks = iter((chunk,))

    async def __aenter__(self) -> "Answer":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def __aiter__(self) -> "Answer":
        return self

    async def __anext__(self) -> dict[str, Any]:
        for chunk in self._chunks:
            return chunk
        raise StopAsyncIteration


def _headers(key: str) -> dict[str, str]:
    """The headers of every request. Raise SettingsError for a key that no header can hold."""
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise SettingsError(
            "OPENAI_API_KEY holds a space, a line break or a character that is not ASCII; paste it anew"
        )
    headers = {"Content-Type": "application/json", "Accept": "text/event-stream, application/json"}
    # local servers want no key
    return headers | ({"Authorization": f"Bearer {key}"} if key else {})


class Transport:
    """The client ChatOpenAI calls. One per endpoint; connections are kept alive and closed by `aclose`."""

    def __init__(self, endpoint: Endpoint, timeouts: Timeouts) -> None:
        self.endpoint = endpoint
        self._timeouts = timeouts
        self._url = httpx.URL(endpoint.url)
        self._http = httpx.AsyncClient(
            headers=_headers(endpoint.key),
            timeout=httpx.Timeout(None, connect=timeouts.connect, pool=timeouts.connect),
            # a proxy from the environment is for the world outside
            trust_env=urlsplit(endpoint.base).hostname not in _LOOPBACK,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def create(self, messages: Body, **parameters: Any) -> Answer:
        """Ask once. Raise Transient, ModelRejected or ContextTooLong. Cancelling it closes the connection."""
        assembly = Assembly()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeouts.first_token) as clock:
                await self._ask(messages.encode(parameters), assembly, clock, loop)
        except TimeoutError:
            if not assembly.complete:
                raise Transient(self._timed_out(assembly)) from None
        except GarbledStream as error:
            raise Transient(f"a garbled stream: {error}") from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise ModelRejected(
                f"{self.endpoint.base} is no usable address ({error}); mend OPENAI_API_BASE"
            ) from None
        except (httpx.TransportError, httpx.DecodingError) as error:
            if not assembly.complete:
                raise Transient(f"{type(error).__name__}: {error}".rstrip(": ")) from None
        if not assembly.complete:
            raise Transient("a stream that broke off before its end")
        return Answer(assembly.chunk())

    async def _ask(
        self, body: bytes, assembly: Assembly, clock: asyncio.Timeout, loop: asyncio.AbstractEventLoop
    ) -> None:
        async with self._http.stream("POST", self._url, content=body) as response:
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if response.status_code != 200 or kind != "text/event-stream":
                clock.reschedule(loop.time() + self._timeouts.gap)
                self._whole(response, kind, await self._read(response), assembly)
                return
            events = Events()
            received = 0
            async for data in response.aiter_bytes():
                received += len(data)
                if received > MAX_ANSWER_BYTES:
                    raise self._too_long()
                for event in events.feed(data):
                    assembly.add(event, self._in_stream)
                if assembly.started:
                    clock.reschedule(loop.time() + (DRAIN if assembly.ended else self._timeouts.gap))
            for event in events.rest():
                assembly.add(event, self._in_stream)

    def _whole(self, response: httpx.Response, kind: str, content: bytes, assembly: Assembly) -> None:
        """An answer in one piece: a completion of a server that doesn't stream, or a refusal."""
        text = content.decode("utf-8", "replace")
        if response.status_code != 200:
            raise refusal(self.endpoint.base, response.status_code, response.headers, text)
        if kind == "text/html" or text.lstrip()[:1] == "<":
            raise ModelRejected(f"{self.endpoint.base} answers with a web page, not JSON; mend OPENAI_API_BASE")
        if text.lstrip().startswith("data:"):  # a stream that says it is something else
            events = Events()
            for event in (*events.feed(content), *events.rest()):
                assembly.add(event, self._in_stream)
            return
        try:
            body = json.loads(text)
        except ValueError:
            raise GarbledStream(f"not JSON: {text[:120]!r}") from None
        assembly.add(body, self._in_stream)

    async def _read(self, response: httpx.Response) -> bytes:
        content = bytearray()
        async for data in response.aiter_bytes():
            content += data
            if len(content) > MAX_ANSWER_BYTES:
                raise self._too_long()
        return bytes(content)

    def _too_long(self) -> ModelRejected:
        return ModelRejected(f"{self.endpoint.base} sends more than {MAX_ANSWER_BYTES:,} bytes as one answer")

    def _in_stream(self, error: object) -> ModelError:
        """An error object where an answer was due: judged by its own code."""
        code = error.get("code") if isinstance(error, dict) else None
        status = code if isinstance(code, int) and 400 <= code < 600 else 500
        return refusal(self.endpoint.base, status, {}, json.dumps({"error": error}, default=str))

    def _timed_out(self, assembly: Assembly) -> str:
        if assembly.started:
            return f"no further token for {self._timeouts.gap:g} s"
        return f"no first token within {self._timeouts.first_token:g} s"
