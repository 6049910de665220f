"""What is addressed to a role, taken as turns."""

import structlog

from agents.domain.errors import LeaseLost, MalformedMessage
from agents.domain.message import new_id
from agents.domain.turn import Claim, Delivery, JournalEntry, Outcome, StopReason
from agents.room.connection import Arg, Link
from agents.room.journal import RedisJournal
from agents.room.keys import Keys
from agents.room.wire import entry_from_text, stored

log = structlog.get_logger()

MOST_PER_TURN = 50


class RedisInbox:
    """The `Inbox` port on Redis. `life` tells this process from an earlier one of the same consumer name."""

    def __init__(
        self, link: Link, keys: Keys, journal: RedisJournal, role: str, consumer: str, life: str, lease: float
    ) -> None:
        self._link = link
        self._keys = keys
        self._journal = journal
        self._role = role
        self._consumer = consumer
        self._life = life
        self._lease = round(lease * 1000)  # ms

    async def claim(self) -> Claim | None:
        """See the port."""
        while True:
            claim = await self._take()
            if claim is None or claim.deliveries:
                return claim
            # nothing in it can be read: done with it
            await self._journal.commit(claim, Outcome(StopReason.FAILED, detail="no readable message"))

    async def renew(self, claim: Claim) -> None:
        """See the port."""
        args: list[Arg] = [claim.turn, claim.consumer, claim.fence, self._lease]
        status, *_ = await self._link.script("renew", self._keys.common, args)
        if status == b"lost":
            raise LeaseLost(f"turn {claim.turn} of {claim.role} was taken over or closed")

    async def release(self, claim: Claim) -> None:
        """See the port."""
        args: list[Arg] = [claim.turn, claim.consumer, claim.fence]
        status, *_ = await self._link.script("release", self._keys.common, args)
        if status == b"lost":
            raise LeaseLost(f"turn {claim.turn} of {claim.role} was taken over or closed")

    async def pending(self) -> int:
        """See the port."""
        _, waiting = await self._link.script("pending", self._inbox_keys(), [self._role])
        return int(waiting)

    async def _take(self) -> Claim | None:
        status, *answer = await self._link.script(
            "claim",
            self._inbox_keys(),
            [self._role, self._consumer, self._life, self._lease, new_id(), MOST_PER_TURN],
        )
        if status == b"none":
            return None
        turn, fence, attempt, epoch, flat, opened_now = answer
        name = turn.decode()
        return Claim(
            turn=name,
            role=self._role,
            consumer=self._consumer,
            fence=fence,
            epoch=epoch,
            deliveries=tuple(self._deliveries(flat)),
            entries=() if opened_now else await self._entries(name),
            attempt=attempt,
        )

    def _deliveries(self, flat: list[bytes]) -> list[Delivery]:
        found = []
        for seq, wire, epoch in zip(flat[::3], flat[1::3], flat[2::3], strict=True):
            try:
                found.append(Delivery(seq.decode(), stored(seq, wire, epoch)))
            except MalformedMessage as error:
                log.warning("unreadable message in an inbox", role=self._role, entry=seq.decode(), fault=str(error))
        return found

    async def _entries(self, turn: str) -> tuple[JournalEntry, ...]:
        """The journal of an earlier try.

        Nobody else can write to it since our fence rose, unless our lease ran out already: the new holder may even
        have closed it. What is no entry is left out then; our first write is refused.
        """
        lines = await self._link.command("XRANGE", self._keys.journal(turn), "-", "+")
        return tuple(entry_from_text(fields[1]) for _, fields in lines if fields[0] == b"j")

    def _inbox_keys(self) -> list[str]:
        return [*self._keys.common, self._keys.inbox(self._role)]
