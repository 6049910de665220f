"""`docs/execution_log_<Role>.md`: one entry per tool call, for people and for the team to read."""

import json
from collections.abc import Callable
from pathlib import Path

from agents.domain.message import now
from agents.domain.ports import Redactor
from agents.domain.turn import ToolCall, ToolResult

ARGS_CHARS = 2_000
RESULT_CHARS = 4_000


class MarkdownExecutionLog:
    """Implements the `ExecutionLog` port. `complain` hears once when the disk refuses, and once when it is back."""

    def __init__(self, directory: Path, redactor: Redactor, complain: Callable[[str], None]) -> None:
        self._directory = directory
        self._redactor = redactor
        self._complain = complain
        self._failing = False

    def write(self, role: str, call: ToolCall, result: ToolResult) -> None:
        """Append the entry; a full disk is said once and costs the entry, not the turn."""
        path = self._directory / f"execution_log_{role}.md"
        try:
            _append(path, self._entry(call, result))
        except OSError as error:
            if not self._failing:
                self._complain(f"{path.name} can't be written: {error.strerror}; free space or mend its permissions")
            self._failing = True
            return
        if self._failing:
            self._complain(f"{path.name} is written again; entries in between are missing")
        self._failing = False

    def _entry(self, call: ToolCall, result: ToolResult) -> str:
        args = call.raw if call.args is None else json.dumps(self._redactor.value(call.args), ensure_ascii=False)
        return (
            f"## {now()} · {printable(call.name)[:80]} · {result.status.value} · {result.seconds:.2f} s\n\n"
            f"effect {result.effect.value}, call `{printable(call.id)[:80]}`\n\n"
            f"Arguments:\n\n{_block(self._redactor.text(args), ARGS_CHARS)}\n\n"
            f"Result:\n\n{_block(self._redactor.text(result.content), RESULT_CHARS)}\n\n"
        )


def printable(text: str) -> str:
    """`text` with control characters and line breaks spelled out, so that it forges no entry."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


def _block(text: str, limit: int) -> str:
    """`text` as an indented code block: nothing in it can pass for a heading of the log."""
    shown = text if len(text) <= limit else f"{text[:limit]}\n… {len(text) - limit:,} characters left out"
    return "\n".join("    " + printable(line) for line in shown.splitlines()) or "    (nothing)"


def _append(path: Path, entry: str) -> None:
    """Append in one write, after mending a line that a crash tore off."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+", buffering=0) as file:
        if file.tell():
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                entry = "\n\n" + entry
        file.write(entry.encode("utf-8", "replace"))
