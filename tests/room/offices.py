"""Governors to test: in memory, or on a Redis, several rooms of one installation."""

from contextlib import AsyncExitStack

from agents.domain.budget import Ask, Budget, Spent
from agents.domain.message import new_id
from agents.domain.ports import Governor
from agents.room.connection import Link
from agents.room.governor import RedisGovernor
from agents.room.in_memory_governor import InMemoryGovernor, Ledger
from agents.room.keys import Keys

CENT = 10_000_000  # nano-dollars


class Office:
    """One installation. Each `governor` is what another process would have."""

    def __init__(self, url: str | None) -> None:
        self.url = url
        self._ledger = Ledger()
        self._stack = AsyncExitStack()
        self.room = f"room-{new_id()[:8]}"

    def governor(self, budget: Budget | None = None, room: str = "") -> Governor:
        """A governor of a room."""
        room = room or self.room
        if self.url is None:
            return InMemoryGovernor(self._ledger, room, budget)
        link = Link(self.url, 5)
        self._stack.push_async_callback(link.aclose)
        return RedisGovernor(link, Keys(room), budget)

    async def close(self) -> None:
        """Close the connections."""
        await self._stack.aclose()


def ask(role: str = "Coder", tokens: int = 1000, nano: int = CENT) -> Ask:
    """A query that may take a cent."""
    return Ask(new_id(), role, tokens, nano)


def took(nano: int = CENT, tokens: int = 1000, *, guessed: bool = False) -> Spent:
    """What a query took."""
    return Spent(1, tokens, 0, 0, nano, nano if guessed else 0)


async def spend(governor: Governor, nano: int = CENT, tokens: int = 1000, role: str = "Coder") -> bool:
    """A whole query; whether the Architect is to be told."""
    wish = ask(role, tokens, nano)
    await governor.reserve(wish)
    return await governor.settle(wish, took(nano, tokens))
