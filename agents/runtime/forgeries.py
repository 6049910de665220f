"""Reports messages and decisions that were dropped because nobody entitled signed them: a line a minute at most."""

import asyncio
from collections import Counter
from collections.abc import Callable

PAUSE = 60.0  # seconds between reports: whoever floods the channel must not flood the conversation too
MOST_NAMED = 5


class Forgeries:
    """Counts what was dropped; says the first at once and the rest together. Use within an event loop."""

    def __init__(self, say: Callable[[str], None], pause: float = PAUSE) -> None:
        self._say = say
        self._pause = pause
        self._counts: Counter[tuple[str, str]] = Counter()
        self._next = float("-inf")
        self._waiting: asyncio.TimerHandle | None = None

    def heard(self, sender: str, why: str) -> None:
        """One more was dropped that claims to be from `sender`."""
        self._counts[sender, why] += 1
        if self._waiting is None:
            loop = asyncio.get_running_loop()
            self._waiting = loop.call_at(max(self._next, loop.time()), self._report)

    def _report(self) -> None:
        counts, self._counts, self._waiting = self._counts, Counter(), None
        self._next = asyncio.get_running_loop().time() + self._pause
        named = [f"{count} as {sender} ({why})" for (sender, why), count in counts.most_common(MOST_NAMED)]
        more = [f"{len(counts) - MOST_NAMED} more kinds"] * (len(counts) > MOST_NAMED)
        self._say(
            f"forged: {counts.total()} dropped that nobody entitled signed: {', '.join(named + more)}. Somebody else "
            "writes to this Redis, or a process has other keys than we: docs/manual/how-to/keys.md"
        )
