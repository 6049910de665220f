"""Text in files: encodings, line ends, line ranges, exact edits and diffs. Pure."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from agents.domain.errors import ToolError

DIFF_LINES = 2_000
_LINE_END = re.compile(r"\r?\n")
_BYTE_ORDER_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


@dataclass(frozen=True)
class Content:
    """What was read of a file. `size` is the file's, in bytes; `raw` may be less of a very large one."""

    name: str
    raw: bytes
    size: int

    @cached_property
    def fault(self) -> str | None:
        """Why it can't be shown as text, or None."""
        if self.size > len(self.raw):
            return f"{self.name}: {self.size:,} bytes, too large to be read whole; use search_files or run_shell"
        for mark, encoding in _BYTE_ORDER_MARKS.items():
            if self.raw.startswith(mark):
                return (
                    f"{self.name}: {self.size:,} bytes of {encoding} text; only UTF-8 is read: convert it with iconv"
                )
        if b"\0" in self.raw:
            return f"{self.name}: a binary file of {self.size:,} bytes"
        try:
            self.raw.decode()
        except UnicodeDecodeError as error:
            return (
                f"{self.name}: {self.size:,} bytes that are not UTF-8 (byte 0x{self.raw[error.start]:02x} at offset "
                f"{error.start:,}); if it is text in another encoding, convert it with iconv"
            )
        return None

    @property
    def text(self) -> str | None:
        """The text, line ends as they are; None: there is a `fault`."""
        return None if self.fault else self.raw.decode()

    def required_text(self) -> str:
        """The text, line ends as they are. Raise ToolError where there is none."""
        if self.fault:
            raise ToolError(self.fault)
        return self.raw.decode()


def line_ends(text: str) -> str:
    """The line end of `text`: LF, CRLF, or "mixed"."""
    crlf = text.count("\r\n")
    if not crlf:
        return "LF"
    return "CRLF" if crlf == text.count("\n") else "mixed"


def same_line_ends(addition: str, text: str) -> str:
    """`addition` with the line ends of `text`, where those are all CRLF."""
    if line_ends(text) != "CRLF":
        return addition
    return re.sub(r"\r?\n", "\r\n", addition)


def edited(name: str, text: str, old: str, new: str) -> str:
    """`text` with its only `old` replaced by `new`. Raise ToolError saying why it can't be, and where to look."""
    if not old:
        raise ToolError("`old` is empty; to add text use append_file, to write a whole file use save_file")
    if old == new:
        raise ToolError("`old` and `new` are the same: nothing would change")
    old, new = same_line_ends(old, text), same_line_ends(new, text)
    count = text.count(old)
    if count == 1:
        return text.replace(old, new)
    if count:
        lines = ", ".join(str(line) for line in _places_of(text, old)[:10])
        raise ToolError(
            f"`old` occurs {count} times in {name} (lines {lines}); add the lines around the one you mean"
        )
    raise ToolError(f"`old` does not occur in {name}{_nearest(text, old)}")


def _places_of(text: str, old: str) -> list[int]:
    return [text.count("\n", 0, match.start()) + 1 for match in re.finditer(re.escape(old), text)]


def _nearest(text: str, old: str) -> str:
    """Where something like `old` is."""
    squeezed = r"\s+".join(re.escape(word) for word in old.split())
    if squeezed and (match := re.search(squeezed, text)):
        line = text.count("\n", 0, match.start()) + 1
        return f"; the same words with other white space are at line {line}: copy them exactly:\n{match[0][:1000]}"
    first = next((line.strip() for line in old.splitlines() if line.strip()), "")
    candidates = [line.strip() for line in text.splitlines() if line.strip()][:2_000]
    near = difflib.get_close_matches(first[:200], [line[:200] for line in candidates], n=1)
    return f"; the nearest line is: {near[0]}" if near else "; read the file first and copy the text exactly"


def diff(name: str, before: str, after: str) -> str:
    """A unified diff, "" where nothing changed. Only the span between the first and last change is compared."""
    old, new = lines_of(before), lines_of(after)
    head = _common(old, new)
    tail = _common(old[head:][::-1], new[head:][::-1])
    first, context = max(0, head - 3), max(0, tail - 3)
    old_span, new_span = old[first : len(old) - context], new[first : len(new) - context]
    if len(old_span) + len(new_span) > DIFF_LINES:
        return f"{name}: lines {first + 1}–{len(old) - context} replaced by {len(new_span):,} lines; too many to show"
    lines = list(difflib.unified_diff(old_span, new_span, f"a/{name}", f"b/{name}", lineterm=""))
    if not lines and before != after:
        return f"{name}: only line ends changed"
    return "\n".join(_shifted(line, first) for line in lines)


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count


_HUNK = re.compile(r"^@@ -(\d+)(,\d+)? \+(\d+)(,\d+)? @@$")


def _shifted(line: str, by: int) -> str:
    """A hunk's head with the line numbers of the whole file."""
    match = _HUNK.match(line)
    if not match:
        return line
    return f"@@ -{int(match[1]) + by}{match[2] or ''} +{int(match[3]) + by}{match[4] or ''} @@"


def lines_of(text: str) -> list[str]:
    """The lines of `text` without their ends; LF and CRLF end a line, and nothing else does."""
    lines = _LINE_END.split(text)
    return lines[:-1] if lines[-1] == "" else lines


def numbered(lines: Sequence[str], first: int) -> str:
    """`lines` with their numbers, the first one being `first`."""
    width = len(str(first + len(lines)))
    return "\n".join(f"{number:>{width}}| {line}" for number, line in enumerate(lines, first))
