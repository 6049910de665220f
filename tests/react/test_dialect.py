from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from agents.domain.turn import ToolCall
from agents.react.dialect import Dialect, alternating, one_call_each
from agents.react.messages import history_message
from tests.react.doubles import assert_paired, call

HISTORY: list[BaseMessage] = [
    SystemMessage("be"),
    HumanMessage("window"),
    HumanMessage("go"),
    history_message("both", (call("1"), ToolCall("2", "look", None, "{"))),
    ToolMessage("one", tool_call_id="1"),
    ToolMessage("two", tool_call_id="2"),
    history_message("", (call("3"),)),
    ToolMessage("three", tool_call_id="3"),
]


def types(messages: Any) -> str:
    return " ".join(message.type for message in messages)


def test_a_server_without_peculiarities_gets_the_very_messages() -> None:
    assert Dialect().messages(HISTORY) is HISTORY
    assert Dialect().parameters({"stream_options": 1}) == {"stream_options": 1}


@pytest.mark.parametrize(
    ("complaint", "wanted"),
    [
        ("This model only supports single tool-calls at once!", "system human human ai tool ai tool ai tool"),
        ("Conversation roles must alternate user/assistant", "system human ai tool tool ai tool"),
        ("System role not supported", "human ai tool tool ai tool"),
    ],
)
def test_a_complaint_changes_the_form(complaint: str, wanted: str) -> None:
    dialect = Dialect()
    assert not dialect.learn("something else")
    assert dialect.learn(complaint)
    assert not dialect.learn(complaint)
    changed = dialect.messages(HISTORY)
    assert types(changed) == wanted
    assert_paired(changed)


def test_usage_is_not_asked_for_again() -> None:
    dialect = Dialect()
    assert dialect.learn("extra fields: stream_options")
    assert dialect.parameters({"stream_options": 1, "a": 2}) == {"a": 2}


def test_split_calls_keep_text_and_results() -> None:
    split = one_call_each(HISTORY)
    assert split[3].content == "both"
    assert [m.content for m in split if isinstance(m, ToolMessage)] == ["one", "two", "three"]
    assert isinstance(split[5], AIMessage)
    assert split[5].invalid_tool_calls[0]["args"] == "{"


def test_a_call_that_has_no_result_yet_is_split_all_the_same() -> None:
    assert types(one_call_each(HISTORY[:4])) == "system human human ai ai"


def test_neighbouring_human_texts_are_joined() -> None:
    assert alternating(HISTORY)[1].content == "window\n\ngo"
