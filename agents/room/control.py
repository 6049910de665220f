"""The room's epoch and state."""

from typing import Any

from agents.domain.message import Message
from agents.domain.mission import Control, RoomState
from agents.room.connection import Arg, Link
from agents.room.keys import Keys
from agents.room.room import Retention
from agents.room.wire import encoded

REASON_CHARS = 500


class RedisControl:
    """The `ControlBoard` port on Redis."""

    def __init__(self, link: Link, keys: Keys, retention: Retention) -> None:
        self._link = link
        self._keys = keys
        self._retention = retention

    async def read(self) -> Control:
        """The epoch and state now."""
        return _control(*await self._link.command("HMGET", self._keys.control, "epoch", "state", "reason"))

    async def set_state(self, state: RoomState, reason: str = "") -> None:
        """See the port."""
        await self._link.command("HSET", self._keys.control, "state", state.value, "reason", reason[:REASON_CHARS])

    async def stop(self, message: Message) -> Control:
        """See the port."""
        _, *fields = await self._link.script("stop", self._keys.common, self._args(message))
        return _control(*fields)

    async def clear(self, message: Message) -> Control:
        """See the port."""
        while True:
            roles = [role.decode() for role in await self._link.command("SMEMBERS", self._keys.roles)]
            turns = [turn.decode() for turn in await self._link.command("HKEYS", self._keys.turns)]
            status, *fields = await self._link.script(
                "clear",
                [
                    *self._keys.common,
                    self._keys.failures,
                    self._keys.approvals,
                    self._keys.findings,
                    *map(self._keys.inbox, roles),
                    *map(self._keys.journal, turns),
                ],
                [*self._args(message), len(roles), *turns],
            )
            if status == b"ok":
                return _control(*fields)

    def _args(self, message: Message) -> list[Arg]:
        return [
            encoded(message),
            message.id,
            self._keys.channel,
            self._retention.log,
            message.content[:REASON_CHARS],
        ]


def _control(epoch: Any, state: bytes | None, reason: bytes | None) -> Control:
    return Control(int(epoch or 0), RoomState((state or b"idle").decode()), (reason or b"").decode())
