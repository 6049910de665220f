"""How the team's calls failed lately, across processes: what the breaker asks."""

import hashlib
import time
from collections.abc import Callable
from typing import Any

from agents.domain.message import new_id
from agents.room.connection import Arg, Link
from agents.room.keys import Keys

MOST = 100  # failures kept of a call
LAG = 1.0  # seconds another process's failure may go unseen: a breaker's count of six can wait for it


class RedisFailures:
    """Failures of the room's calls; each counts for `window` seconds.

    What was read is believed for `lag` seconds, so that a call that works costs no round trip.
    """

    def __init__(
        self,
        link: Link,
        keys: Keys,
        window: float,
        *,
        lag: float = LAG,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = link
        self._keys = (*keys.common, keys.failures)
        self._window = round(window * 1000)
        self._lag = lag
        self._clock = clock
        self._read_at = float("-inf")
        self._worst: dict[str, int] = {}

    async def add(self, call: str, error: str) -> None:
        """One more failure of `call` with `error`."""
        await self._run("add", call, hashlib.sha256(error.encode("utf-8", "replace")).hexdigest()[:16])

    async def worst(self, call: str) -> int:
        """How often `call` failed lately with its most frequent error."""
        await self._refresh()
        return self._worst.get(call, 0)

    async def forget(self, call: str) -> None:
        """`call` works now."""
        await self._refresh()
        if call in self._worst:
            await self._run("forget", call)

    async def _refresh(self) -> None:
        if self._clock() - self._read_at >= self._lag:
            await self._run("look")

    async def _run(self, what: str, call: str = "", error: str = "") -> None:
        args: list[Arg] = [what, call, error, self._window, MOST, new_id()]
        _, flat = await self._link.script("failures", self._keys, args)
        self._worst = _counts(flat)
        self._read_at = self._clock()


def _counts(flat: list[Any]) -> dict[str, int]:
    return {call.decode(): int(count) for call, count in zip(flat[::2], flat[1::2], strict=True)}
