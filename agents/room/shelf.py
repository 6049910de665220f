"""A hash of the room that is changed by compare-and-swap: the rules stay in the domain, the race in one script."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from agents.domain.errors import RoomError, StaleEpoch
from agents.domain.message import Message, new_id
from agents.room.connection import Arg, Link
from agents.room.in_memory_store import Store
from agents.room.keys import Keys
from agents.room.room import Retention
from agents.room.wire import encoded, said_flag

MOST_TRIES = 100


@dataclass(frozen=True, slots=True)
class Sight:
    """What lay there at `now` (Unix seconds, the server's clock) in this epoch: text by field."""

    now: float
    epoch: int
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """A field whose text becomes `new` if it is `old`; "" where it isn't there."""

    field: str
    old: str
    new: str


class Shelf(Protocol):
    """One hash."""

    async def look(self, *fields: str) -> Sight:
        """These fields, or all."""
        ...

    async def swap(
        self,
        changes: Sequence[Change],
        event: Message | None = None,
        *,
        to: Sequence[str] = (),
        epoch: int | None = None,
        before: float = math.inf,
    ) -> bool:
        """Make all changes and post `event` to the inboxes of `to`, or do nothing and return False.

        False where a field isn't as it was or it isn't `before` that moment. Raise StaleEpoch if `epoch` is older.
        """
        ...


class RedisShelf:
    """A shelf on Redis."""

    def __init__(self, link: Link, keys: Keys, hash_key: str, retention: Retention) -> None:
        self._link = link
        self._keys = keys
        self._hash = hash_key
        self._retention = retention

    async def look(self, *fields: str) -> Sight:
        """See the protocol."""
        _, now, epoch, flat = await self._link.script("look", [*self._keys.common, self._hash], fields)
        texts = (text.decode("utf-8", "replace") for text in flat)
        return Sight(int(now) / 1000, int(epoch), dict(zip(texts, texts, strict=True)))

    async def swap(
        self,
        changes: Sequence[Change],
        event: Message | None = None,
        *,
        to: Sequence[str] = (),
        epoch: int | None = None,
        before: float = math.inf,
    ) -> bool:
        """See the protocol."""
        args: list[Arg] = [
            new_id(),  # the token of this call: sent again after a lost answer, it writes once
            encoded(event) if event else "",
            event.id if event else "",
            said_flag(event) if event else "",
            self._keys.channel,
            self._retention.log,
            "" if epoch is None else epoch,
            milliseconds(before),
            len(changes),
        ]
        for change in changes:
            args += [change.field, change.old, change.new]
        keys = [*self._keys.common, self._hash, *map(self._keys.inbox, to)]
        status, *detail = await self._link.script("swap", keys, [*args, *to])
        if status == b"stale":
            raise stale(int(detail[0]), epoch)
        return bool(status == b"ok")


class ShelfInMemory:
    """A shelf of a room in memory."""

    def __init__(self, store: Store, texts: dict[str, str]) -> None:
        self._store = store
        self._texts = texts

    async def look(self, *fields: str) -> Sight:
        """See the protocol."""
        names = fields or tuple(self._texts)
        found = {name: self._texts[name] for name in names if name in self._texts}
        return Sight(self._store.clock(), self._store.control.epoch, found)

    async def swap(
        self,
        changes: Sequence[Change],
        event: Message | None = None,
        *,
        to: Sequence[str] = (),
        epoch: int | None = None,
        before: float = math.inf,
    ) -> bool:
        """See the protocol."""
        if event:
            encoded(event)
        if epoch is not None and epoch != self._store.control.epoch:
            raise stale(self._store.control.epoch, epoch)
        if not self.fits(changes, before):
            return False
        self.put(changes)
        if event:
            self._store.append(event, to)
        return True

    def fits(self, changes: Sequence[Change], before: float) -> bool:
        """Whether the changes may be made now."""
        return self._store.clock() < before and all(self._texts.get(c.field, "") == c.old for c in changes)

    def put(self, changes: Sequence[Change]) -> None:
        """Make them."""
        for change in changes:
            self._texts[change.field] = change.new
            if not change.new:
                del self._texts[change.field]


def tries() -> Iterator[int]:
    """For a loop of look and swap. Raise RoomError where it never ends: somebody else writes what we can't."""
    yield from range(MOST_TRIES)
    raise RoomError("approvals or findings change faster than they can be read: somebody else writes to this Redis")


def milliseconds(moment: float) -> Arg:
    """A moment for a script; "" for never."""
    return "" if moment == math.inf else round(moment * 1000)


def stale(now: int, demanded: int | None) -> StaleEpoch:
    """The error of an epoch that moved on."""
    return StaleEpoch(f"the room is in epoch {now}, not {demanded}: stopped or cleared meanwhile")
