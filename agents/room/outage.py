"""Waiting an outage of Redis out: what passes by waiting and what doesn't, and saying so once."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import structlog
from redis import exceptions as fault

from agents.domain.errors import RoomError, RoomUnavailable
from agents.room.tls import Misfit

log = structlog.get_logger()

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0  # seconds between tries

# what passes: the server restarts, fails over, loads its file, or somebody frees memory or disk
PASSING = (
    fault.ConnectionError,
    fault.TimeoutError,
    fault.ReadOnlyError,
    fault.OutOfMemoryError,
    fault.ClusterDownError,
    fault.TryAgainError,
    fault.MasterDownError,
    OSError,
)
REFUSED = (fault.AuthenticationError, fault.AuthorizationError, fault.NoPermissionError)
_HINTS: dict[type[BaseException], str] = {
    fault.OutOfMemoryError: "its memory is full: raise maxmemory, or free some",
    fault.TryAgainError: "the cluster moves the room's keys to another node: let it end, or look why it doesn't",
    fault.ClusterDownError: "the cluster waits for a node: let a replica take over, or start the node",
}

Explain = Callable[[BaseException], Awaitable[BaseException]]


class Trouble:
    """What keeps the calls of a link waiting: said once in the log, however many they are, and its end once."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._waiting: set[Outage] = set()

    def begin(self, outage: "Outage", error: BaseException) -> None:
        """A call waits."""
        if not self._waiting:
            hint = _HINTS.get(type(error), "start it, or mend the way to it")
            log.warning("redis doesn't serve, everybody waits", url=self.url, error=line(error), hint=hint)
        self._waiting.add(outage)

    def over(self, outage: "Outage") -> None:
        """A call was answered, or waits no longer."""
        if outage in self._waiting:
            self._waiting.discard(outage)
            if not self._waiting:
                log.info("redis serves again", url=self.url)


class Outage:
    """Waits between tries while Redis can't serve. `explain` may know better what an error is about."""

    def __init__(self, trouble: Trouble, patience: float | None, explain: Explain) -> None:
        self._trouble = trouble
        self._url = trouble.url
        self._patience = patience
        self._explain = explain
        self._since: float | None = None
        self._tries = 0

    async def wait(self, error: BaseException) -> None:
        """Pause before the next try; raise RoomUnavailable or RoomError if there is to be none."""
        if isinstance(error, REFUSED) or isinstance(error.__cause__, REFUSED):
            raise RoomUnavailable(
                f"Redis at {self._url} refuses us ({line(error)}): check user and password in REDIS_URL"
            ) from error
        if isinstance(error, fault.MovedError):
            raise RoomUnavailable(
                f"Redis at {self._url} is one node of a cluster: use redis+cluster:// (rediss+cluster:// with TLS)"
            ) from error
        if not _passes(error):
            raise RoomError(f"Redis at {self._url} can't do it: {line(error)}") from error
        why = await self._explain(error)
        if isinstance(why, Misfit):
            raise RoomUnavailable(f"Redis at {self._url}: {why}") from error
        self._tries += 1
        if self._since is None:
            self._since = time.monotonic()
        waited = time.monotonic() - self._since
        if self._patience is not None and waited >= self._patience:
            raise RoomUnavailable(
                f"Redis at {self._url} didn't answer for {waited:.0f} s, {self._tries} tries ({line(error)}): "
                "start it, or set REDIS_URL to one that runs"
            ) from error
        if self._tries == 2:  # the first may be a connection that broke while idle
            self._trouble.begin(self, error)
        pause = min(FIRST_PAUSE * 2 ** min(self._tries - 2, 10), LONGEST_PAUSE) if self._tries > 1 else 0.0
        pause *= random.uniform(0.5, 1.0)  # noqa: S311  jitter, no secret
        await asyncio.sleep(pause if self._patience is None else min(pause, self._patience - waited))

    def over(self) -> None:
        """Redis serves again."""
        self._trouble.over(self)
        self._since, self._tries = None, 0


def line(error: BaseException) -> str:
    """An error in a short line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def _passes(error: BaseException) -> bool:
    """Whether waiting may mend it."""
    return isinstance(error, PASSING) or str(error).startswith(("MISCONF", "BUSY", "NOREPLICAS"))
