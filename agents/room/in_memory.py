"""A room without Redis, for tests: the same contract, in one process."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field, replace

from agents.domain.errors import LeaseLost, StaleEpoch
from agents.domain.message import USER, Kind, Message, new_id
from agents.domain.mission import (
    Check,
    Control,
    HostedApp,
    Mission,
    Presence,
    Probe,
    Request,
    RoomState,
    Verdict,
    check_id,
)
from agents.domain.turn import Claim, Delivery, JournalEntry, Outcome
from agents.room.control import REASON_CHARS
from agents.room.feed import position
from agents.room.inbox import MOST_PER_TURN
from agents.room.journal import STATE_AFTER
from agents.room.keys import Keys
from agents.room.mission import MOST_CHECKS, too_many, unknown_check
from agents.room.wire import SAID, acts, delivered_to, encoded, sendable


@dataclass
class _Turn:
    """An open turn."""

    id: str
    role: str
    consumer: str
    life: str
    epoch: int
    till: float
    entries: list[Message]
    fence: int = 1
    attempt: int = 1
    journal: list[JournalEntry] = field(default_factory=list)


class Store:
    """What Redis holds in the real room."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.control = Control()
        self.log: list[Message] = []
        self.places: dict[str, Message] = {}
        self.inboxes: dict[str, dict[str, Message]] = {}
        self.turns: dict[str, _Turn] = {}
        self.closed: dict[tuple[str, str, int], list[Message]] = {}
        self.mission = Mission()
        self.asked = ""
        self.beats: dict[str, tuple[float, Presence]] = {}
        self.apps: dict[str, HostedApp] = {}
        self.news = asyncio.Event()
        self._last = (0, 0)

    def append(self, message: Message, to: Sequence[str] = ()) -> Message:
        """Log, deliver and wake the readers; a repeated id changes nothing."""
        if message.id in self.places:
            first = self.places[message.id]
            return message.with_place(first.seq, first.epoch)
        now = (int(self.clock() * 1000), 0)
        self._last = max(now, (self._last[0], self._last[1] + 1))
        placed = message.with_place("{}-{}".format(*self._last), self.control.epoch)
        self.log.append(placed)
        self.places[message.id] = placed
        for role in to:
            self.inboxes.setdefault(role, {})[placed.seq] = placed
        self.news.set()
        self.news = asyncio.Event()
        return placed

    def held(self, claim: Claim) -> _Turn:
        """The open turn of `claim`. Raise LeaseLost."""
        turn = self.turns.get(claim.turn)
        if turn is None or (turn.consumer, turn.fence) != (claim.consumer, claim.fence):
            raise LeaseLost(f"turn {claim.turn} of {claim.role} was taken over or closed")
        return turn

    def close(self, turn: _Turn) -> None:
        """Acknowledge a turn's deliveries and forget it."""
        for message in turn.entries:
            self.inboxes[turn.role].pop(message.seq, None)
        self.turns.pop(turn.id)


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
        self._drop_stale()
        turn = self._held() or self._orphan() or self._opened()
        if turn is None:
            return None
        if (turn.consumer, turn.life) != (self._consumer, self._life):
            turn.consumer, turn.life = self._consumer, self._life
            turn.fence, turn.attempt = turn.fence + 1, turn.attempt + 1
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

    async def pending(self) -> int:
        """See the port."""
        return len(self._waiting())

    def _turns(self) -> list[_Turn]:
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

    def _held(self) -> _Turn | None:
        return next((turn for turn in self._turns() if turn.consumer == self._consumer), None)

    def _orphan(self) -> _Turn | None:
        return next((turn for turn in self._turns() if turn.till < self._store.clock()), None)

    def _opened(self) -> _Turn | None:
        batch = self._waiting()[:MOST_PER_TURN]
        if not batch:
            return None
        epoch = self._store.control.epoch
        turn = _Turn(new_id(), self._role, self._consumer, self._life, epoch, 0.0, batch)
        self._store.turns[turn.id] = turn
        return turn


