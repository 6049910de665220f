"""Whatever is changed in a ledger is found, and the first line that is wrong is named."""

import hashlib
import io
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.telemetry import chain

Change = Callable[[list[bytes]], list[bytes]]


def ledger(count: int = 6, room: str = "r") -> list[bytes]:
    """A sound ledger of `count` lines."""
    lines, prev = [], chain.genesis(room)
    for n in range(1, count + 1):
        kind, body = (chain.OPENED, {"ledger": "id", "host": "here"}) if n == 1 else ("done", {"tool": f"t{n}"})
        raw, prev = chain.sealed(n, prev, "2026-01-01T00:00:00.000+00:00", kind, body)
        lines.append(raw)
    return lines


def resealed(lines: list[bytes], at: int) -> list[bytes]:
    """Line `at` (from 0) rewritten by somebody who knows how a line is sealed."""
    line = chain.parsed(lines[at][:-1])
    forged, _ = chain.sealed(line.n, line.prev, line.at, line.kind, {"tool": "innocent"})
    return [*lines[:at], forged, *lines[at + 1 :]]


def rebuilt(lines: list[bytes], at: int) -> list[bytes]:
    """Like `resealed`, with every later line sealed anew."""
    made, prev = lines[:at], chain.parsed(lines[at][:-1]).prev
    for number, raw in enumerate(lines[at:], at + 1):
        line = chain.parsed(raw[:-1])
        body = {"tool": "innocent"} if number == at + 1 else line.body
        sealed, prev = chain.sealed(line.n, prev, line.at, line.kind, body)
        made.append(sealed)
    return made


CHANGES: dict[str, tuple[Change, int, str]] = {
    "edited": (lambda lines: [*lines[:2], lines[2].replace(b'"t3"', b'"t8"'), *lines[3:]], 3, "edited"),
    "a byte of its hash": (lambda lines: [*lines[:2], lines[2][:-5] + b"z" + lines[2][-4:], *lines[3:]], 3, "line"),
    "deleted in the middle": (lambda lines: [*lines[:2], *lines[3:]], 3, "taken out"),
    "the first deleted": (lambda lines: lines[1:], 1, "taken out"),
    "exchanged": (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], 2, "taken out"),
    "doubled": (lambda lines: [*lines[:3], lines[2], *lines[3:]], 4, "put in"),
    "sealed anew": (lambda lines: resealed(lines, 2), 4, "follow"),
    "another room's": (lambda lines: ledger(6, "other"), 1, "follow"),
    "an empty line": (lambda lines: [*lines[:3], b"\n", *lines[3:]], 4, "no line"),
    "the end cut off": (lambda lines: lines[:4], 5, "had 6 lines"),
    "all but the first cut off": (lambda lines: lines[:1], 2, "had 6 lines"),
    "the last torn on purpose": (lambda lines: [*lines[:5], lines[5][:-9]], 6, "had 6 lines"),
    "the end rewritten": (lambda lines: rebuilt(lines, 4), 6, "put into Redis"),
}


def heads(lines: list[bytes]) -> dict[str, tuple[int, str]]:
    return {"id": (len(lines), chain.link(lines[-1]))}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_found_and_its_line_named(name: str) -> None:
    change, line, word = CHANGES[name]
    sound = ledger()
    found = chain.walk(change(sound), "r", heads(sound))
    assert found.fault is not None
    assert found.fault.line == line
    assert word in found.fault.what


def test_a_sound_ledger_has_no_fault() -> None:
    sound = ledger()
    found = chain.walk(sound, "r", heads(sound))
    assert (found.fault, found.lines, found.ledger, found.host) == (None, 6, "id", "here")
    assert chain.walk(ledger(9), "r", heads(sound)).fault is None, "the head in Redis may be older than the file"
    assert chain.walk([], "r").fault is None


@given(st.data())
def test_any_changed_byte_is_found(data: st.DataObject) -> None:
    lines = ledger(4)
    whole = b"".join(lines)
    at = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != whole[at]))
    changed = whole[:at] + bytes([byte]) + whole[at + 1 :]
    found = chain.walk(io.BytesIO(changed), "r", heads(lines))
    assert found.fault is not None
    before = whole[:at].count(b"\n") + 1
    assert before <= found.fault.line + 1
    assert found.fault.line <= before + 1


def test_a_line_with_a_right_hash_and_wrong_content_is_no_line() -> None:
    raw, _ = chain.sealed(1, "p", "t", "done", {})
    assert chain.parsed(raw[:-1]).kind == "done"
    for text in ('{"n":1', "[1", '{"n":NaN,"prev":1'):
        head = text.encode()
        digest = hashlib.sha256(b"minilab-ledger-1\n" + head).hexdigest()
        with pytest.raises(ValueError, match="no line of a ledger"):
            chain.parsed(head + b',"hash":"' + digest.encode() + b'"}')


@given(
    st.recursive(
        st.none() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.sets(st.text()) | st.dictionaries(st.text(), inner),
    )
)
def test_any_body_becomes_json(value: object) -> None:
    body = chain.fitted({"x": chain.plain(value)})
    raw, _ = chain.sealed(1, "p", "t", "done", body)
    assert json.loads(raw)["body"] == json.loads(json.dumps(body))


def test_what_is_too_large_leaves_its_length_and_hash() -> None:
    body = chain.fitted({"args": {"content": "x" * 5_000, "path": "a"}, "many": ["y" * 1_000] * 50, "n": 1})
    assert body["args"]["path"] == "a"
    assert "5,000 characters in all, SHA-256" in body["args"]["content"]
    assert "SHA-256" in body["many"]
    assert len(json.dumps(body)) < 6_000
    deep: object = 1
    for _ in range(5_000):
        deep = [deep]
    assert "nested deeper" in json.dumps(chain.plain(deep))
