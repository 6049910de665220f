"""Whether a turn may go on: asked where the room is paused, and where an answer is too old to prove it."""

import asyncio
import time

from agents.domain.errors import LeaseLost, StaleEpoch
from agents.domain.turn import Claim
from agents.room.connection import Link
from agents.room.keys import Keys

PROMPT = 0.5  # seconds after which an answer counts as old
POLL = 0.25  # seconds between looks at a paused room
SLOW_LOOKS = 3  # in a row: the server is slow, and nobody held our process


class Going:
    """Asks for turns of a room."""

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys

    async def wait(self, claim: Claim) -> None:
        """Return once the room isn't paused and the turn is ours. Raise StaleEpoch or LeaseLost."""
        slow = 0
        while True:
            watch = Stopwatch()
            status, *_ = await self._link.script("going", self._keys.common, holder(claim))
            require_going(status, claim)
            if status == b"ok":
                slow += 1
                if watch.prompt or slow == SLOW_LOOKS:
                    return
                continue
            slow = 0
            await asyncio.sleep(POLL)


class Stopwatch:
    """Tells whether an answer came soon. Our process may have been held after the server gave it."""

    def __init__(self) -> None:
        self._since = _clock()

    @property
    def prompt(self) -> bool:
        """Whether little time has passed."""
        return _clock() - self._since <= PROMPT


def _clock() -> float:
    """Seconds that also pass while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def holder(claim: Claim) -> tuple[str, str, int, int]:
    """What the scripts know a turn's holder by."""
    return claim.turn, claim.consumer, claim.fence, claim.epoch


def require_going(status: bytes, claim: Claim) -> None:
    """Raise StaleEpoch or LeaseLost where a script says so."""
    if status == b"stale":
        raise StaleEpoch(f"turn {claim.turn} of {claim.role}: stopped or cleared meanwhile")
    require_held(status, claim)


def require_held(status: bytes, claim: Claim) -> None:
    """Raise LeaseLost where a script says so."""
    if status == b"lost":
        raise LeaseLost(f"turn {claim.turn} of {claim.role} was taken over or closed")