class _Journal:
    """The `Journal` port in memory."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def record(self, claim: Claim, entries: Sequence[JournalEntry], events: Sequence[Message] = ()) -> None:
        """See the port."""
        for event in events:
            encoded(event)
        if claim.epoch != self._store.control.epoch:
            raise StaleEpoch(f"turn {claim.turn} of {claim.role}: stopped or cleared meanwhile")
        self._store.held(claim).journal.extend(entries)
        for event in events:
            self._store.append(event)
        mission = self._store.mission
        self._store.mission = replace(mission, acts=mission.acts + acts(entries))

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

    def _follow_outcome(self, turn: _Turn, outcome: Outcome) -> None:
        """The room's state after the outcome, unless the User's latest word still waits for this very role."""
        store = self._store
        waits = store.asked in store.inboxes[turn.role] and all(m.seq != store.asked for m in turn.entries)
        if (state := STATE_AFTER.get(outcome.reason)) and not waits:
            store.control = Control(store.control.epoch, state, outcome.detail)


class _Control:
    """The `ControlBoard` port in memory."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self) -> Control:
        """The epoch and state now."""
        return self._store.control

    async def set_state(self, state: RoomState, reason: str = "") -> None:
        """See the port."""
        self._store.control = Control(self._store.control.epoch, state, reason[:REASON_CHARS])

    async def stop(self, message: Message) -> Control:
        """See the port."""
        encoded(message)
        if message.id not in self._store.places:
            self._raise_epoch(message)
        return self._store.control

    async def clear(self, message: Message) -> Control:
        """See the port."""
        encoded(message)
        store = self._store
        if message.id not in store.places:
            store.log.clear()
            store.inboxes.clear()
            store.turns.clear()
            store.mission = Mission()
            self._raise_epoch(message)
        return store.control

    def _raise_epoch(self, message: Message) -> None:
        epoch = self._store.control.epoch + 1
        self._store.control = Control(epoch, RoomState.STOPPED, message.content[:REASON_CHARS])
        self._store.append(message)


class _Mission:
    """The `MissionBoard` port in memory."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self) -> Mission:
        """The mission now."""
        return self._store.mission

    async def propose(self, probes: Sequence[Probe]) -> Mission:
        """See the port."""
        mission = self._store.mission
        checks = {check.id: check for check in mission.checks}
        for probe in probes:
            checks.setdefault(check_id(probe), Check(check_id(probe), probe))
        if len(checks) > MOST_CHECKS:
            raise too_many(len(mission.checks))
        self._store.mission = replace(mission, checks=tuple(checks.values()))
        return self._store.mission

    async def judge(self, check: str, verdict: Verdict, evidence: str) -> None:
        """See the port."""
        self._change(check, lambda found: replace(found, verdict=verdict, evidence=evidence))

    async def waive(self, check: str, why: str) -> Check:
        """See the port."""
        changed = self._change(check, lambda found: replace(found, waived=why))
        if changed is None:
            raise unknown_check(check, self._store.mission)
        return changed

    def _change(self, name: str, change: Callable[[Check], Check]) -> Check | None:
        checks = {check.id: check for check in self._store.mission.checks}
        if name not in checks:
            return None
        checks[name] = change(checks[name])
        self._store.mission = replace(self._store.mission, checks=tuple(checks.values()))
        return checks[name]


class _Presence:
    """The `PresenceBoard` port in memory."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def beat(self, presence: Presence) -> None:
        """See the port."""
        self._store.beats[presence.consumer] = (self._store.clock(), presence)

    async def leave(self, consumer: str) -> None:
        """See the port."""
        self._store.beats.pop(consumer, None)

    async def present(self, max_age: float = 15.0) -> list[Presence]:
        """See the port."""
        now = self._store.clock()
        beats = [replace(beat, age=now - at) for at, beat in self._store.beats.values() if now - at <= max_age]
        return sorted(beats, key=lambda beat: (beat.role, beat.consumer))

    async def host(self, app: HostedApp) -> None:
        """See the port."""
        self._store.apps[app.name] = app

    async def unhost(self, name: str) -> None:
        """See the port."""
        self._store.apps.pop(name, None)

    async def hosted(self) -> list[HostedApp]:
        """See the port."""
        apps = [app for app in self._store.apps.values() if app.expires >= self._store.clock()]
        return sorted(apps, key=lambda app: app.name)


class InMemoryRoom:
    """The `OpenRoom` port in memory. `reopened()` is what another process would get."""

    def __init__(self, name: str = "room", *, lease: float = 15.0, store: Store | None = None) -> None:
        self._name = Keys(name).channel
        self._lease = lease
        self._store = store or Store()
        self._life = new_id()
        self.room = _Room(self._store, name)
        self.control = _Control(self._store)
        self.mission = _Mission(self._store)
        self.presence = _Presence(self._store)
        self.journal = _Journal(self._store)

    def reopened(self, lease: float | None = None) -> "InMemoryRoom":
        """The same room, opened once more, as another process would."""
        return InMemoryRoom(self._name, lease=lease or self._lease, store=self._store)

    def inbox(self, role: str, consumer: str) -> _Inbox:
        """The inbox of `role` as `consumer` sees it."""
        return _Inbox(self._store, role, consumer, self._life, self._lease)

    async def aclose(self) -> None:
        """Nothing to close."""
