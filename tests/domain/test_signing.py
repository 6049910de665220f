"""What is signed is the same before it is sent and after it was received, and says no more than it means."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.domain.approval import Approval, Decision
from agents.domain.message import Kind, Message, from_wire, to_wire
from agents.domain.signing import decision_bytes, is_replayed, message_bytes, request_bytes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.text(), st.sampled_from(Kind), st.lists(st.text(), max_size=3), st.none() | st.text(), JSON, st.integers(0, 99)
)
def test_a_message_is_signed_as_it_will_be_read(
    content: str, kind: Kind, to: list[str], turn: str | None, data: object, hops: int
) -> None:
    message = Message("Coder", content, kind, tuple(to), turn=turn, hops=hops, data={"x": data})
    payload = message_bytes("lab", message)
    received = from_wire(to_wire(replace(message, sig="Coder:abc"))).with_place("5-1", 7)
    assert message_bytes("lab", received) == payload


def test_room_and_words_are_bound() -> None:
    message = Message("Coder", "x")
    assert message_bytes("lab", message) != message_bytes("den", message)
    assert message_bytes("lab", message) != message_bytes("lab", replace(message, to=("QA",)))
    assert message_bytes("lab", message) == message_bytes("lab", replace(message, sig="s", seq="9-0", epoch=4))


def test_kinds_of_bytes_cannot_be_taken_for_each_other() -> None:
    approval = Approval("a1", "lab", 0, "DevOps", "d" * 64, frozenset(("User",)), 1.0, 2.0)
    decision = Decision("User", True, "d" * 64, 3.0)
    parts = {message_bytes("lab", Message("Coder", "x")), decision_bytes("a1", decision), request_bytes(approval, {})}
    assert len({part.partition(b"\n")[0] for part in parts}) == 3
    assert decision_bytes("a1", decision) != decision_bytes("a2", decision)
    assert decision_bytes("a1", decision) != decision_bytes("a1", replace(decision, approve=False))
    assert decision_bytes("a1", decision) == decision_bytes("a1", replace(decision, sig="s"))
    assert request_bytes(approval, {}) != request_bytes(approval, {"hosts": 1})
    assert request_bytes(approval, {}) != request_bytes(replace(approval, needed=frozenset(("QA",))), {})
    assert request_bytes(approval, {}) == request_bytes(replace(approval, requested=5.0, expires=9.0), {})


@pytest.mark.parametrize(
    ("timestamp", "seq", "replayed"),
    [
        ("1970-01-01T01:00:00+00:00", "3600000-0", False),
        ("1970-01-01T01:00:00+00:00", "7200000-0", False),
        ("1970-01-01T01:00:00+00:00", "7200001-0", True),
        ("1970-01-01T02:00:00.001+00:00", "3600000-0", True),
        ("soon", "3600000-0", True),
        ("1970-01-01T01:00:00+00:00", "", True),
    ],
)
def test_a_message_belongs_to_its_hour(timestamp: str, seq: str, replayed: bool) -> None:
    assert is_replayed(Message("Coder", "x", timestamp=timestamp, seq=seq)) is replayed
