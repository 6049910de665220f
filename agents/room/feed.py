"""Reading along: the log up to now, then the channel live, across reconnects."""

import re
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

from redis import exceptions as fault
from redis.asyncio.connection import AbstractConnection

from agents.domain.errors import MalformedMessage
from agents.domain.message import SYSTEM, Kind, Message, from_wire
from agents.room.connection import ANSWER_TIMEOUT, Link
from agents.room.keys import Keys
from agents.room.wire import of_entries

PAGE = 500
IDLE = 15.0  # seconds of silence before the server is asked whether it is there
_SEQ = re.compile(r"([0-9]{1,15})-([0-9]{1,15})")
_SURE = 60_000  # ms: an event this near to our clock is taken at its word, others are looked up in the log

Position = tuple[int, int]


def position(seq: str) -> Position:
    """A log position that compares. Raise MalformedMessage."""
    match = _SEQ.fullmatch(seq if "-" in seq else f"{seq}-0")
    if not match:
        raise MalformedMessage("not posted through the room")
    return int(match[1]), int(match[2])


def malformed(room: str, why: str) -> Message:
    """The local message that names what was dropped."""
    return Message(sender=SYSTEM, content=f"dropped a malformed message on {room}: {why}", kind=Kind.SYSTEM)


async def follow(link: Link, keys: Keys, after: str | None, idle: float = IDLE) -> AsyncGenerator[Message, None]:
    """See the `Room.follow` port."""
    tail = _Tail(link, keys, None if after is None else position(after), idle)
    try:
        while True:
            for message in await tail.more():
                yield message
    finally:
        await tail.aclose()


class _Tail:
    """The end of the log as one reader sees it."""

    def __init__(self, link: Link, keys: Keys, after: Position | None, idle: float) -> None:
        self._link = link
        self._keys = keys
        self._seen = after
        self._idle = idle
        self._outage = link.outage()
        self._stack = AsyncExitStack()
        self._connection: AbstractConnection | None = None
        self._behind = True

    async def aclose(self) -> None:
        """Unsubscribe by closing the connection."""
        self._connection = None
        await self._stack.aclose()

    async def more(self) -> list[Message]:
        """The next events; waits for them. Raise RoomUnavailable when patience ends."""
        while True:
            try:
                connection = self._connection or await self._subscribe()
                events = await self._missed() if self._behind else await self._heard(connection)
            except (fault.RedisError, OSError) as error:
                await self.aclose()
                await self._outage.wait(error)
                continue
            if events:
                return events

    async def _subscribe(self) -> AbstractConnection:
        """Subscribe first, read the log after: nothing falls in between."""
        connection = await self._stack.enter_async_context(self._link.private(self._keys.log))
        await connection.send_command("SUBSCRIBE", self._keys.channel)
        if await connection.read_response(timeout=ANSWER_TIMEOUT) is None:
            raise fault.ConnectionError("no answer to SUBSCRIBE")
        if self._seen is None:
            last = await self._link.command("XREVRANGE", self._keys.log, "+", "-", "COUNT", 1)
            self._seen = position(last[0][0].decode()) if last else (0, 0)
        self._connection, self._behind = connection, True
        self._outage.over()
        return connection

    async def _missed(self) -> list[Message]:
        """One page of the log after what was seen."""
        start = "({}-{}".format(*self._seen or (0, 0))
        entries = await self._link.command("XRANGE", self._keys.log, start, "+", "COUNT", PAGE)
        self._behind = len(entries) == PAGE
        found: list[Message] = []
        for entry in entries:
            self._seen = position(entry[0].decode())
            try:
                found += of_entries([entry])
            except (MalformedMessage, LookupError, ValueError) as error:
                found.append(malformed(self._keys.channel, str(error)))
        return found

    async def _heard(self, connection: AbstractConnection) -> list[Message]:
        """What comes on the channel; nothing if it was silent, or seen already."""
        payload = await connection.read_response(timeout=self._idle)
        if payload is None:
            await connection.send_command("PING")
            payload = await connection.read_response(timeout=self._idle)
            if payload is None:
                raise fault.ConnectionError("the server went silent")
            self._behind = self._link.relayed
        if payload[0] != b"message":
            return []
        try:
            return await self._event(payload[2])
        except MalformedMessage as error:
            return [malformed(self._keys.channel, str(error))]

    async def _event(self, wire: bytes) -> list[Message]:
        message = from_wire(wire)
        at = position(message.seq)
        if at <= (self._seen or (0, 0)):
            return []
        if self._link.relayed:  # an earlier one may have got lost, or be behind: the log has them all in order
            self._behind = True
            return []
        # a forged place in the future would hide every true event until then
        if abs(at[0] - time.time() * 1000) > _SURE and not await self._logged(message.seq):
            raise MalformedMessage("not posted through the room")
        self._seen = at
        return [message]

    async def _logged(self, seq: str) -> bool:
        return bool(await self._link.command("XRANGE", self._keys.log, seq, seq))
