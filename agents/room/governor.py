"""Money and the endpoint's patience, shared by every worker through Redis.

All the governor's keys have one hash tag of their own: a query is weighed against its room's account and the
installation's in one script, which on a cluster means one slot.
"""

import asyncio
import contextlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from agents.domain.budget import HIGH, Ask, Budget, Spending, Spent, nanos, over_budget
from agents.domain.errors import RoomError
from agents.room.connection import Arg, Link
from agents.room.keys import Keys

LONGEST_NAP = 1.0  # seconds between looks while waiting
RELEASE_WITHIN = 1.0  # seconds
_FIGURES = tuple(part.name for part in fields(Spent))


class RedisGovernor:
    """The `Governor` port on Redis."""

    def __init__(self, link: Link, keys: Keys, budget: Budget | None = None) -> None:
        budget = budget or Budget()
        self._link = link
        self._room = keys.channel
        self._keys = keys.budget()
        self._budget = budget
        self._lapse = round(budget.lapse * 1000)
        self._caps: tuple[Arg, Arg] = (_bound(nanos(budget.usd)), _bound(budget.tokens))
        self._bounds: tuple[Arg, ...] = (
            *self._caps,
            _bound(nanos(budget.usd_day)),
            *map(_bound, (budget.room_rpm, budget.room_tpm, budget.rpm, budget.tpm)),
            round(budget.window * 1000),
        )

    async def reserve(self, ask: Ask) -> None:
        """See the port."""
        args = [ask.id, ask.role, self._room, ask.tokens, ask.nano, self._lapse, *self._bounds]
        try:
            while True:
                status, *detail = await self._link.script("budget/reserve", self._keys, args)
                if status == b"ok":
                    return
                if status == b"over":
                    raise over_budget(await self.spent(), self._budget, day=detail[0] == b"day")
                await _nap(int(detail[0]) / 1000)
        except asyncio.CancelledError:
            await self.release(ask)
            raise

    async def settle(self, ask: Ask, spent: Spent) -> bool:
        """See the port."""
        figures = [getattr(spent, name) for name in _FIGURES]
        args = [ask.id, self._room, *figures, *self._caps, str(HIGH)]
        status, *_ = await self._link.script("budget/settle", self._keys, args)
        return bool(status == b"high")

    async def release(self, ask: Ask, spent: Spent = Spent()) -> None:  # noqa: B008  frozen
        """See the port."""
        with contextlib.suppress(RoomError, TimeoutError):
            async with asyncio.timeout(RELEASE_WITHIN):
                await self.settle(ask, spent)

    async def told(self) -> None:
        """See the port."""
        await self._link.script("budget/told", self._keys, self._caps)

    async def slow(self, seconds: float) -> None:
        """See the port."""
        await self._link.script("budget/slow", self._keys, [round(seconds * 1000)])

    async def ready(self) -> None:
        """See the port."""
        while True:
            _, ms = await self._link.script("budget/ready", self._keys, [])
            if not ms:
                return
            await _nap(ms / 1000)

    async def spent(self) -> Spending:
        """See the port."""
        flat = await self._link.command("HGETALL", self._keys[0])
        return _spending({name.decode(): value for name, value in _pairs(flat)}, self._caps)

    async def set_cap(self, nano: int | None = None, tokens: int | None = None) -> None:
        """See the port."""
        await self._link.script("budget/cap", self._keys, [_bound(nano), _bound(tokens)])


def _bound(limit: int | None) -> Arg:
    return "" if limit is None else limit


def _pairs(flat: Sequence[Any]) -> Sequence[tuple[bytes, bytes]]:
    return list(zip(flat[::2], flat[1::2], strict=True))


async def _nap(seconds: float) -> None:
    # jitter: six agents told the same second don't come back at the same one
    await asyncio.sleep(min(seconds, LONGEST_NAP) * random.uniform(1.0, 1.1))  # noqa: S311


def _spending(account: Mapping[str, bytes], caps: tuple[Arg, Arg]) -> Spending:
    """The account of its hash: figures as `<figure>:<Role>`, the caps the workers last saw."""
    roles = {name.partition(":")[2] for name in account if not name.startswith("#")}
    by_role = {
        role: Spent(*(int(account.get(f"{figure}:{role}", 0)) for figure in _FIGURES)) for role in sorted(roles)
    }
    seen = account["#seen"].decode().split(" ") if "#seen" in account else list(map(str, caps))
    own = [account.get(name, b"").decode() for name in ("#cap_nano", "#cap_tokens")]
    nano, tokens = (mine or cap for mine, cap in zip(own, seen, strict=True))
    return Spending(by_role, int(nano) if nano else None, int(tokens) if tokens else None)
