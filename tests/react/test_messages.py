from typing import Any

import pytest
from langchain_core.messages import AIMessage

from agents.domain.turn import ToolCall, Usage
from agents.react.messages import (
    arguments,
    calls_of,
    content_text,
    estimated_tokens,
    history_message,
    reply_of,
    split_thoughts,
    with_unique_ids,
)
from tests.react.doubles import call, calls


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ('{"a": 1}', {"a": 1}),
        ("", {}),
        ("null", {}),
        ("  {}  ", {}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('```\n{"a": 1,}\n```', {"a": 1}),
        ('{"a": [1, 2,], }', {"a": [1, 2]}),
        ('{"a": "x,]"}', {"a": "x,]"}),
        ('{"a": "keep, ]this", }', {"a": "keep, ]this"}),
        ('"{\\"a\\": 1}"', {"a": 1}),
        ('{"a": "two\nlines"}', {"a": "two\nlines"}),
        ("{'a': True, 'b': None}", {"a": True, "b": None}),
        ('{"a": 1', None),
        ('{"a": "torn', None),
        ("[1]", None),
        ("7", None),
        ('"text"', None),
        ("rm -rf", None),
        ("{1: 2}", {"1": 2}),
        ("{'a': {1, 2}}", None),
        ("{'a': " + "[" * 5000, None),
        ("```json\n{torn\n```", None),
    ],
)
def test_arguments_are_mended_but_never_guessed(raw: str, wanted: dict[str, Any] | None) -> None:
    assert arguments(raw) == wanted


@pytest.mark.parametrize(
    ("text", "said", "thought"),
    [
        ("hello", "hello", ""),
        ("a < b", "a < b", ""),
        ("<think>hm</think>hello", "hello", "hm"),
        ("<think>one</think>a<THINK>two</THINK> b", "a b", "one\ntwo"),
        ("<reasoning>r</reasoning>x", "x", "r"),
        ("hello <think>and never closed", "hello", "and never closed"),
        ("prompted thought</think>hello", "hello", "prompted thought"),
        ("<think>only", "", "only"),
        ("<think>\n\n</think>hello", "hello", ""),
    ],
)
def test_thoughts_never_reach_the_text(text: str, said: str, thought: str) -> None:
    assert split_thoughts(text) == (said, thought)


def reply(*chunks: dict[str, Any], text: str = "") -> Any:
    return reply_of(AIMessage(content=text), chunks, Usage(1, 1), "m")


def test_calls_without_ids_or_with_the_same_id_get_their_own() -> None:
    made = reply(
        {"name": "look", "args": "{}", "id": None},
        {"name": "look", "args": "{}", "id": "x"},
        {"name": " functions.save ", "args": "{}", "id": "x"},
    )
    ids = [c.id for c in made.calls]
    assert ids[1] == "x"
    assert len(set(ids)) == 3
    assert all(ids)
    assert made.calls[2].name == "save"
    assert [c["id"] for c in made.message.tool_calls] == ids


def test_a_call_that_is_no_json_is_kept_as_what_it_is() -> None:
    made = reply(
        {"name": "look", "args": '{"a": 1', "id": "x"}, {"name": None, "args": '{"a": 1}', "id": "y"}, text="trying"
    )
    assert made.calls[0] == ToolCall("x", "look", None, '{"a": 1')
    assert made.calls[1] == ToolCall("y", "", {"a": 1}, "")
    assert made.text == "trying"
    assert sorted(calls_of(made.message), key=lambda c: c.id) == list(made.calls)


def test_ids_taken_by_earlier_steps_are_replaced() -> None:
    first = calls(call("0"), call("1"))
    again = with_unique_ids(first, {"0"})
    assert again.calls[0].id != "0"
    assert again.calls[1].id == "1"
    assert [c["id"] for c in again.message.tool_calls] == [c.id for c in again.calls]
    assert with_unique_ids(first, {"9"}) is first


def test_what_a_provider_attached_to_a_call_stays_with_it() -> None:
    message = AIMessage(content="", additional_kwargs={"extra_content": [None, {"sig": "b"}]})
    chunks = [{"name": "look", "args": "{}", "id": i} for i in ("a", "b")]
    made = reply_of(message, chunks, Usage(1, 1), "m")
    assert made.message.additional_kwargs == {"extra_content": {"b": {"sig": "b"}}}
    again = with_unique_ids(made, {"b"})
    assert again.message.additional_kwargs == {"extra_content": {again.calls[1].id: {"sig": "b"}}}


WRITTEN = '<tool_call>\n{"name": "look", "arguments": {"a": 1}}\n</tool_call>'


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (WRITTEN, [("look", {"a": 1})]),
        (f"<think>hm</think>{WRITTEN}\n{WRITTEN}", [("look", {"a": 1})] * 2),
        ("<tool_call>{torn</tool_call>", [("", {})]),
        (f"The log says {WRITTEN}", []),
        (f"{WRITTEN} as you see", []),
    ],
)
def test_calls_written_as_text_count_only_if_there_is_nothing_else(text: str, wanted: list[Any]) -> None:
    made = reply(text=text)
    assert [(c.name, c.args) for c in made.calls] == wanted
    assert bool(made.text) is not bool(wanted)


def test_history_message_holds_text_and_calls() -> None:
    message = history_message("hi", (call("1", a=1),))
    assert message.content == "hi"
    assert message.tool_calls[0]["args"] == {"a": 1}


def test_text_of_parts() -> None:
    assert content_text(AIMessage(content=["a", {"type": "text", "text": "b"}, {"type": "image"}])) == "ab"


def test_tokens_round_up() -> None:
    assert [estimated_tokens(n) for n in (0, 1, 4, 5)] == [0, 1, 1, 2]
