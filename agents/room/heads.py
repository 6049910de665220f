"""The heads of the room's ledgers: what tells that the end of a file was cut off. A CLEAR leaves them."""

from agents.domain.ledger import LedgerHead
from agents.room.connection import Link
from agents.room.in_memory_store import Store
from agents.room.keys import Keys


class RedisHeads:
    """The `HeadBoard` port on Redis."""

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys

    async def publish(self, head: LedgerHead) -> None:
        """See the port."""
        keys = [*self._keys.common, self._keys.heads]
        await self._link.script("head", keys, [head.ledger, head.lines, head.hash, head.host])

    async def heads(self) -> list[LedgerHead]:
        """See the port."""
        flat = [part.decode("utf-8", "replace") for part in await self._link.command("HGETALL", self._keys.heads)]
        found = []
        for ledger, value in zip(flat[::2], flat[1::2], strict=True):
            lines, digest, host = value.split(" ", 2)
            found.append(LedgerHead(ledger, host, int(lines), digest))
        return sorted(found, key=lambda head: (head.host, head.ledger))


class HeadsInMemory:
    """The `HeadBoard` port in memory."""

    def __init__(self, store: Store) -> None:
        self._known = store.heads

    async def publish(self, head: LedgerHead) -> None:
        """See the port."""
        known = self._known.get(head.ledger)
        if known is None or known.lines < head.lines:
            self._known[head.ledger] = head

    async def heads(self) -> list[LedgerHead]:
        """See the port."""
        return sorted(self._known.values(), key=lambda head: (head.host, head.ledger))
