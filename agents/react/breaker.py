"""The breaker: what failed the same way three times isn't tried a fourth time, by one agent or across the team."""

import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from agents.domain.turn import Status, ToolCall, ToolResult

REPEATS = 3
TEAM_REPEATS = 6
TEAM_WINDOW = 1800.0  # seconds
MOST = 100  # failures kept of a call, and calls kept before old ones are swept out
_CHANGING = re.compile(
    r"0x[0-9a-fA-F]+|\b[0-9a-f]{7,64}\b|\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b|/tmp/\S+|\d+(?:[.:,]\d+)*"
)


class FailureStore(Protocol):
    """How the team's calls failed lately."""

    async def add(self, call: str, error: str) -> None:
        """One more failure of `call` with `error`."""
        ...

    async def worst(self, call: str) -> int:
        """How often `call` failed lately with its most frequent error."""
        ...

    async def forget(self, call: str) -> None:
        """`call` works now."""
        ...


class InMemoryFailures:
    """A FailureStore of one process. A failure counts for `window` seconds, so that an open breaker closes again."""

    def __init__(self, window: float = TEAM_WINDOW, clock: Callable[[], float] = time.monotonic) -> None:
        self._window = window
        self._clock = clock
        self._failures: dict[str, list[tuple[float, str]]] = {}

    async def add(self, call: str, error: str) -> None:
        """See the protocol."""
        self._failures[call] = [*self._recent(call)[-MOST:], (self._clock(), error)]
        if len(self._failures) > MOST:
            self._failures = {call: recent for call in self._failures if (recent := self._recent(call))}

    async def worst(self, call: str) -> int:
        """See the protocol."""
        recent = self._recent(call)
        if not recent:
            self._failures.pop(call, None)
            return 0
        return Counter(error for _, error in recent).most_common(1)[0][1]

    async def forget(self, call: str) -> None:
        """See the protocol."""
        self._failures.pop(call, None)

    def _recent(self, call: str) -> list[tuple[float, str]]:
        since = self._clock() - self._window
        return [failure for failure in self._failures.get(call, ()) if failure[0] > since]


class Breaker:
    """The breaker of one turn. Failures count wherever they are in the turn, successes only in a row."""

    def __init__(
        self, team: FailureStore | None = None, *, repeats: int = REPEATS, team_repeats: int = TEAM_REPEATS
    ) -> None:
        self._team = team
        self._repeats = repeats
        self._team_repeats = team_repeats
        self._outcomes: dict[str, dict[str, int]] = {}
        self._last: tuple[str, str, int] = ("", "", 0)

    async def refusal(self, call: ToolCall) -> str | None:
        """Why this call isn't executed, or None."""
        key = call_key(call)
        error, count = self._most(key)
        if count >= self._repeats:
            return (
                f"breaker open: this very call ended the same way {count} times ({error}); "
                "it was not run again. Change the approach, or say what blocks you and end your turn"
            )
        if self._team and (count := await self._team.worst(key)) >= self._team_repeats:
            return (
                f"breaker open: this very call failed the same way {count} times across the team; "
                "it was not run again. Change the approach, or say what blocks you and end your turn"
            )
        return None

    async def saw(self, call: ToolCall, result: ToolResult, *, live: bool = True) -> str | None:
        """Note an outcome; the warning the model is due, or None. `live` is False for what a journal replays."""
        key, error = call_key(call), normalised_error(result)
        repeated = self._last[2] + 1 if self._last[:2] == (key, error) else 1
        self._last = (key, error, repeated)
        outcomes = self._outcomes.setdefault(key, {})
        if result.status is Status.OK:
            outcomes.clear()  # it works now: what failed before counts no more
            outcomes[error] = count = repeated
        else:
            outcomes[error] = count = outcomes.get(error, 0) + 1
        if live and self._team:
            await (self._team.forget(key) if result.status is Status.OK else self._team.add(key, error))
        if count != self._repeats:
            return None
        return (
            f"{call.name} ended the same way {count} times with the same arguments. It will not be run again "
            "like that: change the approach, or say what blocks you and end your turn."
        )

    def _most(self, key: str) -> tuple[str, int]:
        outcomes = self._outcomes.get(key) or {"": 0}
        error = max(outcomes, key=lambda outcome: outcomes[outcome])
        count = outcomes[error]
        if self._last[0] != key and error.startswith(Status.OK.value):
            count = 0  # something else happened in between: looking again is fair
        return error, count


def call_key(call: ToolCall) -> str:
    """What makes it the same call again: tool and arguments, spacing folded."""
    args = call.raw if call.args is None else json.dumps(call.args, sort_keys=True, default=str)
    folded = " ".join(args.split())
    return f"{call.name}:{hashlib.sha256(folded.encode('utf-8', 'replace')).hexdigest()[:24]}"


def normalised_error(result: ToolResult) -> str:
    """What makes it the same outcome again: status and text, with numbers, ids and temporary paths folded."""
    content = result.content
    if result.status is Status.OK:
        return f"ok:{hashlib.sha256(content.encode('utf-8', 'replace')).hexdigest()[:16]}"
    return f"{result.status.value}: {' '.join(_CHANGING.sub('#', content).split())[:200]}"
