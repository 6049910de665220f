"""Search by regular expression, in a process of its own: a pattern that never ends, or eats memory, is killed there.

Python's `re` holds the interpreter while it matches, so neither a thread nor a timeout could stop it; engines that
can be stopped expand nested repeats at compile time without any bound on memory.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agents.domain.errors import InvalidArguments, ToolError, ToolTimeout
from agents.executors.places import printable
from agents.executors.process import Processes, base_environment
from agents.executors.workspace import Workspace

SEARCH_SECONDS = 5.0
SEARCHED_BYTES = 32 << 20
SEARCHED_FILE_BYTES = 4 << 20
MAX_MATCHES = 100
LINE_CHARS = 300
MAX_PATTERN_CHARS = 500
_WORKER = Path(__file__).with_name("search_worker.py")


@dataclass(frozen=True, slots=True)
class Match:
    """A line that matches; `line` counts from 1, `text` is cut to `LINE_CHARS`."""

    name: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found. `more`: there were more matches than are listed; `left_out`: files not searched."""

    matches: tuple[Match, ...]
    files: int
    more: bool
    left_out: int


class Search:
    """Searches the workspace's text files. `home` is where the worker runs: nothing is written there."""

    def __init__(
        self, workspace: Workspace, processes: Processes, home: Path, seconds: float = SEARCH_SECONDS
    ) -> None:
        self._workspace = workspace
        self._processes = processes
        self._home = home
        self._seconds = seconds

    async def run(self, pattern: str, path: str = "") -> Found:
        """Lines matching `pattern`. Raise InvalidArguments for a bad pattern, ToolTimeout for an endless one."""
        if len(pattern) > MAX_PATTERN_CHARS:
            raise InvalidArguments(
                f"a pattern of {len(pattern):,} characters; at most {MAX_PATTERN_CHARS} are allowed"
            )
        files, left_out = await asyncio.to_thread(texts, self._workspace, path)
        limits = {"matches": MAX_MATCHES, "chars": LINE_CHARS, "seconds": self._seconds}
        request = json.dumps({"pattern": pattern, "files": files, **limits})
        finished = await self._processes.run(
            [sys.executable, "-I", "-S", str(_WORKER)],
            cwd=self._home,
            env=base_environment(self._home),
            timeout=self._seconds,
            stdin=request.encode(),
        )
        if finished.timed_out or finished.exit_code is None or finished.exit_code < 0:
            raise ToolTimeout(
                f"the pattern {pattern[:80]!r} was stopped after {finished.seconds:.1f} s: simplify it (no repeats "
                "inside repeats), or search a smaller folder"
            )
        return _found(pattern, finished.stdout, finished.stderr, len(files), left_out)


def texts(workspace: Workspace, path: str) -> tuple[list[tuple[str, str]], int]:
    """Name and text of every text file at and below `path`, within bounds; and how many files were left out."""
    found: list[tuple[str, str]] = []
    left_out, budget, deadline = 0, SEARCHED_BYTES, time.monotonic() + SEARCH_SECONDS
    for entry in workspace.entries(path):
        if entry.kind != "file":
            continue
        if entry.size > min(budget, SEARCHED_FILE_BYTES) or time.monotonic() > deadline:
            left_out += 1
            continue
        try:
            found.append((printable(str(entry.place)), workspace.read_text(str(entry.place))))
        except (ToolError, FileNotFoundError):  # binary, linked, unreadable or gone
            left_out += 1
        else:
            budget -= entry.size
    return found, left_out


def _found(pattern: str, stdout: str, stderr: str, files: int, left_out: int) -> Found:
    try:
        answer = json.loads(stdout)
    except ValueError:
        raise ToolError(f"the search for {pattern[:80]!r} failed: {stderr.strip()[-300:] or 'no answer'}") from None
    if "error" in answer:
        raise InvalidArguments(
            f"the pattern {pattern[:80]!r} is no regular expression: {answer['error']}; "
            "put a backslash before a character that is meant literally"
        )
    matches = tuple(Match(*match) for match in answer["matches"])
    return Found(matches[:MAX_MATCHES], files, len(matches) > MAX_MATCHES, left_out)


def listing(matches: Iterable[Match]) -> str:
    """Matches as `name:line: text`, one per line."""
    return "\n".join(f"{match.name}:{match.line}: {match.text}" for match in matches)
