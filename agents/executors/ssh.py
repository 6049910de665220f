"""SSH: commands and files on the hosts of the inventory, over connections that are kept and pinned.

A command that is cancelled, stopped or out of time is ended on the host as well: its channel is closed, and over a
second one everything that carries the call's marker is found and killed. What resists is reported.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import paramiko

from agents.domain.errors import ToolError
from agents.domain.hosts import Host
from agents.executors import remote_commands
from agents.executors.hosts import Hosts
from agents.executors.remote_commands import Abilities
from agents.executors.remote_errors import Fault, failure
from agents.executors.ssh_connect import Attempt, connect
from agents.executors.ssh_files import Transfer
from agents.executors.ssh_session import Ended, Session

IDLE_SECONDS = 120.0
PROBE_SECONDS = 10.0
REAP_SECONDS = 8.0
YOUNG_SECONDS = 2.0
MARGIN = 2.0  # seconds beyond the host's own timeout before we end the call ourselves
THREADS = 64
REMEMBERED = 50
T = TypeVar("T")
_BROKEN = (paramiko.SSHException, EOFError, OSError)


@dataclass(frozen=True, slots=True)
class RemoteRun:
    """A command that ended on a host. `exit_code` None: no end was seen; -1: a signal ended it.

    `left`: what of it could not be ended. `background`: something it started runs on.
    """

    host: str
    exit_code: int | None
    stdout: str
    stderr: str
    seconds: float
    timed_out: bool = False
    truncated: bool = False
    background: bool = False
    left: tuple[str, ...] = ()


@dataclass(eq=False, slots=True)
class _Connection:
    """An open connection. `users` calls are under way on it."""

    line: tuple[Host, ...]
    attempt: Attempt
    transport: paramiko.Transport
    has: Abilities = field(default_factory=Abilities)
    users: int = 0
    timer: asyncio.TimerHandle | None = None


@dataclass(eq=False, slots=True)
class _Call:
    """A call under way: how to break off what it is doing now, and when it is over."""

    end: Callable[[], None] = lambda: None
    over: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: bool = False

    def stop(self) -> None:
        """Break it off: its coroutine ends what it started, and says so."""
        self.stopped = True
        self.end()


class _Stale(Exception):
    """A kept connection turned out to be dead before anything was asked of it."""


class Ssh:
    """Runs commands on hosts and copies files. `folder` takes long output for a while; agents don't see it.

    Methods raise ToolError whose text starts with the host and what is at fault (`Fault`).
    """

    def __init__(self, hosts: Hosts, folder: Path, *, idle: float = IDLE_SECONDS) -> None:
        self._hosts = hosts
        self._folder = folder
        self._idle = idle
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="ssh")
        self._connections: dict[str, _Connection] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._calls: set[_Call] = set()
        self._left: dict[str, tuple[str, ...]] = {}
        self._unended: tuple[str, ...] = ()
        self._reaping: set[asyncio.Task[tuple[str, ...]]] = set()
        # it would print what a strange server sends; each fault reaches the caller as an error
        logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)

    def pinned(self, host: str) -> dict[str, str]:
        """What makes it the same host again. Raise Refused for one that isn't in the inventory."""
        return self._hosts.pinned(host)

    def known(self) -> tuple[str, ...]:
        """Every host of the inventory. Raise ToolError naming its fault."""
        return tuple(self._hosts.inventory().hosts)

    async def run(self, host: str, command: str, timeout: float) -> RemoteRun:
        """Run a shell command on the host for at most `timeout` seconds."""
        return await self._twice(host, lambda call, connection: self._run(call, connection, command, timeout))

    async def put(self, host: str, content: bytes, path: str) -> str:
        """Write the remote file in one step; return its full name there."""

        async def put(call: _Call, connection: _Connection) -> str:
            transfer = Transfer(connection.transport, host)
            return await self._broken_off_with(call, transfer.close, transfer.put, content, path)

        return await self._twice(host, put)

    async def get(self, host: str, path: str, limit: int) -> bytes:
        """The remote file's content, of at most `limit` bytes."""

        async def get(call: _Call, connection: _Connection) -> bytes:
            transfer = Transfer(connection.transport, host)
            return await self._broken_off_with(call, transfer.close, transfer.get, path, limit)

        return await self._twice(host, get)

    async def stop_all(self) -> int:
        """End every call and what it started on its host; return how many calls that were."""
        calls, self._unended = list(self._calls), ()
        for call in calls:
            call.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(REAP_SECONDS):
                await asyncio.gather(*(call.over.wait() for call in calls), *self._reaping, return_exceptions=True)
        for name, connection in list(self._connections.items()):
            if not connection.users:
                self._drop(name, connection)
        return len(calls)

    @property
    def left(self) -> tuple[str, ...]:
        """What could not be ended on hosts since the last STOP began, each with its host."""
        return self._unended

    async def aclose(self) -> None:
        """End everything and hang up."""
        await self.stop_all()
        for name, connection in list(self._connections.items()):
            self._drop(name, connection)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _twice(self, host: str, work: Callable[[_Call, "_Connection"], Awaitable[T]]) -> T:
        """Do the work on the host's connection; once more on a new one where a kept one was dead."""
        call = _Call()
        self._calls.add(call)
        try:
            try:
                async with self._connected(host, call) as connection:
                    return await work(call, connection)
            except _Stale:
                async with self._connected(host, call) as connection:
                    return await work(call, connection)
        except _Stale:
            raise failure(Fault.ROUTE, host, "the host closes every connection at once") from None
        except ToolError as error:
            if call.stopped and f": {Fault.STOPPED}: " not in str(error):
                raise failure(Fault.STOPPED, host, "everything was stopped") from None
            raise
        finally:
            self._calls.discard(call)
            call.over.set()

    async def _run(self, call: _Call, connection: "_Connection", command: str, timeout: float) -> RemoteRun:
        host, marker = connection.line[-1].name, secrets.token_hex(16)
        wrapped = remote_commands.wrapped(command, marker, timeout, connection.has)
        session = Session(connection.transport, self._folder)
        limit = timeout + (remote_commands.KILL_AFTER + MARGIN if connection.has.timeout else 0)
        began = time.monotonic()
        fault = "the connection was lost"
        try:
            ended = await self._broken_off_with(call, session.close, session.run, wrapped, limit)
        except asyncio.CancelledError:
            await self._reaped(connection, marker, time.monotonic() - began)
            raise
        except _BROKEN as error:
            if not session.started and not call.stopped:
                raise _Stale from None
            ended = Ended(None, "", "", time.monotonic() - began, False, False)
            fault = f"the connection broke: {_words(error)}"
        timed_out = ended.seconds >= timeout and ended.exit_code in (None, *remote_commands.TIMED_OUT)
        left: tuple[str, ...] = ()
        if timed_out or ended.exit_code is None:
            left = await self._reaped(connection, marker, ended.seconds)
        if ended.exit_code is None and not timed_out:
            if call.stopped:
                raise failure(Fault.STOPPED, host, "; ".join(("everything was stopped", *left)))
            raise failure(Fault.ROUTE, host, "; ".join((fault, *left)))
        return RemoteRun(
            host,
            None if timed_out else ended.exit_code,
            ended.stdout,
            ended.stderr,
            ended.seconds,
            timed_out,
            ended.truncated,
            ended.background and not timed_out,
            left + tuple(f"of an earlier call: {what}" for what in self._left.pop(host, ())),
        )

    async def _broken_off_with(self, call: _Call, end: Callable[[], None], work: Callable[..., T], *args: Any) -> T:
        """Run blocking work in a thread; `end` breaks it off when the call is cancelled or stopped."""
        call.end = end
        if call.stopped:
            end()
        try:
            return await self._in_thread(work, *args)
        except asyncio.CancelledError:
            # closing a channel sends a packet: not on the loop's time
            self._threads.submit(end)
            raise

    async def _in_thread(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)

    async def _reaped(self, connection: "_Connection", marker: str, age: float) -> tuple[str, ...]:
        """End what the marked call left on its host; what could not be ended. Goes on when we are cancelled."""
        host = connection.line[-1].name
        task = asyncio.ensure_future(self._reap(connection, marker, age))
        self._reaping.add(task)
        task.add_done_callback(self._reaping.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(lambda done: self._remember(host, done))
            raise

    async def _reap(self, connection: "_Connection", marker: str, age: float) -> tuple[str, ...]:
        left = await self._searched(connection, remote_commands.reaping(marker, young=age < YOUNG_SECONDS))
        self._unended = (*self._unended, *(f"{connection.line[-1].name}: {what}" for what in left))[-REMEMBERED:]
        return left

    async def _searched(self, connection: "_Connection", command: str) -> tuple[str, ...]:
        attempt = Attempt()
        try:
            async with asyncio.timeout(REAP_SECONDS):
                transport = connection.transport
                if not transport.is_active():
                    transport = await self._in_thread(connect, connection.line, self._hosts, attempt)
                ended = await self._in_thread(Session(transport, self._folder).run, command, REAP_SECONDS)
        except (*_BROKEN, ToolError) as error:
            return (f"the host can't be asked what still runs: {_words(error)}",)
        finally:
            self._threads.submit(attempt.abandon)
        return remote_commands.unreaped(ended.stdout)

    def _remember(self, host: str, done: asyncio.Task[tuple[str, ...]]) -> None:
        """Nobody is there to be told: the next call on the host says it."""
        if not done.cancelled() and (left := done.result()):
            self._left[host] = left

    @asynccontextmanager
    async def _connected(self, host: str, call: _Call) -> AsyncIterator["_Connection"]:
        """The host's connection, kept for a while afterwards."""
        connection = self._connections.get(host)
        line, usable = await self._in_thread(self._checked, host, connection)
        if connection is None or not usable or connection is not self._connections.get(host):
            async with self._locks.setdefault(host, asyncio.Lock()):
                connection = await self._new(host, line, connection, call)
        connection.users += 1
        if connection.timer:
            connection.timer.cancel()
        try:
            yield connection
        except _Stale:
            self._drop(host, connection)
            raise
        finally:
            connection.users -= 1
            if not connection.users:
                loop = asyncio.get_running_loop()
                connection.timer = loop.call_later(self._idle, self._drop, host, connection)

    def _checked(self, host: str, connection: "_Connection | None") -> tuple[tuple[Host, ...], bool]:
        """The way to the host as it is written now, and whether the connection is still one along it."""
        line = self._hosts.line(host)
        if connection is None or connection.line != line or not connection.transport.is_active():
            return line, False
        self._hosts.verify(line[-1], connection.transport.get_remote_server_key())
        return line, True

    async def _new(self, host: str, line: tuple[Host, ...], old: "_Connection | None", call: _Call) -> "_Connection":
        current = self._connections.get(host)
        if current is not None and current is not old and current.line == line:
            return current  # another call has made it meanwhile
        if current is not None:
            self._drop(host, current)
        attempt = Attempt()
        try:
            transport = await self._broken_off_with(call, attempt.abandon, connect, line, self._hosts, attempt)
            session = Session(transport, self._folder)
            answer = await self._in_thread(session.run, remote_commands.probe(), PROBE_SECONDS)
        except _BROKEN as error:
            attempt.abandon()
            raise failure(Fault.ROUTE, host, f"it lets us in and runs nothing: {_words(error)}") from None
        except asyncio.CancelledError:
            self._threads.submit(attempt.abandon)
            raise
        made = _Connection(line, attempt, transport, remote_commands.abilities(answer.stdout))
        self._connections[host] = made
        return made

    def _drop(self, host: str, connection: "_Connection") -> None:
        """Forget the connection, and close it. Calls on it find it broken."""
        if self._connections.get(host) is connection:
            del self._connections[host]
        if connection.timer:
            connection.timer.cancel()
        self._threads.submit(connection.attempt.abandon)


def _words(error: BaseException) -> str:
    return str(error)[:200] or type(error).__name__
