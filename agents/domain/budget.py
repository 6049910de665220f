"""Money and tokens: what may be spent, what a query costs, who spent what. Money is counted in whole nano-dollars."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from agents.domain.errors import OverBudget, SettingsError
from agents.domain.turn import Usage

NANO = 1_000_000_000  # to the dollar
HIGH = 0.8  # of the cap: the Architect is told
_PER_TOKEN = NANO // 1_000_000  # prices are per million tokens


@dataclass(frozen=True, slots=True)
class Budget:
    """What bounds a room (`usd`, `tokens`, `room_…`), and all rooms on one Redis together (`usd_day`, `rpm`, `tpm`).

    Dollars; tokens; requests and tokens in any `window` seconds. None: no bound. No query takes more than `lapse`
    seconds: a reservation older than that has lost its worker.
    """

    usd: float | None = 1.0
    tokens: int | None = None
    usd_day: float | None = None
    rpm: int | None = None
    tpm: int | None = None
    room_rpm: int | None = None
    room_tpm: int | None = None
    window: float = 60.0
    lapse: float = 600.0


@dataclass(frozen=True, slots=True)
class Price:
    """What a model takes, dollars per million tokens. Cached ones are part of the input."""

    input: float = 0.25
    cached: float = 0.025
    output: float = 2.0

    def of(self, usage: Usage) -> int:
        """The price of `usage`, nano-dollars."""
        cached = min(usage.cached_tokens, usage.input_tokens)
        fresh = usage.input_tokens - cached
        return round(_PER_TOKEN * (fresh * self.input + cached * self.cached + usage.output_tokens * self.output))


@dataclass(frozen=True, slots=True)
class Prices:
    """The price of each model: by its name, else by the longest name it begins with, else `default`."""

    default: Price = field(default_factory=Price)
    by_model: Mapping[str, Price] = field(default_factory=dict)

    def of(self, model: str) -> Price:
        """The price of `model`; servers add a date to the name they were asked for."""
        known = [name for name in self.by_model if model.startswith(name)]
        return self.by_model[max(known, key=len)] if known else self.default

    @property
    def highest(self) -> Price:
        """What no model of these exceeds."""
        prices = (self.default, *self.by_model.values())
        return Price(*(max(getattr(price, part.name) for price in prices) for part in fields(Price)))


def parse_prices(text: str) -> dict[str, Price]:
    """`model=input/cached/output, …` as a table. Raise SettingsError naming the entry that isn't one."""
    table = {}
    for entry in filter(None, map(str.strip, text.split(","))):
        name, _, figures = entry.rpartition("=")
        try:
            price = Price(*map(float, figures.split("/")))
        except (TypeError, ValueError):
            price = Price(-1)
        bad = figures.count("/") != 2 or not all(0 <= getattr(price, part.name) < 1e6 for part in fields(Price))
        if bad or not name.strip():
            raise SettingsError(
                f"LLM_PRICES: {entry[:80]!r} is no price; write model=input/cached/output in dollars per million "
                "tokens, like gpt-5-mini=0.25/0.025/2"
            )
        table[name.strip()] = price
    return table


@dataclass(frozen=True, slots=True)
class Ask:
    """A query about to be made: `tokens` and `nano`-dollars are what it is expected to take at most."""

    id: str
    role: str
    tokens: int
    nano: int


@dataclass(frozen=True, slots=True)
class Spent:
    """What model calls took. `guessed` is the part of `nano` that the endpoint didn't count for us."""

    calls: int = 0
    input: int = 0
    cached: int = 0
    output: int = 0
    nano: int = 0
    guessed: int = 0

    @classmethod
    def of(cls, usage: Usage, nano: int) -> "Spent":
        """One call."""
        return cls(
            1, usage.input_tokens, usage.cached_tokens, usage.output_tokens, nano, nano if usage.estimated else 0
        )

    @property
    def tokens(self) -> int:
        """In and out."""
        return self.input + self.output

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(*(getattr(self, part.name) + getattr(other, part.name) for part in fields(Spent)))

    def __sub__(self, other: "Spent") -> "Spent":
        return Spent(*(getattr(self, part.name) - getattr(other, part.name) for part in fields(Spent)))

    def line(self) -> str:
        """One line for people."""
        guess = f" (estimated: {dollars(self.guessed)} of it)" if self.guessed else ""
        return (
            f"{self.calls:,} model calls, {self.input:,} tokens in ({self.cached:,} cached), {self.output:,} out, "
            f"{dollars(self.nano)}{guess}"
        )


@dataclass(frozen=True, slots=True)
class Spending:
    """What a room has spent, by role, and its caps (nano-dollars, tokens; None: no cap)."""

    by_role: Mapping[str, Spent] = field(default_factory=dict)
    cap_nano: int | None = None
    cap_tokens: int | None = None

    @property
    def total(self) -> Spent:
        """All roles together."""
        return sum(self.by_role.values(), Spent())

    @property
    def cap(self) -> str:
        """The caps, for people."""
        parts = [dollars(self.cap_nano, 2)] if self.cap_nano is not None else []
        parts += [f"{self.cap_tokens:,} tokens"] if self.cap_tokens is not None else []
        return " and ".join(parts) or "no cap"

    def report(self) -> str:
        """Who spent what, the biggest spender first."""
        rows = sorted(self.by_role.items(), key=lambda row: (-row[1].nano, -row[1].tokens, row[0]))
        return "\n".join([*(f"- {role}: {spent.line()}" for role, spent in rows), f"In all: {self.total.line()}"])


def dollars(nano: int, digits: int = 3) -> str:
    """An amount for people."""
    return f"${nano / NANO:,.{digits}f}"


def nanos(usd: float | None) -> int | None:
    """Dollars as nano-dollars."""
    return None if usd is None else round(usd * NANO)


def over_budget(spending: Spending, budget: Budget, day: bool) -> OverBudget:
    """The refusal: what is spent, and how to go on. `day`: it is the installation's cap of the day."""
    if day:
        return OverBudget(
            f"everything on this Redis spent its {dollars(nanos(budget.usd_day) or 0, 2)} of today (UTC). "
            "Raise BUDGET_USD_DAY and start again, or go on tomorrow"
        )
    total = spending.total
    if spending.cap_tokens is not None and total.tokens >= spending.cap_tokens:
        cap, more = f"{spending.cap_tokens:,} tokens", f"/budget {2 * spending.cap_tokens} tokens"
    else:
        cap = dollars(spending.cap_nano or 0, 2)
        more = f"/budget {2 * (spending.cap_nano or 0) / NANO:.2f}"
    return OverBudget(
        f"the room's budget of {cap} is spent ({dollars(total.nano)}, {total.tokens:,} tokens). "
        f"Nobody asks a model until the User raises it, say with {more}, and says go on"
    )
