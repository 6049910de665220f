"""Bounded capture: head and tail, never more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.executors.capture import Capture


def test_what_fits_is_kept_whole() -> None:
    capture = Capture(10)
    capture.feed(b"12345")
    capture.feed(b"67890")
    assert (capture.text(), capture.truncated) == ("1234567890", False)


def test_beyond_the_cap_head_and_tail_are_kept_and_the_gap_is_counted() -> None:
    capture = Capture(10)
    capture.feed(b"abcde")
    capture.feed(b"....")
    capture.feed(b"vwxyz")
    assert capture.truncated
    assert capture.text() == "abcde\n… 4 bytes left out …\nvwxyz"


@given(st.lists(st.binary(max_size=40)), st.integers(2, 64))
def test_any_stream_keeps_its_head_and_its_tail(chunks: list[bytes], cap: int) -> None:
    capture = Capture(cap)
    for chunk in chunks:
        capture.feed(chunk)
    whole, half = b"".join(chunks), cap // 2
    if len(whole) <= 2 * half:
        assert capture.text() == whole.decode("utf-8", "replace")
        assert not capture.truncated
    else:
        gap = f"\n… {len(whole) - 2 * half:,} bytes left out …\n"
        head, tail = whole[:half].decode("utf-8", "replace"), whole[-half:].decode("utf-8", "replace")
        assert capture.text() == head + gap + tail
        assert capture.truncated


def test_memory_stays_bounded() -> None:
    capture = Capture(1000)
    for _ in range(1000):
        capture.feed(b"x" * 997)
    assert len(capture.text()) < 1100


@pytest.mark.parametrize("broken", [b"\xff\xfe", "ä".encode()[:1]])
def test_what_is_no_utf8_becomes_readable(broken: bytes) -> None:
    capture = Capture(100)
    capture.feed(broken)
    assert "\ufffd" in capture.text()
