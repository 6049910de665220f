"""The room's epoch and state."""

import json

from agents.domain.message import Message, new_id
from agents.domain.mission import Control, RoomState
from agents.room.connection import Arg, Link
from agents.room.keys import Keys
from agents.room.room import Retention
from agents.room.wire import encoded

REASON_CHARS = 500
GONE = "the room's data went away"


class RedisControl:
    """The `ControlBoard` port on Redis."""

    def __init__(self, link: Link, keys: Keys, retention: Retention) -> None:
        self._link = link
        self._keys = keys
        self._retention = retention

    async def read(self) -> Control:
        """The epoch and state now."""
        return _control(*await self._link.script("control", self._keys.common, []))

    async def set_state(self, state: RoomState, reason: str = "") -> None:
        """See the port."""
        await self._link.command("HSET", self._keys.control, "state", state.value, "reason", reason[:REASON_CHARS])

    async def stop(self, message: Message) -> Control:
        """See the port."""
        return _control(*await self._link.script("stop", self._keys.common, self._args(message)))

    async def stop_role(self, role: str, message: Message) -> int:
        """See the port."""
        head: list[Arg] = [encoded(message), message.id, self._keys.channel, self._retention.log]
        while True:
            open_turns = await self._link.command("HGETALL", self._keys.turns)
            turns = [
                turn.decode()
                for turn, body in zip(open_turns[::2], open_turns[1::2], strict=True)
                if json.loads(body)["role"] == role
            ]
            status, *count = await self._link.script(
                "stop_role",
                [*self._keys.common, self._keys.inbox(role), *map(self._keys.journal, turns)],
                [*head, role, self._retention.journal, *turns],
            )
            if status == b"ok":
                return int(count[0])

    async def pause(self, message: Message) -> Control:
        """See the port."""
        return await self._hold(message, message.content[:REASON_CHARS] or "paused")

    async def resume(self, message: Message) -> Control:
        """See the port."""
        return await self._hold(message, "")

    async def _hold(self, message: Message, why: str) -> Control:
        args: list[Arg] = [encoded(message), message.id, self._keys.channel, self._retention.log, why]
        return _control(*await self._link.script("pause", self._keys.common, args))

    async def found(self, known: Control | None = None) -> Control:
        """See the port."""
        args: list[Arg] = [new_id(), "" if known is None else known.epoch, GONE]
        return _control(*await self._link.script("found", self._keys.common, args))

    async def clear(self, message: Message) -> Control:
        """See the port."""
        while True:
            roles = [role.decode() for role in await self._link.command("SMEMBERS", self._keys.roles)]
            turns = [turn.decode() for turn in await self._link.command("HKEYS", self._keys.turns)]
            answer = await self._link.script(
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
            if answer[0] == b"ok":
                return _control(*answer)

    def _args(self, message: Message) -> list[Arg]:
        return [
            encoded(message),
            message.id,
            self._keys.channel,
            self._retention.log,
            message.content[:REASON_CHARS],
        ]


def _control(
    _ok: bytes, epoch: bytes, state: bytes, reason: bytes, paused: bytes | None, born: bytes, now: int
) -> Control:
    shown = (state, reason) if paused is None else (RoomState.PAUSED.value.encode(), paused)
    return Control(int(epoch), RoomState(shown[0].decode()), shown[1].decode(), born.decode(), now / 1000)
