"""Nothing a terminal would obey gets through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.text import clean, logged, one_line

CASES = [
    ("plain text, ünïcödé, 日本, 👩‍💻 stay", "plain text, ünïcödé, 日本, 👩‍💻 stay"),
    ("\x1b[31mred\x1b[0m", "red"),
    ("\x1b[2J\x1b[1;1Hwiped", "wiped"),
    ("\x9b31mC1 colour", "C1 colour"),
    ("\x1b]0;title\x07after", "after"),
    ("\x1b]52;c;cm0gLXJm\x1b\\after", "after"),
    ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
    ("\x9d0;title\x9cafter", "after"),
    ("\x1bP1$r\x1b\\after", "after"),
    ("\x1bcreset", "reset"),
    ("\x1b(0charset", "charset"),
    ("unfinished \x1b]0;title\nnext line", "unfinished \nnext line"),
    ("lone \x1b", "lone "),
    ("bell\x07 back\x08space", "bell backspace"),
    ("over\rwrite", "over\nwrite"),
    ("dos\r\nline", "dos\nline"),
    ("next\x85line\u2028sep\u2029par\x0bvt\x0cff", "next\nline\nsep\npar\nvt\nff"),
    ("a\u202egnp.exe", "agnp.exe"),
    ("iso\u2066late\u2069d", "isolated"),
    ("zero\u200bwidth\ufeff", "zerowidth"),
    ("tag\U000e0041s", "tags"),
    ("sur\ud800rogate", "sur\ufffdrogate"),
    ("tab\tstop", "tab stop"),
    ("[bold]markup[/bold]", "[bold]markup[/bold]"),
]


@pytest.mark.parametrize(("dirty", "shown"), CASES)
def test_clean(dirty: str, shown: str) -> None:
    assert clean(dirty) == shown


@given(st.text())
def test_clean_leaves_no_control_character_but_the_newline(text: str) -> None:
    assert not [char for char in clean(text) if (ord(char) < 32 and char != "\n") or 127 <= ord(char) < 160]


@given(st.text())
def test_logged_is_one_printable_line_and_loses_nothing(text: str) -> None:
    line = logged(text)
    assert len(line.splitlines()) <= 1
    # a backslash always starts an escape, so that the original can be read back
    assert line.encode("latin-1", "backslashreplace").decode("unicode_escape") == text


@pytest.mark.parametrize(
    ("text", "width", "line"),
    [("a\nb", 10, "a"), ("\n\n  first\n", 10, "first"), ("123456", 4, "123…"), ("", 5, ""), ("\x1b[1mx", 5, "x")],
)
def test_one_line(text: str, width: int, line: str) -> None:
    assert one_line(text, width) == line
