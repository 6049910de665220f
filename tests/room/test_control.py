"""CLEAR against a room that doesn't stand still."""

import asyncio
from typing import Any

import pytest

from agents.domain.message import USER, Kind, Message
from agents.domain.turn import Outcome, StopReason
from agents.room import Retention, open_room
from agents.room.connection import Arg, Link
from agents.room.control import RedisControl
from agents.room.keys import Keys
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.real


class MeddlingLink(Link):
    """A link on which somebody else gets a word in, once, between CLEAR's look and its act."""

    def __init__(self, url: str, meddle: Any) -> None:
        super().__init__(url)
        self._meddle = meddle

    async def command(self, *args: Arg) -> Any:
        """The command; then the meddling."""
        answer = await super().command(*args)
        if args[0] == "HKEYS" and self._meddle:
            meddle, self._meddle = self._meddle, None
            await meddle()
        return answer


@pytest.mark.parametrize("kind", ["a new inbox", "a new turn", "another turn"])
async def test_what_came_meanwhile_is_cleared_too(own_server: RedisServer, kind: str) -> None:
    opened = await open_room(own_server.url, "r")
    await opened.room.post(Message(USER, "first", to=("QA",)))
    inbox = opened.inbox("QA", "c")

    async def meddle() -> None:
        if kind == "another turn":
            claim = await inbox.claim()
            assert claim
            await opened.journal.commit(claim, Outcome(StopReason.REPLIED))
        await opened.room.post(Message(USER, "second", to=("Coder",) if kind == "a new inbox" else ("QA",)))
        if kind != "a new inbox":
            assert await inbox.claim()

    if kind == "another turn":
        assert await inbox.claim()
    link = MeddlingLink(own_server.url, meddle)
    control = RedisControl(link, Keys("r"), Retention())
    assert (await control.clear(Message(USER, "CLEAR", Kind.CONTROL))).epoch == 1
    with own_server.client() as client:
        left = {key.decode() for key in client.keys("*")}
    assert {key for key in left if ":inbox:" in key or key.endswith(":turns")} == set()
    await link.aclose()
    await opened.aclose()


async def test_calls_under_way_end_well_when_the_room_closes(own_server: RedisServer) -> None:
    opened = await open_room(own_server.url, "r")
    posting = [asyncio.create_task(opened.room.post(Message(USER, str(n)))) for n in range(50)]
    await asyncio.sleep(0)
    await opened.aclose()
    assert len({message.seq for message in await asyncio.gather(*posting)}) == 50
    with own_server.client() as client:
        assert len(client.client_list()) == 1
