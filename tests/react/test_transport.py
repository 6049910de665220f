"""Each fault of an endpoint over real HTTP; the same client gets an answer from a healthy one."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agents.domain.errors import ContextTooLong, ModelRejected, SettingsError
from agents.react import transport as module
from agents.react.faults import Transient
from agents.react.transport import Body, Endpoint, Timeouts, Transport
from tests.react.http_double import (
    HELLO,
    Line,
    completion,
    endpoint,
    piece,
    respond,
    stream,
)

BODY = Body([b'{"role":"user","content":"hi"}'], b"")
QUICK = Timeouts(connect=5, first_token=0.3, gap=0.3, total=5)
PATIENT = Timeouts(connect=5, first_token=20, gap=20, total=30)


async def answered(transport: Transport, body: Body = BODY) -> dict[str, Any]:
    answer = await transport.create(body, model="m", stream=True)
    async with answer as chunks:
        (chunk,) = [chunk async for chunk in chunks]
    return chunk


async def said(transport: Transport) -> str:
    content: str = (await answered(transport))["choices"][0]["delta"]["content"]
    return content


async def ask(line: Line, timeouts: Timeouts = PATIENT) -> str:
    """What one question gets; afterwards the same client must get an answer from a healthy server."""
    async with endpoint(line, HELLO) as fake:
        transport = Transport(Endpoint(fake.base, "key-of-mine"), timeouts)
        try:
            return await said(transport)
        finally:
            assert await said(transport) == "hello"  # the control
            await transport.aclose()


@pytest.fixture
async def closing() -> AsyncIterator[list[Transport]]:
    opened: list[Transport] = []
    yield opened
    for transport in opened:
        await transport.aclose()


async def test_the_body_goes_out_as_it_is() -> None:
    async with endpoint(HELLO) as fake:
        transport = Transport(Endpoint(fake.base + "/", "key-of-mine"), PATIENT)
        chunk = await answered(transport, Body([*BODY.fragments] * 2, b'[{"type":"function"}]'))
        await transport.aclose()
    (request,) = fake.requests
    assert request.headers.startswith("POST /v1/chat/completions ")
    assert "authorization: bearer key-of-mine" in request.headers.lower()
    assert request.body == {
        "messages": [{"role": "user", "content": "hi"}] * 2,
        "tools": [{"type": "function"}],
        "model": "m",
        "stream": True,
    }
    assert chunk["usage"]["prompt_tokens_details"] == {"cached_tokens": 64}


async def test_connections_are_kept_alive() -> None:
    async with endpoint(respond(200, completion())) as fake:
        transport = Transport(Endpoint(fake.base, "k"), PATIENT)
        for _ in range(3):
            assert await said(transport) == "hello"
        await transport.aclose()
    assert fake.connections == 1


@pytest.mark.parametrize(
    "line",
    [
        respond(200, completion()),
        respond(200, completion(), kind="text/plain"),
        respond(
            200, 'data: {"choices":[{"delta":{"content":"hello"},"finish_reason":"stop"}]}\n\n', kind="text/plain"
        ),
        stream(piece("hello"), piece(finish="stop"), end=False),
        stream(piece("hello"), end=True),
        stream(piece("hello"), f"data: {json.dumps(piece(finish='stop'))}", end=False),
        stream(": waiting\n\n", piece("hello"), piece(finish="stop")),
        stream(piece("hello"), piece(finish="stop"), then=30),
    ],
    ids=[
        "plain JSON",
        "JSON called text",
        "SSE called text",
        "no [DONE]",
        "no finish",
        "no last line break",
        "comments",
        "left open",
    ],
)
async def test_odd_but_complete_answers_count(line: Line) -> None:
    assert await ask(line) == "hello"


@pytest.mark.parametrize("event", [piece("a", finish="stop"), piece("a")], ids=["after the end", "before it"])
async def test_a_stream_left_open_without_done(event: dict[str, Any]) -> None:
    line = stream(event, end=False, then=30)
    if event["choices"][0]["finish_reason"]:
        assert await ask(line, QUICK) == "a"
    else:
        with pytest.raises(Transient, match=r"no further token for 0\.3 s"):
            await ask(line, QUICK)


async def _slam(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _torn(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{")
    writer.close()


async def _torn_after_the_end(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 5000\r\n\r\n")
    writer.write(b"data: " + json.dumps(piece("hello", finish="stop")).encode() + b"\n\n")
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.close()


async def _silent(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


@pytest.mark.parametrize(
    ("line", "kind", "names"),
    [
        (stream(piece("half a"), end=False), Transient, "broke off"),
        (stream(end=True), Transient, "broke off"),
        (stream("data: {garbage\n\n"), Transient, "garbled"),
        (stream("data: \x00\x01\n\n", piece("hello", finish="stop")), Transient, "garbled"),
        (respond(200, "{torn"), Transient, "garbled"),
        (respond(200, "[]"), Transient, "garbled"),
        (respond(200, {"choices": []}), Transient, "broke off"),
        (respond(200, {"error": {"message": "overloaded", "code": 503}}), Transient, "overloaded"),
        (stream({"error": {"message": "overloaded", "code": "x"}}), Transient, "overloaded"),
        (stream({"error": "context length exceeded"}), ContextTooLong, "context"),
        (respond(200, {"error": {"message": "bad key", "code": 401}}), ModelRejected, "OPENAI_API_KEY"),
        (respond(200, "<!doctype html>", kind="text/html"), ModelRejected, "OPENAI_API_BASE"),
        (respond(200, "  <html>", kind="text/plain"), ModelRejected, "OPENAI_API_BASE"),
        (respond(302, "", location="/login"), ModelRejected, "OPENAI_API_BASE"),
        (respond(401, {"error": {"message": "bad"}}), ModelRejected, "OPENAI_API_KEY"),
        (respond(404, {"error": {"message": "model x"}}), ModelRejected, "LLM_MODEL"),
        (respond(429, "slow", Retry_After="2"), Transient, "429"),
        (respond(503, "<html>", kind="text/html"), Transient, "503"),
        (respond(400, {"error": {"code": "context_length_exceeded"}}), ContextTooLong, "context"),
        (respond(200, completion(), content_encoding="gzip"), Transient, "DecodingError"),
        (_slam, Transient, "RemoteProtocolError"),
        (_torn, Transient, "RemoteProtocolError"),
    ],
)
async def test_each_fault_is_named(line: Line, kind: type[Exception], names: str) -> None:
    with pytest.raises(kind, match=names) as raised:
        await ask(line)
    assert "key-of-mine" not in str(raised.value)


async def test_an_answer_that_ended_before_the_line_broke_counts() -> None:
    assert await ask(_torn_after_the_end) == "hello"


async def test_no_first_token() -> None:
    with pytest.raises(Transient, match=r"no first token within 0\.3 s"):
        await ask(_silent, QUICK)


async def test_slow_but_steady_tokens_outlast_the_first_tokens_time() -> None:
    words = [piece(f"{n} ") for n in range(8)]
    assert (await ask(stream(*words, piece(finish="stop"), pause=0.08), QUICK)).split()[-1] == "7"


async def test_cancelling_hangs_up_at_once(closing: list[Transport]) -> None:
    async with endpoint(stream(piece("a"), end=False, then=30)) as fake:
        transport = Transport(Endpoint(fake.base, "k"), PATIENT)
        closing.append(transport)
        task = asyncio.create_task(said(transport))
        while not fake.requests:
            await asyncio.sleep(0.01)
        assert not fake.hung_up.is_set()  # the control: it is the cancelling that hangs up
        task.cancel()
        await asyncio.wait_for(fake.hung_up.wait(), 5)
        assert task.cancelled()


async def test_nobody_listens(closing: list[Transport]) -> None:
    async with endpoint(HELLO) as fake:
        base = fake.base
    closing.append(transport := Transport(Endpoint(base, "k"), PATIENT))
    with pytest.raises(Transient, match="ConnectError"):
        await said(transport)


async def test_an_address_of_another_kind(closing: list[Transport]) -> None:
    closing.append(transport := Transport(Endpoint("ftp://host/v1", "k"), PATIENT))
    with pytest.raises(ModelRejected, match="OPENAI_API_BASE"):
        await said(transport)


@pytest.mark.parametrize("line", [respond(200, completion("x" * 3000)), stream(piece("x" * 3000))])
async def test_an_endless_answer_is_refused(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ANSWER_BYTES", 2000)
    with pytest.raises(ModelRejected, match="2,000 bytes"):
        await ask(line)


def test_timeouts_leave_room_for_a_second_try() -> None:
    assert Timeouts.within(8) == Timeouts(8, 4, 2, 8)


async def test_a_server_that_wants_no_key_gets_no_header() -> None:
    async with endpoint(HELLO) as fake:
        transport = Transport(Endpoint(fake.base, ""), PATIENT)
        assert await said(transport) == "hello"
        await transport.aclose()
    assert "authorization" not in fake.requests[0].headers.lower()


@pytest.mark.parametrize("key", ["sk-a\n", "sk a", "schlüssel", "sk\x00"])
def test_a_key_that_no_header_can_hold_is_named(key: str) -> None:
    with pytest.raises(SettingsError, match="OPENAI_API_KEY") as raised:
        Transport(Endpoint("http://127.0.0.1:1/v1", key), PATIENT)
    assert key not in str(raised.value)


def test_the_key_is_not_shown() -> None:
    assert "key-of-mine" not in repr(Endpoint("http://h", "key-of-mine"))
