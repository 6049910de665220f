"""Text: exact edits, diffs, line ends."""

import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.domain.errors import ToolError
from agents.executors.texts import DIFF_LINES, diff, edited, line_ends, lines_of, numbered, same_line_ends

TEXT = "server:\n  port: 8080\n  host: a\nclient:\n  port: 8080\n"


def test_an_edit_takes_the_only_place() -> None:
    assert edited("f", TEXT, "host: a", "host: b") == TEXT.replace("host: a", "host: b")
    assert edited("f", TEXT, "  host: a\n", "") == TEXT.replace("  host: a\n", "")


REFUSED = {
    "": "`old` is empty",
    "same": "nothing would change",
    "port: 8080": r"occurs 2 times in f \(lines 2, 5\)",
    "port:  8080\n host: a": "other white space are at line 2",
    "hst: a": "the nearest line is: host: a",
    "%%%%": "read the file first",
}


@pytest.mark.parametrize(("old", "why"), REFUSED.items())
def test_an_edit_that_is_not_exact_is_refused(old: str, why: str) -> None:
    with pytest.raises(ToolError, match=why):
        edited("f", TEXT, old, "same")


def test_line_ends() -> None:
    assert [line_ends(text) for text in ("", "a\nb", "a\r\nb\r\n", "a\r\nb\n")] == ["LF", "LF", "CRLF", "mixed"]
    assert same_line_ends("a\nb\r\nc", "x\r\n") == "a\r\nb\r\nc"
    assert same_line_ends("a\nb", "x\n") == "a\nb"
    assert lines_of("a\r\nb\x0bc\n") == ["a", "b\x0bc"]
    assert lines_of("") == []


def test_numbers_lines() -> None:
    assert numbered(["a", "b"], 9) == " 9| a\n10| b"


@given(st.lists(st.sampled_from("abcd"), max_size=30), st.lists(st.sampled_from("abcd"), max_size=30))
def test_a_diff_is_what_the_library_says(one: list[str], other: list[str]) -> None:
    """The shortened comparison still leads from one text to the other."""
    before, after = ("".join(f"{line}\n" for line in lines) for lines in (one, other))
    found = diff("f", before, after)
    assert bool(found) == (before != after)
    assert _patched(one, found) == other


def _patched(lines: list[str], patch: str) -> list[str]:
    """Apply a unified diff by its line numbers."""
    result, at = [], 0
    for line in patch.splitlines()[2:]:
        if line.startswith("@@"):
            start, _, count = line.split()[1][1:].partition(",")
            first = int(start) - (0 if count == "0" else 1)
            result += lines[at:first]
            at = first
        elif line[0] == "+":
            result.append(line[1:])
        else:
            assert lines[at] == line[1:]
            at += 1
            result += [line[1:]] if line[0] == " " else []
    return result + lines[at:]


def test_a_diff_names_the_lines_of_the_whole_file() -> None:
    before = "".join(f"line {number}\n" for number in range(1, 101))
    after = before.replace("line 50\n", "changed\n")
    expected = list(difflib.unified_diff(before.splitlines(), after.splitlines(), "a/f", "b/f", lineterm=""))
    assert diff("f", before, after).splitlines() == expected


def test_what_a_diff_does_not_show_it_tells() -> None:
    assert diff("f", "a\n", "a\r\n") == "f: only line ends changed"
    big = "".join(f"{number}\n" for number in range(DIFF_LINES))
    assert "too many to show" in diff("f", big, big[::-1])
