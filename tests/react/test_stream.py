import json
from typing import Any

import pytest

from agents.domain.errors import ModelError, ModelUnavailable
from agents.react.stream import Assembly, Events, GarbledStream, counts
from tests.react.http_double import piece, tool_delta


def events(*parts: bytes) -> list[Any]:
    parser = Events()
    found = [event for part in parts for event in parser.feed(part)]
    return [*found, *parser.rest()]


@pytest.mark.parametrize(
    ("parts", "wanted"),
    [
        ((b'data: {"a":1}\n\ndata: [DONE]\n\n',), [{"a": 1}, None]),
        ((b"da", b'ta: {"a"', b":1}\n", b"\n"), [{"a": 1}]),
        ((b'data:{"a":1}\r\n\r\ndata: {"b":2}\r\n\r\n',), [{"a": 1}, {"b": 2}]),
        ((b': keep-alive\n\nevent: message\nid: 1\ndata: {"a":1}\n\n',), [{"a": 1}]),
        ((b'data: {"a":\ndata: 1}\n\n',), [{"a": 1}]),
        ((b'data: {"a": {"b": 1}\ndata: }\n\n',), [{"a": {"b": 1}}]),
        ((b'data: {"a":1}\ndata: {"b":2}\n',), [{"a": 1}, {"b": 2}]),
        ((b'data: {"a":1}',), [{"a": 1}]),
        ((b"data:\n\ndata: [1\ndata: ]\ndata: [DONE]",), [[1], None]),
    ],
)
def test_events_are_split_out_of_any_chunking(parts: tuple[bytes, ...], wanted: list[Any]) -> None:
    assert events(*parts) == wanted


@pytest.mark.parametrize("data", [b"data: {garbage}\n\n", b"data: <html>\n\n", b'data: {"a": 1\n\n'])
def test_what_is_no_json_is_garbled(data: bytes) -> None:
    with pytest.raises(GarbledStream):
        events(data)


def fault(error: object) -> ModelError:
    return ModelUnavailable(json.dumps(error))


def assembled(*chunks: Any) -> Assembly:
    assembly = Assembly()
    for chunk in chunks:
        assembly.add(chunk, fault)
    return assembly


def delta(assembly: Assembly) -> dict[str, Any]:
    found: dict[str, Any] = assembly.chunk()["choices"][0]["delta"]
    return found


def called(assembly: Assembly) -> list[tuple[str | None, str, str]]:
    return [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in delta(assembly)["tool_calls"] or ()]


def test_text_is_joined() -> None:
    assembly = assembled(piece("hel"), piece("lo"), piece(finish="stop"))
    assert delta(assembly)["content"] == "hello"
    assert assembly.complete


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_is_marked_as_thought(field: str) -> None:
    assembly = assembled(piece(**{field: "hm </think>"}), piece("hello"))
    assert delta(assembly)["content"] == "<think>hm </think>hello"


def test_text_may_come_as_parts_or_refusal() -> None:
    assert delta(assembled(piece([{"type": "text", "text": "a"}, "b", {"text": None}])))["content"] == "a"  # type: ignore[arg-type]
    assert delta(assembled(piece(refusal="no")))["content"] == "no"


@pytest.mark.parametrize(
    ("steps", "wanted"),
    [
        ([[(0, "x", "add", '{"a"')], [(0, None, None, ":1}")]], [("x", "add", '{"a":1}')]),
        ([[(0, "x", "add", "{}"), (1, "y", "look", "{}")]], [("x", "add", "{}"), ("y", "look", "{}")]),
        ([[(0, "x", "add", "{}")], [(0, "y", "look", "{}")]], [("x", "add", "{}"), ("y", "look", "{}")]),
        ([[(None, "x", "add", "{")], [(None, None, None, "}")]], [("x", "add", "{}")]),
        ([[(None, "x", "add", "{}")], [(None, "y", "look", "{}")]], [("x", "add", "{}"), ("y", "look", "{}")]),
        ([[(0, "x", "save", "")], [(0, "x", "_file", "{}")]], [("x", "save_file", "{}")]),
        ([[(0, "x", "add", "")], [(0, "x", "add", "{}")]], [("x", "add", "{}")]),
        ([[(0, None, "add", "")], [(0, "late", None, "{}")]], [("late", "add", "{}")]),
        ([[(0, None, "add", "{}")]], [(None, "add", "{}")]),
        ([[(0, "x", "add", {"a": 1})]], [("x", "add", '{"a": 1}')]),
        ([[(0, "x", "add", None)]], [("x", "add", "")]),
    ],
)
def test_calls_are_put_together_whatever_the_server_numbers(steps: list[Any], wanted: list[Any]) -> None:
    assembly = assembled(*(piece(tool_calls=tool_delta(*step)) for step in steps))
    assert called(assembly) == wanted


def test_odd_calls_are_tolerated() -> None:
    assembly = assembled(piece(tool_calls=["x", {"index": 0, "function": None}]))
    assert called(assembly) == [(None, "", "")]
    assert called(assembled(piece(function_call={"name": "add", "arguments": "{}"}))) == [(None, "add", "{}")]


def test_only_the_first_choice_counts() -> None:
    other = {"choices": [{"index": 1, "delta": {"content": "no"}}]}
    assembly = assembled(piece("yes"), other, {"choices": ["odd"]}, {"choices": [{"index": 0, "delta": None}]})
    assert delta(assembly)["content"] == "yes"
    assert not assembly.complete


def test_done_ends_only_what_has_begun() -> None:
    assert not assembled(None).complete
    assert assembled(piece("a"), None).complete
    assert not assembled(piece("a")).complete


def test_faults_in_the_stream() -> None:
    with pytest.raises(ModelUnavailable, match="busy"):
        assembled({"error": {"message": "busy"}})
    with pytest.raises(GarbledStream, match="list"):
        assembled([1])


@pytest.mark.parametrize(
    ("usage", "wanted"),
    [
        (None, None),
        ({}, None),
        ({"prompt_tokens": "many"}, None),
        ({"prompt_tokens": 5}, (5, 0, 0)),
        ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_cache_hit_tokens": 3}, (5, 2, 3)),
        ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": None}}, (5, 2, 0)),
    ],
)
def test_usage_is_whole_numbers_or_nothing(usage: Any, wanted: tuple[int, int, int] | None) -> None:
    found = counts(usage)
    if wanted is None:
        assert found is None
    else:
        assert found is not None
        assert found["total_tokens"] == wanted[0] + wanted[1]
        assert (
            found["prompt_tokens"],
            found["completion_tokens"],
            found["prompt_tokens_details"]["cached_tokens"],
        ) == wanted
