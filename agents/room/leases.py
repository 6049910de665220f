"""Leases on hosts and modules: expiry ends a dead worker's, a rising token voids it for good."""

from collections.abc import Sequence

from agents.domain.effect import Lease
from agents.room.connection import Arg, Link
from agents.room.keys import Keys


class RedisLeases:
    """The `LeaseBoard` port on Redis, by the server's clock. A CLEAR leaves them: what runs still ends first."""

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = (*keys.common, keys.leases)

    async def acquire(self, names: Sequence[str], holder: str, ttl: float) -> Lease | str:
        """See the port."""
        status, answer = await self._link.script("lease", self._keys, [holder, round(ttl * 1000), *names])
        return Lease(tuple(names), holder, int(answer)) if status == b"ok" else str(answer.decode())

    async def renew(self, lease: Lease, ttl: float) -> bool:
        """See the port."""
        args: list[Arg] = [lease.token, round(ttl * 1000), *lease.names]
        return bool((await self._link.script("hold", self._keys, args))[0] == b"ok")

    async def release(self, lease: Lease) -> None:
        """See the port."""
        await self._link.script("hold", self._keys, [lease.token, "", *lease.names])
