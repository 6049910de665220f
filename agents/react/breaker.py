"""The breaker: what failed the same way three times isn't tried a fourth time, by one agent or across the team."""

import hashlib
import json
import re
from typing import Protocol

from agents.domain.turn import Status, ToolCall, ToolResult

REPEATS = 3
TEAM_REPEATS = 6
_CHANGING = re.compile(
    r"0x[0-9a-fA-F]+|\b[0-9a-f]{7,64}\b|\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b|/tmp/\S+|\d+(?:[.:,]\d+)*"
)


class FailureStore(Protocol):
    """How often a signature was seen across the team."""

    async def add(self, signature: str) -> int:
        """Count one more; return how many there are now."""
        ...

    async def count(self, signature: str) -> int:
        """How many there are."""
        ...


class InMemoryFailures:
    """A FailureStore of one process."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    async def add(self, signature: str) -> int:
        """Count one more."""
        self._counts[signature] = self._counts.get(signature, 0) + 1
        return self._counts[signature]

    async def count(self, signature: str) -> int:
        """How many there are."""
        return self._counts.get(signature, 0)


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
        if self._team and (count := await self._team.count(key)) >= self._team_repeats:
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
                await self._team.add(key)
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
