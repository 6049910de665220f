"""Fetching web pages: the name is resolved once, its addresses are checked, and that very address is dialled.

A name that answers differently the next time (DNS rebinding) changes nothing, for nobody asks a second time; a
redirect is a new URL and is checked like the first.
"""

import asyncio
import codecs
import re
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from agents.domain.errors import Refused, ToolError, ToolTimeout
from agents.executors.web_addresses import PORTS, checked, refused_address
from agents.executors.web_text import readable

MAX_BYTES = 1 << 20
MAX_REDIRECTS = 5
CONNECT_SECONDS = 10.0
READ_SECONDS = 15.0
TOTAL_SECONDS = 30.0
RESOLVE_SECONDS = 5.0
_HEADERS = {
    "User-Agent": "minilab-fetch",
    "Accept": "text/html,application/xhtml+xml,text/*,application/json,application/xml;q=0.9,*/*;q=0.1",
    "Accept-Encoding": "identity",  # a bomb would be unpacked before it can be counted
}
_TEXT = re.compile(
    r"text/.*|application/(?:.*\+)?(?:json|xml|yaml|x-yaml|toml|javascript|ecmascript|x-sh|x-ndjson|sql|rtf)"
)
_META_CHARSET = re.compile(rb"""<meta[^>]{0,200}charset=["']?([A-Za-z0-9_-]{2,30})""", re.IGNORECASE)
Resolve = Callable[[str], Awaitable[list[str]]]


async def resolve(host: str) -> list[str]:
    """The addresses the system's resolver knows for a name."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(frozen=True, slots=True)
class Page:
    """What a URL answered: after redirects, as text. `cut`: there was more than `MAX_BYTES`."""

    url: str
    status: int
    kind: str
    size: int
    text: str
    cut: bool = False


class _Guard(httpcore.AsyncNetworkBackend):
    """Resolves, checks and dials. The URL's name stays what TLS and the Host header see."""

    def __init__(self, resolve: Resolve, backend: httpcore.AsyncNetworkBackend) -> None:
        self._resolve = resolve
        self._backend = backend

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to one of the host's addresses. Raise Refused if any of them isn't public."""
        async with asyncio.timeout(RESOLVE_SECONDS):
            try:
                addresses = await self._resolve(host)
            except (OSError, UnicodeError) as error:
                reason = getattr(error, "strerror", None) or "no such name"
                raise ToolError(f"{host} does not resolve: {reason}") from None
        if not addresses:
            raise ToolError(f"{host} has no address")
        for address in addresses:
            if why := refused_address(host, address):
                raise Refused(why)
        fault: Exception | None = None
        for address in addresses[:3]:
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                fault = error
        raise fault or httpcore.ConnectError("no address")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class _Body(httpx.AsyncByteStream):
    """A response's body, passed on."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Transport(httpx.AsyncBaseTransport):
    """httpx over a connection pool that dials through the guard: no proxy, no cookie, no second resolver."""

    def __init__(self, guard: _Guard, tls: ssl.SSLContext) -> None:
        self._pool = httpcore.AsyncConnectionPool(ssl_context=tls, network_backend=guard, retries=0)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it."""
        url = request.url
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        made = httpcore.Request(
            request.method, target, headers=request.headers.raw, content=b"", extensions=request.extensions
        )
        answer = await self._pool.handle_async_request(made)
        return httpx.Response(
            answer.status, headers=answer.headers, stream=_Body(answer.stream), extensions=answer.extensions
        )

    async def aclose(self) -> None:
        """Hang up."""
        await self._pool.aclose()


class Web:
    """Fetches public pages. `ports` are the only ones dialled; `backend` opens the sockets."""

    def __init__(
        self,
        *,
        ports: Collection[int] = PORTS,
        resolve: Resolve = resolve,
        backend: httpcore.AsyncNetworkBackend | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._ports = tuple(ports)
        self._guard = _Guard(resolve, backend or httpcore.AnyIOBackend())
        self._tls = tls

    async def fetch(self, url: str, timeout: float = TOTAL_SECONDS) -> Page:
        """GET the URL as text. Raise Refused for what may not be reached, ToolError for what can't be."""
        limits = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
        transport = _Transport(self._guard, self._tls or httpx.create_ssl_context())
        try:
            async with (
                asyncio.timeout(timeout),
                httpx.AsyncClient(transport=transport, timeout=limits, trust_env=False) as client,
            ):
                return await self._followed(client, checked(url, self._ports))
        except (TimeoutError, httpcore.TimeoutException, httpx.TimeoutException):
            raise ToolTimeout(f"{url[:200]}: no complete answer in {timeout:g} s") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpx.HTTPError, OSError) as error:
            raise ToolError(f"{url[:200]}: {str(error)[:300] or type(error).__name__}") from None

    async def _followed(self, client: httpx.AsyncClient, url: httpx.URL) -> Page:
        for _ in range(MAX_REDIRECTS + 1):
            request = httpx.Request("GET", url.copy_with(fragment=None), headers=_HEADERS)
            request.extensions["timeout"] = client.timeout.as_dict()
            response = await client.send(request, stream=True)
            try:
                if not response.has_redirect_location:
                    return await _page(response)
                try:
                    target = url.join(response.headers["location"])
                except (httpx.InvalidURL, ValueError):
                    raise ToolError(f"{url} redirects to something that is no URL") from None
                url = checked(str(target), self._ports)
            finally:
                await response.aclose()
        raise ToolError(f"{url}: more than {MAX_REDIRECTS} redirects")


async def _page(response: httpx.Response) -> Page:
    kind = response.headers.get("content-type", "text/plain").split(";")[0].strip().lower()
    if not _TEXT.fullmatch(kind):
        size = response.headers.get("content-length", "an unknown number of")
        raise ToolError(f"{response.url}: {kind[:80]!r} ({size[:20]} bytes) is no text; only text is fetched")
    raw, cut = await _body(response)
    text = await asyncio.to_thread(_text, raw, kind, response.headers.get("content-type", ""))
    return Page(str(response.url), response.status_code, kind, len(raw), text, cut)


async def _body(response: httpx.Response) -> tuple[bytes, bool]:
    """At most `MAX_BYTES` of the body, unpacked, and whether there was more."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip", "x-gzip", "deflate"):
        raise ToolError(f"{response.url}: it was asked for plain bytes and sends {encoding[:40]!r}")
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 32) if "gzip" in encoding or encoding == "deflate" else None
    body = bytearray()
    async for part in response.aiter_raw():
        room = MAX_BYTES + 1 - len(body)
        try:
            body += unpack.decompress(part, room) if unpack else part[:room]
        except zlib.error:
            raise ToolError(f"{response.url}: its {encoding} is broken") from None
        if len(body) > MAX_BYTES:
            return bytes(body[:MAX_BYTES]), True
    return bytes(body), False


def _text(raw: bytes, kind: str, header: str) -> str:
    named = re.search(r"charset=[\"']?([A-Za-z0-9_-]{2,30})", header, re.IGNORECASE)
    meta = _META_CHARSET.search(raw[:4096])
    name = named[1] if named else meta[1].decode() if meta else "utf-8"
    try:
        codec = codecs.lookup(name)
        text = raw.decode(codec.name if getattr(codec, "_is_text_encoding", True) else "utf-8", "replace")
    except (LookupError, UnicodeError):  # a name no codec has, or one that isn't for pages
        text = raw.decode("utf-8", "replace")
    return readable(text) if kind in ("text/html", "application/xhtml+xml") else text
