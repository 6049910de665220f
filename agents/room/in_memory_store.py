"""What a room in memory holds, where the real one has Redis."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from agents.domain.effect import EffectRecord, Lease
from agents.domain.errors import LeaseLost, StaleEpoch
from agents.domain.ledger import LedgerHead
from agents.domain.message import Message
from agents.domain.mission import Control, HostedApp, Mission, Presence, RoomState
from agents.domain.turn import Claim, JournalEntry
from agents.room.in_memory_governor import Ledger

_POLL = 0.01  # seconds between looks at a paused room


@dataclass
class Turn:
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
    released: bool = False
    journal: list[JournalEntry] = field(default_factory=list)


class Store:
    """What Redis holds in the real room."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.control = Control()
        self.paused = ""
        self.born = ""
        self.log: list[Message] = []
        self.places: dict[str, Message] = {}
        self.inboxes: dict[str, dict[str, Message]] = {}
        self.turns: dict[str, Turn] = {}
        self.closed: dict[tuple[str, str, int], list[Message]] = {}
        self.stopped: dict[str, int] = {}
        self.mission = Mission()
        self.asked = ""
        self.beats: dict[str, tuple[float, Presence]] = {}
        self.apps: dict[str, HostedApp] = {}
        self.ledger = Ledger(clock)
        self.approvals: dict[str, str] = {}
        self.findings: dict[str, str] = {}
        self.leases: dict[str, tuple[Lease, float]] = {}
        self.lease_token = 0
        self.effects: dict[str, EffectRecord] = {}
        self.heads: dict[str, LedgerHead] = {}
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

    def control_now(self) -> Control:
        """What a reader is told: a pause lies over the state."""
        control = replace(self.control, born=self.born, now=self.clock())
        return replace(control, state=RoomState.PAUSED, reason=self.paused) if self.paused else control

    def going(self, claim: Claim) -> Turn:
        """The open turn of `claim` if nothing was stopped since. Raise StaleEpoch or LeaseLost."""
        if claim.epoch != self.control.epoch:
            raise StaleEpoch(f"turn {claim.turn} of {claim.role}: stopped or cleared meanwhile")
        return self.held(claim)

    async def go_on(self, claim: Claim) -> None:
        """Return once the room isn't paused and the turn is ours. Raise StaleEpoch or LeaseLost."""
        self.going(claim)
        while self.paused:
            await asyncio.sleep(_POLL)
            self.going(claim)

    def held(self, claim: Claim) -> Turn:
        """The open turn of `claim`. Raise LeaseLost."""
        turn = self.turns.get(claim.turn)
        if turn is None or (turn.consumer, turn.fence) != (claim.consumer, claim.fence):
            raise LeaseLost(f"turn {claim.turn} of {claim.role} was taken over or closed")
        return turn

    def close(self, turn: Turn) -> None:
        """Acknowledge a turn's deliveries and forget it."""
        for message in turn.entries:
            self.inboxes[turn.role].pop(message.seq, None)
        self.turns.pop(turn.id)
