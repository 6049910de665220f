"""Messages survive the wire, and what isn't a message is refused with a reason."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.domain.errors import MalformedMessage, MessageTooLarge
from agents.domain.message import MAX_MESSAGE_BYTES, Kind, Message, from_wire, to_wire

PLAIN = {"sender": "Coder", "content": "hi", "timestamp": "2026-11-20T12:00:00.000+00:00"}
texts = st.text(st.characters(codec="utf-8"), max_size=50)


def wire(**changes: Any) -> str:
    return json.dumps({**PLAIN, **changes})


@given(
    texts,
    st.sampled_from(Kind),
    st.lists(st.sampled_from(["Coder", "QA"]), max_size=2),
    st.integers(0, 99),
    st.dictionaries(texts, st.integers() | texts | st.none(), max_size=3),
    st.none() | texts,
)
def test_a_message_survives_the_wire(
    content: str, kind: Kind, to: list[str], hops: int, data: dict[str, Any], optional: str | None
) -> None:
    message = Message("Coder", content, kind, tuple(to), hops=hops, data=data, reply_to=optional, sig=optional)
    assert from_wire(to_wire(message)) == message
    assert from_wire(to_wire(message).encode()) == message


def test_the_three_original_fields_are_enough() -> None:
    message = from_wire(wire())
    assert (message.kind, message.to, message.hops, message.data) == (Kind.SAY, (), 0, {})
    assert len(message.id) == 32


def test_a_thought_shows_its_sender() -> None:
    thought = Message("Coder", "hm", Kind.THINK)
    assert json.loads(to_wire(thought))["sender"] == "Coder::think"
    assert from_wire(wire(sender="Coder::think")).kind is Kind.THINK
    assert from_wire(wire(sender="Coder::think")).sender == "Coder"
    with pytest.raises(MalformedMessage, match="only thoughts"):
        from_wire(wire(sender="Coder::think", kind="say"))


@pytest.mark.parametrize(
    "bad",
    [
        "", "x", "[]", "null", "1", "{}", b"\xff\xfe\x00", "[" * 100_000,
        *(json.dumps({key: value for key, value in PLAIN.items() if key != gone}) for gone in PLAIN),
        *(wire(**{name: 1}) for name in PLAIN),
        wire(kind="shout"), wire(to="Coder"), wire(to=[1]), wire(to=None), wire(data=[]), wire(data=None),
        wire(hops=-1), wire(hops=True), wire(hops="1"), wire(hops=1.5), wire(epoch=-1),
        wire().replace("}", ', "hops": 1e999}'), wire().replace("}", ', "hops": NaN}'),
        wire(sender=""), wire(sender=" "), wire(sender="User\n"), wire(sender="\x1b[2JUser"), wire(sender="a" * 65),
        wire(sender="Us\u202eer"), wire(sender="User\u200b"), "x" * (MAX_MESSAGE_BYTES + 2000),
    ],
    ids=lambda bad: repr(bad)[:40],
)  # fmt: skip
def test_what_is_no_message_is_refused(bad: str | bytes) -> None:
    with pytest.raises(MalformedMessage) as caught:
        from_wire(bad)
    assert str(caught.value)
    assert from_wire(wire()).content == "hi"


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_any_bytes_are_a_message_or_a_complaint(noise: str | bytes) -> None:
    with pytest.raises(MalformedMessage):
        from_wire(noise)


def test_half_a_surrogate_pair_breaks_nobody() -> None:
    read = from_wire('{"sender":"Coder","content":"a\\ud800b","timestamp":"t","data":{"\\udc00":["\\ud800"]}}')
    assert read.content == "a?b"
    assert read.data == {"?": ["?"]}
    read.content.encode()
    assert "a?b" in to_wire(Message("Coder", "a\ud800b"))
    assert from_wire('{"sender":"Coder","content":"\\ud83d\\ude00","timestamp":"t"}').content == "😀"


def test_not_a_number_leaves_as_null() -> None:
    sent = to_wire(Message("Coder", "x", data={"a": float("nan"), "b": [float("inf"), 1.5]}))
    assert json.loads(sent)["data"] == {"a": None, "b": [None, 1.5]}


def test_too_large_is_told_with_the_way_out() -> None:
    with pytest.raises(MessageTooLarge, match="save the text to a file"):
        to_wire(Message("Coder", "é" * (MAX_MESSAGE_BYTES // 2)))
    assert to_wire(Message("Coder", "é" * (MAX_MESSAGE_BYTES // 2 - 500)))


def test_the_place_is_given_by_the_room() -> None:
    placed = Message("Coder", "x").with_place("5-0", 2)
    assert (placed.seq, placed.epoch) == ("5-0", 2)
