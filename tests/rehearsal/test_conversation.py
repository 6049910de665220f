"""A request's body is read as the role's turn: what woke it, the step, the tools' answers."""

from typing import Any

import pytest

from rehearsal.conversation import BadRequest, read
from tests.rehearsal.scenes import called, said


def test_a_fresh_turn() -> None:
    conversation = read({"messages": said("QA", "please test")})
    assert (conversation.role, conversation.heard, conversation.step) == ("QA", "please test", 1)
    assert conversation.results == ()


def test_the_last_user_message_woke_the_turn_and_the_others_are_earlier() -> None:
    messages = said(
        "QA", "the window", {"role": "user", "content": "the mission"}, {"role": "user", "content": "now"}
    )
    conversation = read({"messages": messages})
    assert conversation.heard == "now"
    assert conversation.earlier == ("the mission", "the window")


def test_results_of_this_turn_count_and_those_of_earlier_turns_do_not() -> None:
    earlier = called("read_file", "old", call_id="c0")
    step = called("run_checks", "all green", '{"ids": ["c1"]}')
    conversation = read({"messages": said("QA", "first", *earlier, {"role": "user", "content": "second"}, *step)})
    assert [(result.tool, result.content) for result in conversation.results] == [("run_checks", "all green")]
    assert conversation.results[0].args == {"ids": ["c1"]}
    assert conversation.step == 2


@pytest.mark.parametrize("note", ["[note] 3 steps left", "[Note] be quick", "[runtime] hurry"])
def test_a_note_of_the_runtime_starts_no_turn(note: str) -> None:
    messages = said("QA", "please test", *called("run_checks", "x"), {"role": "user", "content": note})
    conversation = read({"messages": messages})
    assert (conversation.heard, conversation.step) == ("please test", 2)


def test_content_may_be_parts() -> None:
    parts = [{"type": "text", "text": "please "}, {"type": "text", "text": "test"}, "odd"]
    messages = said("QA", "", {"role": "user", "content": parts})
    assert read({"messages": messages}).heard == "please test"


@pytest.mark.parametrize("arguments", ["{oops", "[1]", None, ""])
def test_arguments_that_are_no_object_are_read_as_none_given(arguments: Any) -> None:
    [result] = read({"messages": said("QA", "x", *called("t", "error", arguments))}).results
    assert result.args == {}


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ([], "'messages' must be a list"),
        ({"messages": "x"}, "'messages' must be a list"),
        ({"messages": ["x"]}, "'messages' must be a list of objects"),
        ({"messages": []}, "'messages' is empty"),
        ({"messages": [{"role": "system", "content": "You are a bot"}]}, "start with 'You are @<Role>"),
        ({"messages": [{"role": "user", "content": "You are @QA (x)"}]}, "must be the system prompt"),
        ({"messages": [{"role": "system", "content": "You are @QA (x)"}]}, "nothing woke this turn"),
        ({"messages": said("QA", "x", {"role": "tool", "tool_call_id": "zz", "content": ""})}, "answers no call"),
    ],
)
def test_what_is_no_conversation_is_refused(body: Any, fault: str) -> None:
    with pytest.raises(BadRequest, match=None) as raised:
        read(body)
    assert fault in str(raised.value)


def test_a_developer_prompt_is_a_system_prompt() -> None:
    messages = said("QA", "x")
    messages[0]["role"] = "developer"
    assert read({"messages": messages}).role == "QA"
