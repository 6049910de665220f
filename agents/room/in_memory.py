"""A room without Redis, for tests: the same contract, in one process."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

from agents.domain.budget import Budget
from agents.domain.effect import EffectRecord, EffectState, Lease
from agents.domain.errors import StaleEpoch
from agents.domain.message import USER, Kind, Message, new_id
from agents.domain.mission import Control, Mission, Request, RoomState
from agents.domain.ports import ControlBoard, Inbox, Journal
from agents.domain.turn import Claim, Delivery, EntryKind, JournalEntry, Outcome
from agents.room.approvals import Approvals
from agents.room.feed import position
from agents.room.findings import Findings
from agents.room.heads import HeadsInMemory
from agents.room.in_memory_boards import ControlInMemory, MissionInMemory, PresenceInMemory
from agents.room.in_memory_governance import EffectsInMemory, LeasesInMemory
from agents.room.in_memory_governor import InMemoryGovernor
from agents.room.in_memory_store import Store, Turn
from agents.room.inbox import MOST_PER_TURN
from agents.room.journal import STATE_AFTER
from agents.room.keyring import Keyring
from agents.room.keys import Keys
from agents.room.sealed import Followed, SealedControl, SealedInbox, SealedJournal, SealedRoom
from agents.room.shelf import ShelfInMemory
from agents.room.signatures import Signatures
from agents.room.wire import SAID, acts, delivered_to, encoded, sendable


class _Room:
    """The `Room` port in memory."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self.name = name

    async def post(self, message: Message, *, epoch: int | None = None) -> Message:
        """See the port."""
        store, message = self._store, sendable(message)
        encoded(message)
        known = message.id in store.places
        if not known and epoch is not None and epoch != store.control.epoch:
            raise StaleEpoch(f"the room is in epoch {store.control.epoch}, not {epoch}: stopped or cleared meanwhile")
        placed = store.append(message, delivered_to(message))
        if not known and message.sender == USER and message.kind is Kind.SAY:
            self._join_mission(placed)
        return placed

    async def follow(self, after: str | None = None) -> AsyncGenerator[Message, None]:
        """See the port."""
        log = self._store.log
        seen = position(after) if after is not None else position(log[-1].seq) if log else (0, 0)
        while True:
            news = self._store.news
            for message in [m for m in self._store.log if position(m.seq) > seen]:
                seen = position(message.seq)
                yield message
            await news.wait()

    async def said(self, limit: int) -> list[Message]:
        """See the port."""
        return [message for message in self._store.log if message.kind in SAID][-limit:]

    async def events(self, after: str = "0", limit: int = 1000) -> list[Message]:
        """See the port."""
        return [message for message in self._store.log if position(message.seq) > position(after)][:limit]

    def _join_mission(self, message: Message) -> None:
        store = self._store
        fresh = store.control.state in (RoomState.IDLE, RoomState.DONE)
        mission = Mission() if fresh else store.mission
        request = Request.of(message.id, message.content, message.timestamp)
        store.mission = replace(mission, requests=(*mission.requests, request))
        store.control = Control(store.control.epoch, RoomState.RUNNING)
        store.asked = message.seq


class _Inbox:
    """The `Inbox` port in memory."""

    def __init__(self, store: Store, role: str, consumer: str, life: str, lease: float) -> None:
        self._store = store
        self._role = role
        self._consumer = consumer
        self._life = life
        self._lease = lease

    async def claim(self) -> Claim | None:
        """See the port."""
        if self._store.paused:
            return None
        self._drop_stale()
        turn = self._held() or self._orphan() or self._opened()
        if turn is None:
            return None
        if (turn.consumer, turn.life) != (self._consumer, self._life):
            turn.consumer, turn.life = self._consumer, self._life
            turn.fence, turn.attempt = turn.fence + 1, turn.attempt + (not turn.released)
            turn.released = False
        turn.till = self._store.clock() + self._lease
        deliveries = tuple(Delivery(message.seq, message) for message in turn.entries)
        return Claim(
            turn.id,
            turn.role,
            turn.consumer,
            turn.fence,
            turn.epoch,
            deliveries,
            tuple(turn.journal),
            turn.attempt,
        )

    async def renew(self, claim: Claim) -> None:
        """See the port."""
        self._store.held(claim).till = self._store.clock() + self._lease

    async def release(self, claim: Claim) -> None:
        """See the port."""
        turn = self._store.held(claim)
        turn.till, turn.released = 0.0, True

    async def pending(self) -> int:
        """See the port."""
        return len(self._waiting())

    def _turns(self) -> list[Turn]:
        return [turn for turn in self._store.turns.values() if turn.role == self._role]

    def _waiting(self) -> list[Message]:
        taken = {message.seq for turn in self._turns() for message in turn.entries}
        box = self._store.inboxes.get(self._role, {})
        return [m for m in box.values() if m.seq not in taken and m.epoch == self._store.control.epoch]

    def _drop_stale(self) -> None:
        epoch, now = self._store.control.epoch, self._store.clock()
        for turn in self._turns():
            if turn.epoch != epoch and (turn.consumer == self._consumer or turn.till < now):
                self._store.close(turn)

    def _held(self) -> Turn | None:
        return next((turn for turn in self._turns() if turn.consumer == self._consumer), None)

    def _orphan(self) -> Turn | None:
        return next((turn for turn in self._turns() if turn.till < self._store.clock()), None)

    def _opened(self) -> Turn | None:
        batch = self._waiting()[:MOST_PER_TURN]
        if not batch:
            return None
        epoch = self._store.control.epoch
        turn = Turn(new_id(), self._role, self._consumer, self._life, epoch, 0.0, batch)
        self._store.turns[turn.id] = turn
        return turn


