"""The real model class over real HTTP."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import stamina
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from agents.domain.errors import ContextTooLong, ModelRejected, ModelUnavailable
from agents.domain.turn import ToolCall
from agents.react.messages import history_message
from agents.react.models import CROWDED, CROWDED_MOST, ChatModel, Pace
from agents.react.transport import Endpoint, Timeouts, Transport
from tests.react.http_double import (
    HELLO,
    FakeEndpoint,
    Line,
    completion,
    endpoint,
    piece,
    respond,
    stream,
    tool_delta,
)

ASK: list[BaseMessage] = [SystemMessage("be"), HumanMessage("hi")]
SCHEMAS = [{"type": "function", "function": {"name": "look", "parameters": {}}}]
BUSY = respond(503, "busy")


@contextlib.asynccontextmanager
async def model(
    *lines: Line,
    models: tuple[str, ...] = ("m",),
    retries: int = 2,
    total: float = 30,
    pace: Pace | None = None,
) -> AsyncIterator[tuple[ChatModel, FakeEndpoint]]:
    async with endpoint(*lines) as fake:
        transport = Transport(Endpoint(fake.base, "k"), Timeouts.within(total))
        yield ChatModel(transport, models, retries=retries, total=total, wait_first=0.01, pace=pace), fake
        await transport.aclose()


@pytest.fixture(autouse=True)
def quiet_retries() -> Any:
    hooks = stamina.instrumentation.get_on_retry_hooks()
    stamina.instrumentation.set_on_retry_hooks([])
    yield
    stamina.instrumentation.set_on_retry_hooks(hooks)


async def test_a_streamed_answer() -> None:
    async with model(HELLO) as (chat, fake):
        await chat.warm()
        reply = await chat.query(ASK, SCHEMAS)
    assert (reply.text, reply.thoughts, reply.calls, reply.model) == ("hello", "", (), "fake")
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.cached_tokens) == (100, 7, 64)
    assert not reply.usage.estimated
    body = fake.requests[0].body
    assert body["messages"] == [{"content": "be", "role": "system"}, {"content": "hi", "role": "user"}]
    assert body["tools"] == SCHEMAS
    assert body["model"] == "m"
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}
    assert set(body) == {"messages", "tools", "model", "stream", "stream_options"}


async def test_calls_thoughts_and_missing_usage() -> None:
    deltas = tool_delta((0, "x", "look", '{"a"'), (1, "y", "look", "{torn"))
    line = stream(
        piece("<think>hm</think>I look"),
        piece(tool_calls=deltas),
        piece(tool_calls=tool_delta((0, None, None, ":1}"))),
        piece(finish="tool_calls"),
    )
    async with model(line) as (chat, _):
        reply = await chat.query(ASK, [])
    assert reply.text == "I look"
    assert reply.thoughts == "hm"
    assert [(c.id, c.args, c.raw) for c in reply.calls] == [("x", {"a": 1}, ""), ("y", None, "{torn")]
    assert reply.usage.estimated
    assert reply.usage.input_tokens > 10
    assert reply.usage.output_tokens > 5


async def test_a_plain_answer_of_a_server_that_does_not_stream() -> None:
    call = {"id": "x", "type": "function", "function": {"name": "look", "arguments": {"a": 1}}}
    async with model(respond(200, completion(None, tool_calls=[call], reasoning_content="hm"))) as (chat, _):
        reply = await chat.query(ASK, [])
    assert reply.calls[0].args == {"a": 1}
    assert reply.thoughts == "hm"
    assert reply.text == ""


async def test_the_history_goes_out_whole_and_broken_arguments_do_not() -> None:
    broken = {"name": "look", "args": "{torn", "id": "y", "error": "", "type": "invalid_tool_call"}
    history: list[BaseMessage] = [
        *ASK,
        AIMessage(
            content="",
            tool_calls=[{"name": "look", "args": {"a": 1}, "id": "x", "type": "tool_call"}],
            invalid_tool_calls=[broken],
        ),
        ToolMessage("one", tool_call_id="x"),
        ToolMessage("two \ud800", tool_call_id="y"),
    ]
    async with model(HELLO) as (chat, fake):
        await chat.query(history, SCHEMAS)
        await chat.query([*history, HumanMessage("more")], SCHEMAS)
    first, second = (request.body["messages"] for request in fake.requests)
    assert second[:-1] == first
    sent = first[2]["tool_calls"]
    assert [json.loads(call["function"]["arguments"]) for call in sent] == [{"a": 1}, {}]
    assert first[3] == {"content": "one", "role": "tool", "tool_call_id": "x"}
    assert first[4]["content"] == "two ?"


async def test_transient_faults_are_tried_again() -> None:
    async with model(BUSY, stream(piece("half"), end=False), HELLO) as (chat, fake):
        assert (await chat.query(ASK, [])).text == "hello"
    assert len(fake.requests) == 3


async def test_retry_after_is_honoured() -> None:
    loop = asyncio.get_running_loop()
    async with model(respond(429, "slow", Retry_After="0.4"), HELLO) as (chat, _):
        await chat.warm()
        started = loop.time()
        assert (await chat.query(ASK, [])).text == "hello"
    assert loop.time() - started >= 0.4  # what was asked for, at least: no upper bound is claimed


async def test_a_retry_after_beyond_our_time_is_not_waited_for() -> None:
    async with model(respond(429, "slow", Retry_After="3600"), HELLO, models=("a", "b")) as (chat, fake):
        assert (await chat.query(ASK, [])).text == "hello"
    assert [request.body["model"] for request in fake.requests] == ["a", "b"]


@dataclass
class KeptPace:
    """Notes what it is asked, in order."""

    story: list[float | str] = field(default_factory=list)

    async def ready(self) -> None:
        self.story.append("ready")

    async def slow(self, seconds: float) -> None:
        self.story.append(seconds)


@pytest.mark.parametrize(
    ("refusal", "story"),
    [
        (respond(429, "slow", Retry_After="0.2"), [0.2, "ready"]),
        (respond(503, "later", Retry_After="0.2"), [0.2, "ready"]),
        (respond(429, "slow"), [CROWDED, "ready"]),
        (BUSY, ["ready"]),
    ],
    ids=["429 with a time", "503 with a time", "429", "503"],
)
async def test_what_is_too_much_for_the_server_is_told_to_everybody(refusal: Line, story: list[float | str]) -> None:
    pace = KeptPace()
    async with model(refusal, HELLO, pace=pace) as (chat, _):
        assert (await chat.query(ASK, [])).text == "hello"
    assert pace.story == story


async def test_a_server_that_asks_for_an_hour_is_looked_at_after_a_minute() -> None:
    pace = KeptPace()
    async with model(respond(429, "slow", Retry_After="3600"), HELLO, models=("a", "b"), pace=pace) as (chat, _):
        await chat.query(ASK, [])
    assert pace.story == [CROWDED_MOST]


async def test_the_fallback_answers_when_a_model_keeps_failing() -> None:
    async with model(BUSY, BUSY, HELLO, models=("a", "b", "a"), retries=1) as (chat, fake):
        assert (await chat.query(ASK, [])).text == "hello"
    assert [request.body["model"] for request in fake.requests] == ["a", "a", "b"]


async def test_unavailable_names_endpoint_models_and_last_answer() -> None:
    async with model(BUSY, models=("a", "b"), retries=1) as (chat, fake):
        with pytest.raises(ModelUnavailable) as raised:
            await chat.query(ASK, [])
        assert fake.base in str(raised.value)
    assert "a: HTTP 503: busy" in str(raised.value)
    assert "b: HTTP 503: busy" in str(raised.value)
    assert len(fake.requests) == 4


async def test_the_total_time_bounds_all_tries() -> None:
    slow = stream(*(piece("x") for _ in range(200)), pause=0.05)
    async with model(slow, total=0.6) as (chat, _):
        with pytest.raises(ModelUnavailable, match=r"no answer within 0\.6 s in all"):
            await chat.query(ASK, [])


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (respond(401, "bad"), ModelRejected),
        (respond(400, {"error": {"code": "context_length_exceeded"}}), ContextTooLong),
    ],
)
async def test_what_no_retry_mends_is_raised_at_once(line: Line, kind: type[Exception]) -> None:
    async with model(line, HELLO, models=("a", "b")) as (chat, fake):
        with pytest.raises(kind):
            await chat.query(ASK, [])
        assert len(fake.requests) == 1
        assert (await chat.query(ASK, [])).text == "hello"  # the control


async def test_a_peculiarity_is_learned_and_remembered() -> None:
    no_usage = respond(400, {"error": {"message": "unknown field stream_options"}})
    async with model(no_usage, HELLO) as (chat, fake):
        assert (await chat.query(ASK, [])).text == "hello"
        assert (await chat.query(ASK, [])).text == "hello"
    assert ["stream_options" in request.body for request in fake.requests] == [True, False, False]


SIGNED = {
    "id": "x",
    "function": {"name": "look", "arguments": "{}"},
    "extra_content": {"google": {"thought_signature": "abc"}},
}


async def test_a_call_s_signature_goes_back_with_it() -> None:
    line = stream(piece(tool_calls=[{**SIGNED, "index": 0}]), piece(finish="tool_calls"))
    async with model(line, HELLO) as (chat, fake):
        reply = await chat.query(ASK, [])
        await chat.query([*ASK, reply.message, ToolMessage("one", tool_call_id="x")], [])
    (sent,) = fake.requests[1].body["messages"][2]["tool_calls"]
    assert sent["extra_content"] == SIGNED["extra_content"]


async def test_an_invented_name_is_sent_back_in_a_form_servers_take() -> None:
    odd = history_message("", (ToolCall("x", "multi tool.use", {}), ToolCall("y", "", None, "{")))
    async with model(HELLO) as (chat, fake):
        await chat.query([*ASK, odd], [])
    names = [call["function"]["name"] for call in fake.requests[0].body["messages"][2]["tool_calls"]]
    assert names == ["multi_tool_use", "unnamed"]


@pytest.mark.parametrize(("finish", "cut"), [("length", True), ("stop", False)])
async def test_an_answer_cut_off_is_marked(finish: str, cut: bool) -> None:
    async with model(stream(piece("half"), piece(finish=finish))) as (chat, _):
        assert (await chat.query(ASK, [])).cut is cut


async def test_thoughts_go_back_only_to_a_server_that_demands_them() -> None:
    demand = respond(400, {"error": {"message": "The `reasoning_content` in thinking mode must be passed back"}})
    thought = stream(piece(reasoning_content="hm"), piece(tool_calls=[{**SIGNED, "index": 0}]), piece(finish="stop"))
    async with model(thought, demand, HELLO) as (chat, fake):
        reply = await chat.query(ASK, [])
        await chat.query([*ASK, reply.message, ToolMessage("one", tool_call_id="x")], [])
    sent = [request.body["messages"][2] for request in fake.requests[1:]]
    assert "reasoning_content" not in sent[0]
    assert sent[1]["reasoning_content"] == "hm"
    assert sent[1]["content"] is None


async def test_a_complaint_that_teaches_nothing_new_is_an_error() -> None:
    no_usage = respond(400, {"error": {"message": "unknown field stream_options"}})
    async with model(no_usage) as (chat, fake):
        with pytest.raises(ModelRejected, match="stream_options"):
            await chat.query(ASK, [])
    assert len(fake.requests) == 2


async def test_cancelling_a_query_hangs_up() -> None:
    async with model(stream(piece("a"), end=False, then=30)) as (chat, fake):
        task = asyncio.create_task(chat.query(ASK, []))
        while not fake.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait_for(fake.hung_up.wait(), 5)
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_nothing_is_traced_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async with endpoint(respond(200, {})) as tracer, model(HELLO) as (chat, fake):
        for name, value in {
            "LANGSMITH_TRACING": "true",
            "LANGCHAIN_TRACING_V2": "true",
            "LANGSMITH_API_KEY": "lsv2_test",
            "LANGSMITH_ENDPOINT": f"http://127.0.0.1:{tracer.port}",
            "LANGSMITH_GATEWAY": f"http://127.0.0.1:{tracer.port}",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{tracer.port}",
            "OPENAI_API_BASE": f"http://127.0.0.1:{tracer.port}",
        }.items():
            monkeypatch.setenv(name, value)
        assert (await chat.query(ASK, [])).text == "hello"
        await asyncio.sleep(0.3)
        assert fake.connections == 1
        assert tracer.connections == 0


@pytest.mark.parametrize("name", ["o1", "gpt-6-mini", "codex-mini", "gpt-5-pro"])
async def test_no_model_name_changes_role_or_api(name: str) -> None:
    async with model(HELLO, models=(name,)) as (chat, fake):
        assert (await chat.query(ASK, SCHEMAS)).text == "hello"
    assert fake.requests[0].headers.startswith("POST /v1/chat/completions ")
    assert fake.requests[0].body["messages"][0]["role"] == "system"


def test_langchain_openai_is_imported_with_the_first_query_only() -> None:
    code = "import sys, agents.react.loop, agents.react.models as m; print('langchain_openai' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
