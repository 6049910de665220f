"""Lines to one Redis server: connections that are kept between calls."""

from typing import Any, Protocol

from redis import exceptions as fault
from redis.asyncio.connection import AbstractConnection, ConnectionPool

from agents.room import sentinel, tls


class Call(Protocol):
    """Something to say to a server."""

    @property
    def key(self) -> bytes | None:
        """What decides which server of a cluster is meant; None: any."""

    async def over(self, connection: AbstractConnection, *, asking: bool) -> Any:
        """Say it and return the answer; `asking` for a key that is on its way to this server."""


class Lines:
    """Connections to one server, or to whichever is the master."""

    def __init__(self, pool: ConnectionPool) -> None:
        self.pool = pool
        self._idle: list[AbstractConnection] = []
        self._closed = False

    async def answer(self, call: Call, *, asking: bool = False) -> Any:
        """The server's answer."""
        connection = self._idle.pop() if self._idle else self._fresh()
        try:
            if not connection.is_connected:
                await connection.connect()  # type: ignore[no-untyped-call]
            answer = await call.over(connection, asking=asking)
        except (fault.AskError, fault.TryAgainError):  # a whole answer, which names another server or time
            await self._keep(connection)
            raise
        except BaseException as error:
            # half an answer may be left on it
            await tls.hang_up(connection)
            if isinstance(error, fault.ConnectionError):  # the idle ones have broken with it
                await self._drop_idle()
            raise
        await self._keep(connection)
        return answer

    async def private(self, key: bytes | None = None) -> AbstractConnection:
        """A connection of the caller's own, who closes it."""
        connection = self._fresh()
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
        except BaseException:
            await tls.hang_up(connection)
            raise
        return connection

    async def explain(self, error: BaseException) -> BaseException:
        """What is behind a fault of these lines: a Misfit where TLS can't work, else the error itself."""
        if found := tls.misfit(error):
            return found
        for door in sentinel.doors(self.pool):
            if found := await tls.examined(door, error):
                return found
        return error

    async def aclose(self) -> None:
        """Close the connections: the idle ones now, those at work after their answer."""
        self._closed = True
        await self._drop_idle()
        await sentinel.close(self.pool)

    async def _keep(self, connection: AbstractConnection) -> None:
        if self._closed:
            await tls.hang_up(connection)
        else:
            self._idle.append(connection)

    async def _drop_idle(self) -> None:
        while self._idle:
            await tls.hang_up(self._idle.pop())

    def _fresh(self) -> AbstractConnection:
        connection: AbstractConnection = self.pool.make_connection()  # type: ignore[no-untyped-call]
        return connection
