"""Posting and reading along."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from agents.domain.errors import StaleEpoch
from agents.domain.message import USER, Kind, Message
from agents.domain.mission import Request
from agents.room import feed
from agents.room.connection import Link
from agents.room.keys import Keys
from agents.room.wire import delivered_to, dumped, encoded, of_entries, placed, said_flag, sendable


@dataclass(frozen=True, slots=True)
class Retention:
    """How much a room keeps: log events (about), and seconds of a closed turn's journal."""

    log: int = 100_000
    journal: int = 7 * 24 * 3600


class RedisRoom:
    """The `Room` port on Redis."""

    def __init__(self, link: Link, keys: Keys, retention: Retention) -> None:
        self._link = link
        self._keys = keys
        self._retention = retention

    @property
    def name(self) -> str:
        """The room's name, which is its channel's."""
        return self._keys.channel

    async def post(self, message: Message, *, epoch: int | None = None) -> Message:
        """See the port."""
        message = sendable(message)
        to = delivered_to(message)
        request = ""
        if message.sender == USER and message.kind is Kind.SAY:
            words = Request.of(message.id, message.content, message.timestamp)
            request = dumped([words.message_id, words.text, words.timestamp, words.sha])
        status, detail = await self._link.script(
            "post",
            [*self._keys.common, *map(self._keys.inbox, to)],
            [
                encoded(message),
                message.id,
                "" if epoch is None else epoch,
                self._keys.channel,
                self._retention.log,
                said_flag(message),
                request,
                *to,
            ],
        )
        if status == b"stale":
            raise StaleEpoch(f"the room is in epoch {detail}, not {epoch}: stopped or cleared meanwhile")
        return placed(message, detail)

    def follow(self, after: str | None = None) -> AsyncGenerator[Message, None]:
        """See the port."""
        return feed.follow(self._link, self._keys, after)

    async def said(self, limit: int) -> list[Message]:
        """See the port."""
        entries = await self._link.command("XREVRANGE", self._keys.said, "+", "-", "COUNT", limit)
        return list(of_entries(entries[::-1]))

    async def events(self, after: str = "0", limit: int = 1000) -> list[Message]:
        """See the port."""
        entries = await self._link.command("XRANGE", self._keys.log, f"({after}", "+", "COUNT", limit)
        return list(of_entries(entries))
