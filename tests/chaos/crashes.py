"""Deaths on schedule: a room whose user is killed (-9), or held, right before or after the n-th call of a kind."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from typing import Any

from agents.domain.ports import OpenRoom
from agents.room import connection

KINDS = ("claim", "query", "record", "begin_effect", "end_effect", "effect", "commit")
DEPTH = {"claim": 1, "query": 4, "record": 7, "begin_effect": 3, "end_effect": 2, "effect": 3, "commit": 1}
POINTS = tuple(
    f"{kind}:{number}:{when}"
    for kind in KINDS
    for number in range(1, DEPTH[kind] + 1)
    for when in ("before", "after")
)


class Crash:
    """Sends this very process a signal at its point; never where `point` is empty."""

    def __init__(self, point: str, number: int = signal.SIGKILL) -> None:
        self._kind, count, self._when = point.split(":") if point else ("", "0", "")
        self._number = int(count)
        self._signal = number
        self._seen: Counter[str] = Counter()

    def come(self, kind: str, when: str) -> None:
        """Something of that kind is about to happen, or has."""
        self._seen[kind] += when == "before"
        if (kind, when) == (self._kind, self._when) and self._seen[kind] == self._number:
            os.kill(os.getpid(), self._signal)

    def between_sending_and_reading(self, script: str) -> None:
        """Come to `script:n:sent` where a script's request is out and its answer isn't read yet."""
        sha = connection.source(script)[1]
        exchange = connection._exchange

        async def exchanged(link: Any, *args: Any) -> Any:
            if args[:2] != ("EVALSHA", sha):
                return await exchange(link, *args)
            await link.send_command(*args)
            self.come(script, "before")
            self.come(script, "sent")
            return await link.read_response()

        connection._exchange = exchanged  # type: ignore[assignment]

    def around(self, target: Any, *names: str) -> Any:
        """`target` with those of its methods watched."""
        return _Watched(target, names, self)


class _Watched:
    def __init__(self, target: Any, names: tuple[str, ...], crash: Crash) -> None:
        self._target, self._names, self._crash = target, names, crash

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        return self._guarded(name, found) if name in self._names else found

    def _guarded(self, name: str, found: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*args: Any, **keywords: Any) -> Any:
            self._crash.come(name, "before")
            answer = await found(*args, **keywords)
            if name != "claim" or answer is not None:  # an empty inbox is no point in a turn
                self._crash.come(name, "after")
            return answer

        return call


class Doomed:
    """The `OpenRoom` of a process that dies at its point."""

    def __init__(self, opened: OpenRoom, crash: Crash) -> None:
        self._opened = opened
        self._crash = crash
        self.journal = crash.around(opened.journal, "record", "begin_effect", "end_effect", "commit")

    def inbox(self, role: str, consumer: str) -> Any:
        """The inbox; claiming from it may be the end."""
        return self._crash.around(self._opened.inbox(role, consumer), "claim")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._opened, name)
