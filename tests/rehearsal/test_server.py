"""The endpoint over real HTTP: shapes, streams, faults, bad requests."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from rehearsal import server as module
from rehearsal.scenario import Fault, FaultKind, Scenario
from rehearsal.server import Server
from tests.rehearsal.conftest import Start
from tests.rehearsal.scenes import called, said, tiny

RULES = """
  - id: acts
    role: QA
    when: {before: [probe]}
    think: let me look — süß
    say: Looking.
    call:
      - {tool: probe, args: {text: "a rather long argument — with ünïcode, so that it travels in pieces"}}
      - {tool: probe, raw: '{"text": '}
  - {id: speaks, role: QA, say: all good}
"""
ASK: dict[str, Any] = {"model": "any", "messages": said("QA", "please")}
AFTER: dict[str, Any] = {"model": "any", "messages": said("QA", "please", *called("probe", "ok"))}


@pytest.fixture
def scenario() -> Scenario:
    return tiny(RULES)


@pytest.fixture
async def client(start: Start, scenario: Scenario) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=await start(scenario), timeout=10) as client:
        yield client


async def events(client: httpx.AsyncClient, body: dict[str, Any]) -> list[Any]:
    """The data of every event of the stream; the last is the end mark."""
    async with client.stream("POST", "/chat/completions", json={**body, "stream": True}) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        data = [line.removeprefix("data: ") async for line in response.aiter_lines() if line]
    return [text if text == "[DONE]" else json.loads(text) for text in data]


async def test_models_lists_the_rehearsal(client: httpx.AsyncClient) -> None:
    body = (await client.get("/models", headers={"Authorization": "Bearer any"})).json()
    assert [model["id"] for model in body["data"]] == ["rehearsal"]


async def test_a_whole_completion(client: httpx.AsyncClient) -> None:
    response = await client.post("/chat/completions", json=ASK)
    body = response.json()
    [choice] = body["choices"]
    assert (body["object"], body["model"], choice["finish_reason"]) == ("chat.completion", "any", "tool_calls")
    assert choice["message"]["content"] == "<think>let me look — süß</think>\nLooking."
    first, second = choice["message"]["tool_calls"]
    assert json.loads(first["function"]["arguments"])["text"].startswith("a rather long argument — with ünï")
    assert second["function"]["arguments"] == '{"text": '
    assert first["id"] != second["id"]
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > usage["prompt_tokens"] > 0
    assert response.headers["x-rehearsal-rule"] == "acts"


async def test_a_stream_says_the_same_as_the_whole(client: httpx.AsyncClient) -> None:
    whole = (await client.post("/chat/completions", json=ASK)).json()["choices"][0]
    *chunks, end = await events(client, ASK)
    assert end == "[DONE]"
    choices = [chunk["choices"][0] for chunk in chunks]
    assert choices[0]["delta"]["role"] == "assistant"
    assert "".join(choice["delta"].get("content", "") for choice in choices) == whole["message"]["content"]
    parts = [part for choice in choices for part in choice["delta"].get("tool_calls", ())]
    for index, call in enumerate(whole["message"]["tool_calls"]):
        mine = [part for part in parts if part["index"] == index]
        assert len(mine) > 1
        assert (mine[0]["id"], mine[0]["function"]["name"]) == (call["id"], call["function"]["name"])
        assert "".join(part["function"].get("arguments", "") for part in mine) == call["function"]["arguments"]
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == ["tool_calls"]
    assert not any("usage" in chunk for chunk in chunks)


async def test_usage_is_streamed_if_asked_for(client: httpx.AsyncClient) -> None:
    *_, last, end = await events(client, {**ASK, "stream_options": {"include_usage": True}})
    assert end == "[DONE]"
    assert last["choices"] == []
    assert last["usage"] == (await client.post("/chat/completions", json=ASK)).json()["usage"]


async def test_words_alone_stop(client: httpx.AsyncClient) -> None:
    [choice] = (await client.post("/chat/completions", json=AFTER)).json()["choices"]
    assert choice["finish_reason"] == "stop"
    assert choice["message"] == {"role": "assistant", "content": "all good"}


async def test_the_same_request_gets_the_same_answer_from_any_replica(start: Start, scenario: Scenario) -> None:
    answers = []
    for base in (await start(scenario), await start(scenario)):
        async with httpx.AsyncClient(base_url=base) as client:
            answers += [(await client.post("/chat/completions", json=ASK)).json()["choices"] for _ in range(2)]
    assert answers[1:] == answers[:1] * 3


async def test_call_ids_differ_from_step_to_step(client: httpx.AsyncClient) -> None:
    later = {"messages": [*ASK["messages"], {"role": "assistant", "content": "hm"}]}
    first, second = [(await client.post("/chat/completions", json=body)).json() for body in (ASK, later)]
    ids = [call["id"] for body in (first, second) for call in body["choices"][0]["message"]["tool_calls"]]
    assert len(set(ids)) == 4


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "fault"),
    [
        ("GET", "/nope", b"", 404, "there is no /v1/nope; there is /v1/models and /v1/chat/completions"),
        ("GET", "/chat/completions", b"", 405, "takes POST, not GET"),
        ("POST", "/models", b"", 405, "takes GET, not POST"),
        ("POST", "/chat/completions", b"{oops", 400, "not a chat-completions request"),
        ("POST", "/chat/completions", b"\xff", 400, "not a chat-completions request"),
        ("POST", "/chat/completions", b"[" * 100_000, 400, "not a chat-completions request"),
        ("POST", "/chat/completions", b"{}", 400, "'messages' must be a list"),
        (
            "POST",
            "/chat/completions",
            json.dumps({"messages": said("DevOps", "x")}).encode(),
            400,
            "no line for DevOps",
        ),
    ],
)
async def test_a_bad_request_is_told_what_is_wrong(
    client: httpx.AsyncClient, method: str, path: str, body: bytes, status: int, fault: str
) -> None:
    response = await client.request(method, path, content=body)
    assert response.status_code == status
    assert fault in response.json()["error"]["message"]
    assert (await client.post("/chat/completions", json=ASK)).status_code == 200, "the connection goes on"


async def test_no_line_has_a_code_of_its_own(client: httpx.AsyncClient) -> None:
    response = await client.post("/chat/completions", json={"messages": said("DevOps", "x")})
    assert response.json()["error"]["code"] == "no_line"


async def test_a_body_too_large_is_refused(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BODY_BYTES", 1000)
    response = await client.post("/chat/completions", json={**ASK, "padding": "x" * 1000})
    assert response.status_code == 413
    assert "larger than 1,000 bytes" in response.json()["error"]["message"]
    assert (await client.post("/chat/completions", json=ASK)).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("kind", "status", "shown"), [("429", 429, "Rate limit"), ("500", 500, "error"), ("401", 401, "API key")]
)
async def test_an_injected_error_strikes_so_many_times(
    start: Start, scenario: Scenario, kind: str, status: int, shown: str, stream: bool
) -> None:
    base = await start(scenario, Fault(kind=FaultKind(kind), times=2, retry_after=0.5))
    async with httpx.AsyncClient(base_url=base) as client:
        responses = [await client.post("/chat/completions", json={**ASK, "stream": stream}) for _ in range(3)]
    assert [response.status_code for response in responses] == [status, status, 200]
    assert shown in responses[0].json()["error"]["message"]
    assert responses[0].headers.get("retry-after") == ("0.5" if kind == "429" else None)


async def test_faults_given_in_a_row_strike_in_a_row(start: Start, scenario: Scenario) -> None:
    base = await start(scenario, Fault(kind=FaultKind.SERVER_ERROR), Fault(kind=FaultKind.RATE_LIMIT))
    async with httpx.AsyncClient(base_url=base) as client:
        assert [(await client.post("/chat/completions", json=ASK)).status_code for _ in range(3)] == [500, 429, 200]


async def test_html_and_garbage_come_with_status_200(start: Start, scenario: Scenario) -> None:
    base = await start(scenario, Fault(kind=FaultKind.HTML), Fault(kind=FaultKind.GARBAGE))
    async with httpx.AsyncClient(base_url=base) as client:
        html, garbage = [await client.post("/chat/completions", json={**ASK, "stream": True}) for _ in range(2)]
    assert html.headers["content-type"].startswith("text/html")
    assert "<html>" in html.text
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|Invalid|decode"):
        json.loads(garbage.content.split(b"\n")[0].removeprefix(b"data: "))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_truncated_answer_breaks_off(start: Start, scenario: Scenario, stream: bool) -> None:
    base = await start(scenario, Fault(kind=FaultKind.TRUNCATED))
    async with httpx.AsyncClient(base_url=base) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post("/chat/completions", json={**ASK, "stream": stream})
        assert (await client.post("/chat/completions", json={**ASK, "stream": stream})).status_code == 200


async def test_a_hanging_answer_never_comes_and_stop_ends_it(scenario: Scenario) -> None:
    server = Server(tiny(RULES.replace("say: all good", "say: all good, fault: {kind: hang}")))
    async with httpx.AsyncClient(base_url=await server.start()) as client:
        waiting = asyncio.create_task(client.post("/chat/completions", json=AFTER))
        assert (await client.post("/chat/completions", json=ASK)).status_code == 200, "others are served meanwhile"
        assert not waiting.done()
        await server.stop()
        with pytest.raises(httpx.RemoteProtocolError):
            await waiting
        with pytest.raises(httpx.ConnectError):
            await client.get("/models")


async def test_a_rules_own_fault_strikes_that_rule_only(start: Start) -> None:
    rules = RULES.replace("say: all good", "say: all good, fault: {kind: '500', times: 1}")
    async with httpx.AsyncClient(base_url=await start(tiny(rules))) as client:
        codes = [(await client.post("/chat/completions", json=body)).status_code for body in (ASK, AFTER, AFTER)]
    assert codes == [200, 500, 200]


async def test_a_rules_stream_may_be_truncated(start: Start) -> None:
    rules = RULES.replace("say: all good", "say: all good, fault: {kind: truncated}")
    async with httpx.AsyncClient(base_url=await start(tiny(rules))) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post("/chat/completions", json={**AFTER, "stream": True})


async def test_latency_passes_before_an_answer(start: Start, scenario: Scenario) -> None:
    async with httpx.AsyncClient(base_url=await start(scenario, latency=0.2)) as client:
        started = time.monotonic()
        await client.post("/chat/completions", json=ASK)
        assert time.monotonic() - started >= 0.2


async def test_a_client_that_leaves_or_speaks_no_http_harms_nobody(client: httpx.AsyncClient) -> None:
    port = client.base_url.port
    for sent in (b"", b"\x16\x03\x01 not http\r\n\r\n", b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        writer.close()
    assert (await client.post("/chat/completions", json=ASK)).status_code == 200


async def test_a_client_that_asks_before_it_sends_a_body_is_told_to_go_on(client: httpx.AsyncClient) -> None:
    body = json.dumps(AFTER).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
    writer.write(head.encode())
    assert b"100" in await asyncio.wait_for(reader.readline(), 10)
    writer.write(body)
    await reader.readline()
    assert b"200" in await asyncio.wait_for(reader.readline(), 10)
    writer.close()


async def test_a_connection_closed_on_request_is_closed(client: httpx.AsyncClient) -> None:
    response = await client.post("/chat/completions", json=AFTER, headers={"Connection": "close"})
    assert response.status_code == 200
    assert (await client.get("/models")).status_code == 200


async def test_it_listens_on_the_loopback_address_only(client: httpx.AsyncClient) -> None:
    assert client.base_url.host == "127.0.0.1"
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.2", client.base_url.port)


async def test_the_official_client_understands_it(client: httpx.AsyncClient) -> None:
    from openai import AsyncOpenAI, BadRequestError

    async with AsyncOpenAI(base_url=str(client.base_url), api_key="any", max_retries=0) as openai:
        assert [model.id async for model in openai.models.list()] == ["rehearsal"]
        whole: Any = await openai.chat.completions.create(**ASK)
        assert whole.choices[0].message.tool_calls[0].function.name == "probe"
        text = ""
        async for chunk in await openai.chat.completions.create(
            **AFTER, stream=True, stream_options={"include_usage": True}
        ):
            text += chunk.choices[0].delta.content or "" if chunk.choices else ""
            usage = chunk.usage
        assert text == "all good"
        assert usage is not None
        with pytest.raises(BadRequestError, match="no line for DevOps"):
            await openai.chat.completions.create(model="any", messages=said("DevOps", "x"))  # type: ignore[arg-type]
