"""What a turn did, and its end."""

from collections.abc import Sequence

from agents.domain.effect import EffectRecord, EffectState, Lease
from agents.domain.message import Message, new_id
from agents.domain.mission import RoomState
from agents.domain.turn import Claim, EntryKind, JournalEntry, Outcome, StopReason
from agents.room.connection import Arg, Link
from agents.room.effects import RedisEffects
from agents.room.going import Going, Stopwatch, holder, require_going, require_held
from agents.room.keys import Keys
from agents.room.room import Retention
from agents.room.wire import acts, delivered_to, encoded, entry_to_text, outcome_to_text, placed, said_flag

STATE_AFTER = {
    StopReason.DONE: RoomState.DONE,
    StopReason.AWAITING_INPUT: RoomState.AWAITING_INPUT,
    StopReason.OVER_BUDGET: RoomState.AWAITING_INPUT,
}


class RedisJournal:
    """The `Journal` port on Redis."""

    def __init__(self, link: Link, keys: Keys, retention: Retention, effects: RedisEffects) -> None:
        self._link = link
        self._keys = keys
        self._retention = retention
        self._going = Going(link, keys)
        self._effects = effects

    async def record(self, claim: Claim, entries: Sequence[JournalEntry], events: Sequence[Message] = ()) -> None:
        """See the port."""
        starts = any(entry.kind is EntryKind.INTENT for entry in entries)
        args: list[Arg] = [
            *holder(claim),
            new_id(),  # the token of this call: sent again after a lost answer, it writes once
            self._keys.channel,
            self._retention.log,
            acts(entries),
            "1" if starts else "",
            len(entries),
            *map(entry_to_text, entries),
        ]
        for event in events:
            args += [said_flag(event), encoded(event)]
        keys = [*self._keys.common, self._keys.journal(claim.turn)]
        while True:
            watch = Stopwatch()
            status, *_ = await self._link.script("record", keys, args)
            require_going(status, claim)
            if status == b"ok" and (watch.prompt or not starts):
                return
            await self._going.wait(claim)
            if status != b"paused":
                return

    async def commit(self, claim: Claim, outcome: Outcome, replies: Sequence[Message] = ()) -> list[Message]:
        """See the port."""
        state = STATE_AFTER.get(outcome.reason)
        keys = [*self._keys.common, self._keys.journal(claim.turn), self._keys.inbox(claim.role)]
        args: list[Arg] = [
            *holder(claim),
            self._keys.channel,
            self._retention.log,
            state.value if state else "",
            outcome.detail,
            outcome_to_text(outcome),
            self._retention.journal,
        ]
        for reply in replies:
            to = delivered_to(reply)
            args += [encoded(reply), reply.id, said_flag(reply), len(to)]
            for role in to:
                inbox = self._keys.inbox(role)
                if inbox not in keys:
                    keys.append(inbox)
                args += [keys.index(inbox) + 1, role]
        status, *answer = await self._link.script("commit", keys, args)
        require_held(status, claim)
        places = answer[0].split(b",") if answer[0] else []
        return [placed(reply, place) for reply, place in zip(replies, places, strict=False)]

    async def begin_effect(
        self, claim: Claim, intent: JournalEntry, *, approval: str | None, digest: str, lease: Lease | None = None
    ) -> str:
        """See the port."""
        return await self._effects.begin(claim, intent, approval, digest, lease)

    async def end_effect(self, effect: str, state: EffectState) -> None:
        """See the port."""
        await self._effects.end(effect, state)

    async def effects(self) -> list[EffectRecord]:
        """See the port."""
        return await self._effects.all()
