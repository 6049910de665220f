"""The live conversation."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from agents.domain.errors import RoomUnavailable
from agents.domain.message import Kind, Message
from agents.domain.mission import Presence, RoomState
from agents.domain.redaction import SecretMask
from agents.room.in_memory import InMemoryRoom
from client.console.feed import Feed, live, look
from client.conversation import ConversationLog
from tests.support.desk import Shown

SECRET = "hunter2hunter2"


class Flaky:
    """A room whose following breaks off as told before it works; the rest is the real one's."""

    def __init__(self, inner: InMemoryRoom, errors: list[Exception]) -> None:
        self.inner = inner
        self.errors = errors
        self.room = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner.room, name)

    async def follow(self, after: str | None = None) -> AsyncIterator[Message]:
        if self.errors:
            raise self.errors.pop(0)
        async for message in self.inner.room.follow(after):
            yield message


def _feed(opened: Any, directory: Path) -> tuple[Feed, Shown]:
    shown = Shown()
    mask = SecretMask([SECRET])
    log = ConversationLog(directory, mask, lambda fault: None)
    return Feed(opened, mask, log, shown.show), shown


async def _until(shown: Shown, text: str) -> None:
    async with asyncio.timeout(10):
        while text not in shown.text:
            await asyncio.sleep(0.01)


async def test_what_was_said_comes_first_then_what_happens_each_once(tmp_path: Path) -> None:
    room = InMemoryRoom("lab")
    await room.room.post(Message("QA", "before"))
    feed, shown = _feed(room, tmp_path)
    heard: list[str] = []
    feed.heed = lambda message: heard.append(message.content)
    async with live(feed):
        await room.room.post(Message("QA", f"after, with {SECRET}"))
        await _until(shown, "after")
    assert [line.split("QA  ")[-1] for line in shown.lines] == ["── earlier", "before", "after, with [redacted]"]
    assert heard == [f"after, with {SECRET}"]
    logged = feed.log.path.read_text()
    assert logged.count("before") == logged.count("after") == 1
    assert SECRET not in logged


async def test_of_what_happened_since_only_the_end_is_shown(tmp_path: Path) -> None:
    room = InMemoryRoom("lab")
    await room.room.post(Message("QA", "said"))
    for number in range(30):
        await room.room.post(Message("QA", f"tool {number}", Kind.TOOL))
    feed, shown = _feed(room, tmp_path)
    async with live(feed):
        await room.room.post(Message("QA", "after"))
        await _until(shown, "after")
    assert shown.lines[0] == "── earlier"
    assert [line.split(" ", 1)[1] for line in shown.lines[1:]] == [
        "QA  said",
        *(f"QA · tool {number}" for number in range(20, 30)),
        "QA  after",
    ]


async def test_of_a_fresh_room_nothing_is_shown(tmp_path: Path) -> None:
    room = InMemoryRoom("lab")
    feed, shown = _feed(room, tmp_path)
    async with live(feed):
        await room.room.post(Message("QA", "first"))
        await _until(shown, "first")
    assert len(shown.lines) == 1


async def test_an_outage_is_said_once_and_waited_out(tmp_path: Path) -> None:
    room = InMemoryRoom("lab")
    flaky = Flaky(room, [RoomUnavailable("redis://x is gone"), RoomUnavailable("redis://x is gone")])
    feed, shown = _feed(flaky, tmp_path)
    async with live(feed):
        await room.room.post(Message("QA", "said meanwhile"))
        await _until(shown, "said meanwhile")
    assert shown.text.count("redis://x is gone") == 1


async def test_a_fault_of_ours_is_shown(tmp_path: Path) -> None:
    feed, shown = _feed(Flaky(InMemoryRoom("lab"), [ZeroDivisionError("oops")]), tmp_path)
    async with live(feed):
        await _until(shown, "can't be followed any more (oops)")


async def test_look() -> None:
    room = InMemoryRoom("lab")
    await room.room.post(Message("User", "go", to=("QA",)))
    await room.presence.beat(Presence("QA", "1", "h", "thinking"))
    glance = await look(room)
    assert (glance.state, glance.at_work) == (RoomState.RUNNING, ("QA",))


async def test_look_without_redis_says_so() -> None:
    class Gone:
        @property
        def control(self) -> Any:
            raise RoomUnavailable("redis://x is gone")

    glance = await look(Gone())  # type: ignore[arg-type]
    assert "redis://x is gone" in glance.text