class _Journal:
    """The `Journal` port in memory."""

    def __init__(self, store: Store, effects: EffectsInMemory) -> None:
        self._store = store
        self._effects = effects

    async def record(self, claim: Claim, entries: Sequence[JournalEntry], events: Sequence[Message] = ()) -> None:
        """See the port."""
        for event in events:
            encoded(event)
        self._store.going(claim)
        if any(entry.kind is EntryKind.INTENT for entry in entries):
            await self._store.go_on(claim)
        self._store.held(claim).journal.extend(entries)
        for event in events:
            self._store.append(event)
        mission = self._store.mission
        self._store.mission = replace(mission, acts=mission.acts + acts(entries))
        await self._store.go_on(claim)

    async def commit(self, claim: Claim, outcome: Outcome, replies: Sequence[Message] = ()) -> list[Message]:
        """See the port."""
        store, key = self._store, (claim.turn, claim.consumer, claim.fence)
        for reply in replies:
            encoded(reply)
        if key in store.closed:
            return store.closed[key]
        stale = claim.epoch != store.control.epoch
        if stale and claim.turn not in store.turns:
            return []
        turn = store.held(claim)
        placed = [store.append(reply, () if stale else delivered_to(reply)) for reply in replies]
        if not stale:
            self._follow_outcome(turn, outcome)
        store.close(turn)
        store.closed[key] = placed
        return placed

    async def begin_effect(
        self, claim: Claim, intent: JournalEntry, *, approval: str | None, digest: str, lease: Lease | None = None
    ) -> str:
        """See the port."""
        if self._store.paused:
            await self._store.go_on(claim)
        return await self._effects.begin(claim, intent, approval, digest, lease)

    async def end_effect(self, effect: str, state: EffectState) -> None:
        """See the port."""
        await self._effects.end(effect, state)

    async def effects(self) -> list[EffectRecord]:
        """See the port."""
        return await self._effects.all()

    def _follow_outcome(self, turn: Turn, outcome: Outcome) -> None:
        """The room's state after the outcome, unless the User's latest word still waits for this very role."""
        store = self._store
        waits = store.asked in store.inboxes[turn.role] and all(m.seq != store.asked for m in turn.entries)
        if (state := STATE_AFTER.get(outcome.reason)) and not waits:
            store.control = Control(store.control.epoch, state, outcome.detail)


class InMemoryRoom:
    """The `OpenRoom` port in memory. `reopened()` is what another process would get."""

    def __init__(
        self,
        name: str = "room",
        *,
        lease: float = 15.0,
        store: Store | None = None,
        keyring: Keyring | None = None,
    ) -> None:
        self._name = Keys(name).channel
        self._lease = lease
        self._store = store or Store()
        self._life = new_id()
        self._keyring = keyring
        self.signatures = Signatures(name, keyring)
        room = _Room(self._store, name)
        self.mission = MissionInMemory(self._store)
        self.presence = PresenceInMemory(self._store)
        shelf = ShelfInMemory(self._store, self._store.approvals)
        self.approvals = Approvals(shelf, name, room.follow, self.signatures)
        self.findings = Findings(ShelfInMemory(self._store, self._store.findings), self.signatures)
        self.leases = LeasesInMemory(self._store)
        self.heads = HeadsInMemory(self._store)
        self._journal = _Journal(self._store, EffectsInMemory(self._store, self.approvals, shelf))
        self.room: Followed = room
        self.control: ControlBoard = ControlInMemory(self._store)
        self.journal: Journal = self._journal
        if keyring is not None:
            self.room = SealedRoom(room, self.signatures)
            self.control = SealedControl(self.control, self.signatures)
            self.journal = SealedJournal(self._journal, self.signatures)

    def reopened(self, lease: float | None = None, keyring: Keyring | None = None) -> "InMemoryRoom":
        """The same room, opened once more, as another process would."""
        return InMemoryRoom(
            self._name, lease=lease or self._lease, store=self._store, keyring=keyring or self._keyring
        )

    def inbox(self, role: str, consumer: str) -> Inbox:
        """The inbox of `role` as `consumer` sees it."""
        inbox = _Inbox(self._store, role, consumer, self._life, self._lease)
        return inbox if self._keyring is None else SealedInbox(inbox, self._journal, role, self.signatures)

    def governor(self, budget: Budget | None = None) -> InMemoryGovernor:
        """The room's governor."""
        return InMemoryGovernor(self._store.ledger, self._name, budget)

    async def aclose(self) -> None:
        """Nothing to close."""
