"""The governor in memory: the same rules as the scripts', for one process."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from agents.domain.budget import HIGH, Ask, Budget, Spending, Spent, nanos, over_budget

NAP = 0.005  # seconds between looks while waiting
DAY = 86_400.0


@dataclass
class Open:
    """A reservation under way: `place` is its entry in the windows."""

    ask: Ask
    expires: float
    place: list[float]


@dataclass
class Account:
    """What a room spent and has in flight. `used` are (time, tokens) of its requests."""

    spent: dict[str, Spent] = field(default_factory=dict)
    open: dict[str, Open] = field(default_factory=dict)
    used: list[list[float]] = field(default_factory=list)
    line: "Line" = field(default_factory=lambda: Line())
    own: list[int | None] = field(default_factory=lambda: [None, None])
    seen: list[int | None] | None = None
    told: tuple[int | None, int | None] | None = None


@dataclass
class Line:
    """Who waits, in start-time fair order: ticket → (start, number)."""

    tickets: dict[str, tuple[int, int]] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    virtual: int = 0
    number: int = 0

    def my_turn(self, ticket: str, who: str) -> bool:
        """Whether it is this ticket's turn; it has a place then if anybody waits."""
        if self.tickets:
            self.stand(ticket, who)
        return not self.tickets or min(self.tickets, key=self.tickets.__getitem__) == ticket

    def stand(self, ticket: str, who: str) -> None:
        """Take a place, or keep it."""
        if ticket not in self.tickets:
            start = max(self.virtual, self.last.get(who, 0))
            self.number += 1
            self.tickets[ticket] = (start, self.number)
            self.last[who] = start + 1

    def leave(self, ticket: str) -> None:
        """Give the place up."""
        place = self.tickets.pop(ticket, None)
        if not self.tickets:
            self.last, self.virtual = {}, 0
        elif place:
            self.virtual = max(self.virtual, place[0])


