"""Doubles for the loop's neighbours: a model that plays a script, a gate, a journal, and an HTTP server."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from agents.domain.addressing import Roster
from agents.domain.message import Message
from agents.domain.ports import Journal, TurnContext
from agents.domain.redaction import SecretMask
from agents.domain.role import Limits, Role
from agents.domain.turn import (
    Claim,
    Delivery,
    Effect,
    EntryKind,
    JournalEntry,
    Outcome,
    Status,
    ToolCall,
    ToolResult,
    Usage,
)
from agents.react.context import Turn
from agents.react.loop import ReAct
from agents.react.messages import Reply, history_message

SECRET = "hunter2-hunter2"


def role(name: str = "Coder", **limits: Any) -> Role:
    return Role(
        name, "writes code", (), ("look", "save"), "default", False, Limits(**limits), "You write code.", "sha"
    )


def claim(*texts: str, entries: Sequence[JournalEntry] = (), sender: str = "Architect") -> Claim:
    batch = tuple(Delivery(str(n), Message(sender, text, id=f"m{n}")) for n, text in enumerate(texts or ("go",)))
    return Claim("turn1", "Coder", "c1", 1, 0, batch, tuple(entries))


def turn(*texts: str, entries: Sequence[JournalEntry] = (), **limits: Any) -> Turn:
    me = role(**limits)
    return Turn(me, Roster.of([me, role("Architect")]), "Be brief.", claim(*texts, entries=entries))


def says(text: str, thoughts: str = "") -> Reply:
    return Reply(history_message(text, ()), text, thoughts, (), Usage(10, 2), "scripted")


def calls(*wanted: ToolCall, text: str = "", thoughts: str = "") -> Reply:
    return Reply(history_message(text, wanted), text, thoughts, wanted, Usage(10, 2), "scripted")


def call(call_id: str, name: str = "look", **args: Any) -> ToolCall:
    return ToolCall(call_id, name, args)


@dataclass
class ScriptedModel:
    """Plays replies and errors in order; keeps what it was asked."""

    script: list[Reply | Exception]
    asked: list[list[BaseMessage]] = field(default_factory=list)

    async def query(self, messages: Sequence[BaseMessage], schemas: Sequence[dict[str, Any]]) -> Reply:
        assert_paired(messages)
        self.asked.append(list(messages))
        line = self.script.pop(0)
        if isinstance(line, Exception):
            raise line
        return line


@dataclass
class RecordingJournal:
    """Keeps what is recorded, batch by batch, in one `story` with what the gate does."""

    story: list[str] = field(default_factory=list)
    entries: list[JournalEntry] = field(default_factory=list)
    events: list[Message] = field(default_factory=list)

    async def record(self, claim: Claim, entries: Sequence[JournalEntry], events: Sequence[Message] = ()) -> None:
        self.story.append("+".join(entry.kind.value for entry in entries))
        self.entries += entries
        self.events += events

    async def commit(self, claim: Claim, outcome: Outcome, replies: Sequence[Message] = ()) -> list[Message]:
        raise AssertionError("the loop commits nothing")


Act = Callable[[ToolCall], ToolResult | Awaitable[ToolResult]]


@dataclass
class ScriptedGate:
    """`save` writes, everything else reads; answers by `act`, journals INTENT as the port says."""

    journal: Journal
    story: list[str]
    act: Act
    carried_out: list[str] = field(default_factory=list)

    def effect(self, call: ToolCall, turn: TurnContext) -> Effect:
        return Effect.WRITE if call.name == "save" else Effect.READ

    async def call(self, call: ToolCall, turn: TurnContext) -> ToolResult:
        effect = self.effect(call, turn)
        if effect is not Effect.READ:
            entry = JournalEntry(EntryKind.INTENT, turn.step, {"name": call.name, "args": {}}, call.id, effect)
            await self.journal.record(turn.claim, [entry])
        self.story.append(f"run {call.id}")
        self.carried_out.append(call.id)
        result = self.act(call)
        return await result if isinstance(result, Awaitable) else result


def ok(call: ToolCall, content: str = "fine") -> ToolResult:
    effect = Effect.WRITE if call.name == "save" else Effect.READ
    return ToolResult(call.id, call.name, Status.OK, content, effect, 0.1)


def failed(call: ToolCall, content: str = "no such file") -> ToolResult:
    return ToolResult(call.id, call.name, Status.ERROR, content)


class Stage:
    """A loop with all its doubles."""

    def __init__(self, *script: Reply | Exception, act: Act = ok, team: Any = None) -> None:
        self.model = ScriptedModel(list(script))
        self.journal = RecordingJournal()
        self.gate = ScriptedGate(self.journal, self.journal.story, act)
        self.loop = ReAct(
            {"default": self.model}, self.gate, self.journal, SecretMask([SECRET]), lambda tools: [], team
        )

    async def play(self, turn: Turn) -> Outcome:
        return await self.loop.run(turn)

    def last_asked(self) -> str:
        return "\n".join(str(message.content) for message in self.model.asked[-1])


def assert_paired(messages: Sequence[BaseMessage]) -> None:
    """Every call is answered right after it, every result answers a call."""
    waiting: list[str] = []
    for message in messages:
        if message.type == "tool":
            waiting.remove(message.tool_call_id)  # type: ignore[attr-defined]
            continue
        assert not waiting, f"unanswered before {message}: {waiting}"
        if isinstance(message, AIMessage):
            waiting = [str(c["id"]) for c in (*message.tool_calls, *message.invalid_tool_calls)]
    assert not waiting, f"unanswered: {waiting}"


@dataclass
class Request:
    headers: str
    body: dict[str, Any]


Line = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class FakeEndpoint:
    """An HTTP server that plays `lines` in order, the last one for ever; keeps requests and closed connections."""

    lines: list[Line]
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0
    _open: set[asyncio.Task[Any]] = field(default_factory=set)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task
        self._open.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                while not writer.is_closing():
                    await self._serve(reader, writer)
        finally:
            self._open.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(int(line.split(":")[1]) for line in head.splitlines() if line.lower().startswith("content-len"))
        self.requests.append(Request(head, json.loads(await reader.readexactly(length))))
        line = self.lines.pop(0) if len(self.lines) > 1 else self.lines[0]
        answer = asyncio.ensure_future(line(writer))
        gone = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait([answer, gone], return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                self.hung_up.set()
                writer.close()
        finally:
            answer.cancel()
            gone.cancel()
            await asyncio.wait([answer, gone])

    async def close(self) -> None:
        """End every connection."""
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


@contextlib.asynccontextmanager
async def endpoint(*lines: Line) -> AsyncIterator[FakeEndpoint]:
    fake = FakeEndpoint(list(lines))
    server = await asyncio.start_server(fake.accept, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
        await fake.close()


def respond(status: int, body: Any, kind: str = "application/json", **headers: str) -> Line:
    """One whole answer."""
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()

    async def line(writer: asyncio.StreamWriter) -> None:
        extra = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(content)}\r\n{extra}\r\n"
        writer.write(head.encode() + content)
        await writer.drain()

    return line


def stream(*events: Mapping[str, Any] | str, end: bool = True, then: float = 0.0, pause: float = 0.0) -> Line:
    """A streamed answer; `end` says [DONE], `then` keeps it open that long, `pause` lies between events."""

    async def line(writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nconnection: close\r\n\r\n"
        )
        for event in events:
            text = event if isinstance(event, str) else f"data: {json.dumps(event)}\n\n"
            writer.write(text.encode())
            await writer.drain()
            await asyncio.sleep(pause)
        if end:
            writer.write(b"data: [DONE]\n\n")
            await writer.drain()
        await asyncio.sleep(then)
        writer.close()

    return line


def piece(text: str | None = None, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """One chunk of a streamed answer."""
    return {
        "model": "fake",
        "choices": [{"index": 0, "delta": {"content": text, **delta}, "finish_reason": finish}],
    }


USAGE = {
    "choices": [],
    "usage": {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 64}},
}
HELLO = stream(piece("hel"), piece("lo"), piece(finish="stop"), USAGE)


def completion(text: str | None = "hello", **message: Any) -> dict[str, Any]:
    """A whole completion."""
    return {
        "model": "fake",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 7},
    }


def tool_delta(*deltas: Iterable[Any]) -> list[dict[str, Any]]:
    """Deltas of tool calls: (index, id, name, arguments), None left out."""
    return [
        {
            **({"index": index} if index is not None else {}),
            **({"id": call_id} if call_id else {}),
            "function": {**({"name": name} if name else {}), "arguments": arguments},
        }
        for index, call_id, name, arguments in deltas
    ]
