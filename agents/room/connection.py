"""The connection to Redis: timeouts, retries through an outage, scripts by their hash."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from redis import exceptions as fault
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from agents.domain.errors import RoomError, RoomUnavailable, SettingsError
from agents.room import address, cluster, sentinel, tls
from agents.room.cluster import Cluster
from agents.room.lines import Lines
from agents.room.outage import PASSING, Outage, Trouble, line

Arg = str | int | bytes
ANSWER_TIMEOUT = 5.0  # seconds for a call, connecting included; nothing here blocks in the server
MOST_CONNECTIONS = 32  # at work at once
_SCRIPTS = Path(__file__).with_name("scripts")


@cache
def source(name: str) -> tuple[bytes, str]:
    """A script's text, with the common part of its folder in front, and its SHA-1."""
    file = _SCRIPTS / f"{name}.lua"
    text = file.with_name("lib.lua").read_bytes() + file.read_bytes()
    return text, hashlib.sha1(text, usedforsecurity=False).hexdigest()


class Link:
    """Connections to one Redis. A call waits an outage out: `patience` seconds, or for ever (None).

    Because a call may be sent again after a lost answer, everything sent through it must be idempotent.
    """

    def __init__(self, url: str, patience: float | None = None) -> None:
        self.url = address.shown(url)
        self._patience = patience
        self._trouble = Trouble(self.url)
        self._way = _way(url)
        self._slots = asyncio.Semaphore(MOST_CONNECTIONS)

    async def script(self, name: str, keys: Sequence[str], args: Sequence[Arg]) -> list[Any]:
        """Run a script; its answer is a list that starts with a word. Raise RoomUnavailable."""
        text, sha = source(name)
        rest = (len(keys), *map(_raw, keys), *map(_raw, args))
        call = _Call(("EVALSHA", sha, *rest), keys[0].encode(), ("EVAL", text, *rest))
        answer: list[Any] = await self._through_outages(call)
        return answer

    async def command(self, *args: Arg) -> Any:
        """Run one command; its second word is the key, if it has more than one. Raise RoomUnavailable."""
        raw = tuple(map(_raw, args))
        key = raw[1] if len(raw) > 1 else None
        return await self._through_outages(_Call(raw, key if isinstance(key, bytes) else None))

    async def version(self) -> str:
        """The server's version; "older than 6" where it is too old to tell, empty of a double."""
        try:
            hello = await self.command("HELLO")
        except RoomUnavailable:
            raise
        except RoomError:
            return "older than 6"
        fields = dict(zip(hello[::2], hello[1::2], strict=True))
        return str(fields[b"version"].decode()) if fields[b"server"] in (b"redis", b"valkey") else ""

    @property
    def relayed(self) -> bool:
        """Whether what is published may come by way of other servers, late or never."""
        return isinstance(self._way, Cluster)

    def outage(self) -> Outage:
        """How a caller with a connection of its own waits."""
        return Outage(self._trouble, self._patience, self._way.explain)

    @asynccontextmanager
    async def private(self, key: str | None = None) -> AsyncIterator[AbstractConnection]:
        """A connection of one's own, closed at the end; to the owner of `key`. Its faults are the caller's."""
        async with asyncio.timeout(ANSWER_TIMEOUT):
            connection = await self._way.private(key.encode() if key else None)
        try:
            yield connection
        finally:
            await tls.hang_up(connection)

    async def aclose(self) -> None:
        """Close the connections: the idle ones now, those at work after their answer."""
        await self._way.aclose()

    async def _through_outages(self, call: "_Call") -> Any:
        outage = self.outage()
        try:
            while True:
                try:
                    async with self._slots, asyncio.timeout(ANSWER_TIMEOUT):
                        return await self._way.answer(call)
                except (*PASSING, fault.ResponseError) as error:
                    await outage.wait(error)
        finally:  # answered, or given up
            outage.over()


class _Call(NamedTuple):
    words: tuple[Any, ...]
    key: bytes | None
    spare: tuple[Any, ...] | None = None  # said instead to a server that doesn't know the script

    async def over(self, connection: AbstractConnection, *, asking: bool) -> Any:
        if asking:
            await _exchange(connection, "ASKING")
        try:
            return await _exchange(connection, *self.words)
        except fault.NoScriptError:
            if self.spare is None:
                raise
            # the stand-in server hangs up after an error
            await connection.disconnect(nowait=True)
            await connection.connect()  # type: ignore[no-untyped-call]
        if asking:
            await _exchange(connection, "ASKING")
        return await _exchange(connection, *self.spare)


def _way(url: str) -> Lines | Cluster:
    options: dict[str, Any] = {
        "protocol": 2,  # one shape of answers on every server
        # Link has one timer per call; the library's would cost a task each, and on Python 3.11 its `wait_for`
        # loses a cancellation that meets the end of a send
        "socket_timeout": None,
        "socket_connect_timeout": ANSWER_TIMEOUT,
        "retry": Retry(NoBackoff(), 0),  # Link retries
        "driver_info": None,
    }
    if not url.startswith("unix:"):
        options["socket_keepalive"] = True
    try:
        if url.startswith(tuple(f"{scheme}:" for scheme in sentinel.SCHEMES)):
            return Lines(address.checked(sentinel.pool(url, options)))
        if url.startswith(tuple(f"{scheme}:" for scheme in cluster.SCHEMES)):
            return cluster.cluster(url, options)
        return Lines(address.checked(ConnectionPool.from_url(url, **options)))
    except ValueError as error:
        raise SettingsError(f"REDIS_URL {address.shown(url)!r}: {line(error)}; {address.HINT}") from None


async def _exchange(connection: AbstractConnection, *args: Any) -> Any:
    await connection.send_command(*args)
    return await connection.read_response()


def _raw(arg: Arg) -> bytes | int:
    """Text as UTF-8; half a surrogate pair can't be sent and becomes a question mark."""
    return arg.encode("utf-8", "replace") if isinstance(arg, str) else arg
