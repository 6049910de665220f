"""The connection to Redis: timeouts, retries through an outage, scripts by their hash."""

import asyncio
import hashlib
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import structlog
from redis import exceptions as fault
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from agents.domain.errors import RoomError, RoomUnavailable, SettingsError
from agents.room import sentinel

log = structlog.get_logger()

Arg = str | int | bytes
ANSWER_TIMEOUT = 5.0  # seconds for a call, connecting included; nothing here blocks in the server
MOST_CONNECTIONS = 32  # at work at once
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0  # seconds between tries
_SCRIPTS = Path(__file__).with_name("scripts")

# what passes: the server restarts, fails over, loads its file, or somebody frees memory or disk
_PASSING = (
    fault.ConnectionError,
    fault.TimeoutError,
    fault.ReadOnlyError,
    fault.OutOfMemoryError,
    fault.ClusterDownError,
    fault.TryAgainError,
    fault.MasterDownError,
    OSError,
)
_REFUSED = (fault.AuthenticationError, fault.AuthorizationError, fault.NoPermissionError)


@cache
def source(name: str) -> tuple[bytes, str]:
    """A script's text, with the common part of its folder in front, and its SHA-1."""
    file = _SCRIPTS / f"{name}.lua"
    text = file.with_name("lib.lua").read_bytes() + file.read_bytes()
    return text, hashlib.sha1(text, usedforsecurity=False).hexdigest()


def shown(url: str) -> str:
    """`url` without its password."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{host}"))


class Link:
    """Connections to one Redis. A call waits an outage out: `patience` seconds, or for ever (None).

    Because a call may be sent again after a lost answer, everything sent through it must be idempotent.
    """

    def __init__(self, url: str, patience: float | None = None) -> None:
        self.url = shown(url)
        self._patience = patience
        self._trouble = Trouble(self.url)
        self._pool = _pool(url)
        self._idle: list[AbstractConnection] = []
        self._slots = asyncio.Semaphore(MOST_CONNECTIONS)
        self._closed = False

    async def script(self, name: str, keys: Sequence[str], args: Sequence[Arg]) -> list[Any]:
        """Run a script; its answer is a list that starts with a word. Raise RoomUnavailable."""
        text, sha = source(name)
        rest = (len(keys), *map(_raw, keys), *map(_raw, args))

        async def run(connection: AbstractConnection) -> Any:
            try:
                return await _exchange(connection, "EVALSHA", sha, *rest)
            except fault.NoScriptError:
                # the stand-in server hangs up after an error
                await connection.disconnect(nowait=True)
                await connection.connect()  # type: ignore[no-untyped-call]
                return await _exchange(connection, "EVAL", text, *rest)

        answer: list[Any] = await self._through_outages(run)
        return answer

    async def command(self, *args: Arg) -> Any:
        """Run one command. Raise RoomUnavailable."""
        raw = tuple(map(_raw, args))
        return await self._through_outages(lambda connection: _exchange(connection, *raw))

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

    def outage(self) -> "Outage":
        """How a caller with a connection of its own waits."""
        return Outage(self._trouble, self._patience)

    @asynccontextmanager
    async def private(self) -> AsyncIterator[AbstractConnection]:
        """A connection of one's own, closed at the end. Its faults are the caller's."""
        connection = self._fresh()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await connection.connect()  # type: ignore[no-untyped-call]
            yield connection
        finally:
            await connection.disconnect(nowait=True)

    async def aclose(self) -> None:
        """Close the connections: the idle ones now, those at work after their answer."""
        self._closed = True
        await self._drop_idle()
        await sentinel.close(self._pool)

    async def _drop_idle(self) -> None:
        while self._idle:
            await self._idle.pop().disconnect(nowait=True)

    async def _through_outages(self, send: Any) -> Any:
        outage = self.outage()
        try:
            while True:
                try:
                    async with self._slots:
                        return await self._once(send)
                except (*_PASSING, fault.ResponseError) as error:
                    await outage.wait(error)
        finally:  # answered, or given up
            outage.over()

    def _fresh(self) -> AbstractConnection:
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        return connection

    async def _once(self, send: Any) -> Any:
        connection = self._idle.pop() if self._idle else self._fresh()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                if not connection.is_connected:
                    await connection.connect()  # type: ignore[no-untyped-call]
                answer = await send(connection)
        except BaseException as error:
            # half an answer may be left on it
            await connection.disconnect(nowait=True)
            if isinstance(error, fault.ConnectionError):  # the idle ones have broken with it
                await self._drop_idle()
            raise
        if self._closed:
            await connection.disconnect(nowait=True)
        else:
            self._idle.append(connection)
        return answer


class Trouble:
    """What keeps the calls of a link waiting: said once in the log, however many they are, and its end once."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._waiting: set[Outage] = set()

    def begin(self, outage: "Outage", error: BaseException) -> None:
        """A call waits."""
        if not self._waiting:
            full = isinstance(error, fault.OutOfMemoryError)
            hint = "its memory is full: raise maxmemory, or free some" if full else "start it, or mend the way to it"
            log.warning("redis doesn't serve, everybody waits", url=self.url, error=_line(error), hint=hint)
        self._waiting.add(outage)

    def over(self, outage: "Outage") -> None:
        """A call was answered, or waits no longer."""
        if outage in self._waiting:
            self._waiting.discard(outage)
            if not self._waiting:
                log.info("redis serves again", url=self.url)


