"""The parts of a room with signatures on everything that goes in, and without forgeries in what comes out."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

from agents.domain.effect import EffectRecord, EffectState, Lease
from agents.domain.message import Message
from agents.domain.mission import Control, RoomState
from agents.domain.ports import ControlBoard, Inbox, Journal, Room
from agents.domain.turn import Claim, JournalEntry, Outcome, StopReason
from agents.room.signatures import Signatures
from agents.room.wire import sendable


class Followed(Room, Protocol):
    """A room whose following can be closed."""

    def follow(self, after: str | None = None) -> AsyncGenerator[Message, None]: ...


class SealedRoom:
    """The `Room` port."""

    def __init__(self, inner: Followed, signatures: Signatures) -> None:
        self._inner = inner
        self._signatures = signatures

    @property
    def name(self) -> str:
        """The room's name."""
        return self._inner.name

    async def post(self, message: Message, *, epoch: int | None = None) -> Message:
        """See the port. Raise BadInput without the sender's key."""
        return await self._inner.post(self._signatures.signed(sendable(message)), epoch=epoch)

    async def follow(self, after: str | None = None) -> AsyncGenerator[Message, None]:
        """See the port; forged messages are left out."""
        async with aclosing(self._inner.follow(after)) as events:
            async for message in events:
                # one without a place is local: it names what was dropped below
                if not message.seq or self._signatures.accepts(message):
                    yield message

    async def said(self, limit: int) -> list[Message]:
        """See the port; forged messages are left out."""
        return [message for message in await self._inner.said(limit) if self._signatures.accepts(message)]

    async def events(self, after: str = "0", limit: int = 1000) -> list[Message]:
        """See the port; forged messages are left out."""
        return [message for message in await self._inner.events(after, limit) if self._signatures.accepts(message)]


class SealedControl:
    """The `ControlBoard` port."""

    def __init__(self, inner: ControlBoard, signatures: Signatures) -> None:
        self._inner = inner
        self._signatures = signatures

    async def read(self) -> Control:
        """The epoch and state now."""
        return await self._inner.read()

    async def set_state(self, state: RoomState, reason: str = "") -> None:
        """See the port."""
        await self._inner.set_state(state, reason)

    async def stop(self, message: Message) -> Control:
        """See the port."""
        return await self._inner.stop(self._signatures.signed(sendable(message)))

    async def stop_role(self, role: str, message: Message) -> int:
        """See the port."""
        return await self._inner.stop_role(role, self._signatures.signed(sendable(message)))

    async def pause(self, message: Message) -> Control:
        """See the port."""
        return await self._inner.pause(self._signatures.signed(sendable(message)))

    async def resume(self, message: Message) -> Control:
        """See the port."""
        return await self._inner.resume(self._signatures.signed(sendable(message)))

    async def found(self, known: Control | None = None) -> Control:
        """See the port."""
        return await self._inner.found(known)

    async def clear(self, message: Message) -> Control:
        """See the port."""
        return await self._inner.clear(self._signatures.signed(sendable(message)))


class SealedJournal:
    """The `Journal` port."""

    def __init__(self, inner: Journal, signatures: Signatures) -> None:
        self._inner = inner
        self._signatures = signatures

    async def record(self, claim: Claim, entries: Sequence[JournalEntry], events: Sequence[Message] = ()) -> None:
        """See the port."""
        await self._inner.record(claim, entries, [self._signatures.signed(sendable(event)) for event in events])

    async def commit(self, claim: Claim, outcome: Outcome, replies: Sequence[Message] = ()) -> list[Message]:
        """See the port."""
        signed = [self._signatures.signed(sendable(reply)) for reply in replies]
        return await self._inner.commit(claim, outcome, signed)

    async def begin_effect(
        self, claim: Claim, intent: JournalEntry, *, approval: str | None, digest: str, lease: Lease | None = None
    ) -> str:
        """See the port. The signatures of the approval and its decisions are verified in the same breath."""
        return await self._inner.begin_effect(claim, intent, approval=approval, digest=digest, lease=lease)

    async def end_effect(self, effect: str, state: EffectState) -> None:
        """See the port."""
        await self._inner.end_effect(effect, state)

    async def effects(self) -> list[EffectRecord]:
        """See the port."""
        return await self._inner.effects()


class SealedInbox:
    """The `Inbox` port of one role."""

    def __init__(self, inner: Inbox, journal: Journal, role: str, signatures: Signatures) -> None:
        self._inner = inner
        self._journal = journal
        self._role = role
        self._signatures = signatures

    async def claim(self) -> Claim | None:
        """See the port; forged deliveries are left out, and acknowledged with the turn."""
        while (claim := await self._inner.claim()) is not None:
            genuine = tuple(
                delivery
                for delivery in claim.deliveries
                # a genuine message to somebody else may have been put here
                if self._role in delivery.message.to and self._signatures.accepts(delivery.message)
            )
            if genuine:
                return claim if genuine == claim.deliveries else replace(claim, deliveries=genuine)
            await self._journal.commit(claim, Outcome(StopReason.FAILED, detail="no message with a valid signature"))
        return None

    async def renew(self, claim: Claim) -> None:
        """See the port."""
        await self._inner.renew(claim)

    async def release(self, claim: Claim) -> None:
        """See the port."""
        await self._inner.release(claim)

    async def pending(self) -> int:
        """See the port."""
        return await self._inner.pending()