@dataclass
class Ledger:
    """What all rooms of one installation share."""

    clock: Callable[[], float] = time.time
    accounts: dict[str, Account] = field(default_factory=dict)
    line: Line = field(default_factory=Line)
    used: list[list[float]] = field(default_factory=list)
    not_before: float = 0.0
    day: tuple[int, int] = (0, 0)

    def today(self) -> int:
        """Nano-dollars spent today (UTC)."""
        return self.day[1] if self.day[0] == int(self.clock() // DAY) else 0

    def book(self, account: Account, role: str, spent: Spent) -> None:
        """Book it to the role, the room and the day."""
        if spent != Spent():
            account.spent[role] = account.spent.get(role, Spent()) + spent
        self.day = (int(self.clock() // DAY), self.today() + spent.nano)

    def lapse(self, account: Account) -> None:
        """Book what was never settled at its estimate."""
        for id, entry in list(account.open.items()):
            if entry.expires < self.clock():
                ask = account.open.pop(id).ask
                self.book(account, ask.role, Spent(1, ask.tokens, 0, 0, ask.nano, ask.nano))


class InMemoryGovernor:
    """The `Governor` port in memory."""

    def __init__(self, ledger: Ledger, room: str, budget: Budget | None = None) -> None:
        self._ledger = ledger
        self._room = room
        self._account = ledger.accounts.setdefault(room, Account())
        self._budget = budget or Budget()

    async def reserve(self, ask: Ask) -> None:
        """See the port."""
        try:
            while not self._granted(ask):
                await asyncio.sleep(NAP)
        except BaseException:
            self._leave(ask.id)
            raise

    async def settle(self, ask: Ask, spent: Spent) -> bool:
        """See the port."""
        self._leave(ask.id)
        if entry := self._account.open.pop(ask.id, None):
            entry.place[1] += spent.tokens - ask.tokens
            self._ledger.book(self._account, ask.role, spent)
        spending = self._spending()
        return self._reached(spending, HIGH) and self._account.told != (spending.cap_nano, spending.cap_tokens)

    async def release(self, ask: Ask, spent: Spent = Spent()) -> None:  # noqa: B008  frozen
        """See the port."""
        await self.settle(ask, spent)

    async def told(self) -> None:
        """See the port."""
        spending = self._spending()
        self._account.told = (spending.cap_nano, spending.cap_tokens)

    async def slow(self, seconds: float) -> None:
        """See the port."""
        self._ledger.not_before = max(self._ledger.not_before, self._ledger.clock() + seconds)

    async def ready(self) -> None:
        """See the port."""
        while self._ledger.clock() < self._ledger.not_before:
            await asyncio.sleep(NAP)

    async def spent(self) -> Spending:
        """See the port."""
        return self._spending(self._account.seen)

    async def set_cap(self, nano: int | None = None, tokens: int | None = None) -> None:
        """See the port."""
        own = self._account.own
        own[:] = [own[0] if nano is None else nano, own[1] if tokens is None else tokens]

    def _spending(self, caps: list[int | None] | None = None) -> Spending:
        """The account under the User's caps, else `caps`, else those of the settings."""
        caps = caps or [nanos(self._budget.usd), self._budget.tokens]
        nano, tokens = (cap if own is None else own for own, cap in zip(self._account.own, caps, strict=True))
        return Spending(dict(sorted(self._account.spent.items())), nano, tokens)

    def _granted(self, ask: Ask) -> bool:
        """Reserve if nothing is in the way. Raise OverBudget."""
        ledger, account = self._ledger, self._account
        ledger.lapse(account)
        if ask.id in account.open:
            return True
        spending = self._spending()
        account.seen = [spending.cap_nano, spending.cap_tokens]
        day = nanos(self._budget.usd_day)
        if self._reached(spending, 1) or (day is not None and ledger.today() >= day):
            raise over_budget(spending, self._budget, day=not self._reached(spending, 1))
        if not account.line.my_turn(ask.id, ask.role):
            return False
        if self._room_is_full(ask, spending):
            account.line.stand(ask.id, ask.role)
            return False
        if not ledger.line.my_turn(ask.id, self._room) or self._installation_is_full(ask, day):
            account.line.stand(ask.id, ask.role)
            ledger.line.stand(ask.id, self._room)
            return False
        self._leave(ask.id)
        place = [ledger.clock(), float(ask.tokens)]
        account.open[ask.id] = Open(ask, ledger.clock() + self._budget.lapse, place)
        account.used.append(place)
        ledger.used.append(place)
        return True

    def _room_is_full(self, ask: Ask, spending: Spending) -> bool:
        flying = sum((Spent(1, o.ask.tokens, 0, 0, o.ask.nano) for o in self._account.open.values()), Spent())
        return (
            self._ledger.clock() < self._ledger.not_before
            or self._reached(spending, 1, flying)
            or self._window_full(self._account.used, ask, self._budget.room_rpm, self._budget.room_tpm)
        )

    def _installation_is_full(self, ask: Ask, day: int | None) -> bool:
        flying = sum(o.ask.nano for account in self._ledger.accounts.values() for o in account.open.values())
        return (day is not None and self._ledger.today() + flying >= day) or self._window_full(
            self._ledger.used, ask, self._budget.rpm, self._budget.tpm
        )

    def _window_full(self, used: list[list[float]], ask: Ask, rpm: int | None, tpm: int | None) -> bool:
        since = self._ledger.clock() - self._budget.window
        used[:] = [place for place in used if place[0] > since]
        tokens = sum(place[1] for place in used)
        return (rpm is not None and len(used) + 1 > rpm) or (
            tpm is not None and bool(used) and tokens > max(tpm - ask.tokens, 0)
        )

    def _reached(self, spending: Spending, share: float, more: Spent | None = None) -> bool:
        total = spending.total + (more or Spent())
        return (spending.cap_nano is not None and total.nano >= share * spending.cap_nano) or (
            spending.cap_tokens is not None and total.tokens >= share * spending.cap_tokens
        )

    def _leave(self, ticket: str) -> None:
        self._account.line.leave(ticket)
        self._ledger.line.leave(ticket)