class Outage:
    """Waits between tries while Redis can't serve."""

    def __init__(self, trouble: Trouble, patience: float | None) -> None:
        self._trouble = trouble
        self._url = trouble.url
        self._patience = patience
        self._since: float | None = None
        self._tries = 0

    async def wait(self, error: BaseException) -> None:
        """Pause before the next try; raise RoomUnavailable or RoomError if there is to be none."""
        if isinstance(error, _REFUSED) or isinstance(error.__cause__, _REFUSED):
            raise RoomUnavailable(
                f"Redis at {self._url} refuses us ({_line(error)}): check user and password in REDIS_URL"
            ) from error
        if not _passes(error):
            raise RoomError(f"Redis at {self._url} can't do it: {_line(error)}") from error
        self._tries += 1
        if self._since is None:
            self._since = time.monotonic()
        waited = time.monotonic() - self._since
        if self._patience is not None and waited >= self._patience:
            raise RoomUnavailable(
                f"Redis at {self._url} didn't answer for {waited:.0f} s, {self._tries} tries ({_line(error)}): "
                "start it, or set REDIS_URL to one that runs"
            ) from error
        if self._tries == 2:  # the first may be a connection that broke while idle
            self._trouble.begin(self, error)
        pause = min(FIRST_PAUSE * 2 ** min(self._tries - 2, 10), LONGEST_PAUSE) if self._tries > 1 else 0.0
        pause *= random.uniform(0.5, 1.0)  # noqa: S311  jitter, no secret
        await asyncio.sleep(pause if self._patience is None else min(pause, self._patience - waited))

    def over(self) -> None:
        """Redis serves again."""
        self._trouble.over(self)
        self._since, self._tries = None, 0


def _pool(url: str) -> ConnectionPool:
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
            return sentinel.pool(url, options)
        return ConnectionPool.from_url(url, **options)
    except ValueError as error:
        hint = "it looks like redis://host:6379/0, or redis+sentinel://host:26379/master"
        raise SettingsError(f"REDIS_URL {shown(url)!r}: {_line(error)}; {hint}") from None


async def _exchange(connection: AbstractConnection, *args: Any) -> Any:
    await connection.send_command(*args)
    return await connection.read_response()


def _raw(arg: Arg) -> bytes | int:
    """Text as UTF-8; half a surrogate pair can't be sent and becomes a question mark."""
    return arg.encode("utf-8", "replace") if isinstance(arg, str) else arg


def _passes(error: BaseException) -> bool:
    """Whether waiting may mend it."""
    return isinstance(error, _PASSING) or str(error).startswith(("MISCONF", "BUSY", "NOREPLICAS"))


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
