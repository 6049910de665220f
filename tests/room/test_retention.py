"""What a room keeps, and for how long."""

import asyncio

import pytest

from agents.domain.message import USER, Message
from agents.domain.turn import EntryKind, JournalEntry, Outcome, StopReason
from agents.room import Retention, open_room
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.real


async def test_the_log_is_trimmed_and_unread_messages_are_not(own_server: RedisServer) -> None:
    opened = await open_room(own_server.url, "r", retention=Retention(log=100, journal=60))
    posts = [opened.room.post(Message(USER, str(n), to=("QA",))) for n in range(600)]
    await asyncio.gather(*posts)
    assert 100 <= len(await opened.room.events()) < 400
    assert await opened.inbox("QA", "c").pending() == 600
    await opened.aclose()


async def test_the_memory_of_ids_is_bounded_and_long(own_server: RedisServer) -> None:
    opened = await open_room(own_server.url, "r", retention=Retention(log=10))
    message = Message("QA", "first")
    first = await opened.room.post(message)
    with own_server.client() as client:
        for n in range(0, 19_999, 500):
            client.hset("{r}:ids", mapping={f"filler-{k}": "1-0 0" for k in range(n, min(n + 500, 19_999))})
        assert client.hlen("{r}:ids") == 20_000
        await opened.room.post(Message("QA", "one more"))
        assert (client.hlen("{r}:ids"), client.hlen("{r}:ids:old")) == (1, 20_000)
    assert await opened.room.post(message) == first
    await opened.aclose()


async def test_the_journal_of_a_closed_turn_is_kept_for_a_while(own_server: RedisServer) -> None:
    opened = await open_room(own_server.url, "r", retention=Retention(journal=60))
    await opened.room.post(Message(USER, "hi", to=("QA",)))
    claim = await opened.inbox("QA", "c").claim()
    assert claim
    key = f"{{r}}:turn:{claim.turn}"
    await opened.journal.record(claim, [JournalEntry(EntryKind.REPLY, 1, {})])
    with own_server.client() as client:
        assert client.ttl(key) == -1  # a live journal never expires
        await opened.journal.commit(claim, Outcome(StopReason.REPLIED))
        assert 0 < client.ttl(key) <= 60
        assert client.xlen(key) == 2
    await opened.aclose()


async def test_a_clear_leaves_nothing_of_the_past(own_server: RedisServer) -> None:
    opened = await open_room(own_server.url, "r")
    await opened.room.post(Message(USER, "hi", to=("QA", "Coder")))
    claim = await opened.inbox("QA", "c").claim()
    assert claim
    await opened.journal.record(claim, [JournalEntry(EntryKind.REPLY, 1, {})])
    await opened.control.clear(Message(USER, "CLEAR"))
    with own_server.client() as client:
        kept = sorted(key.decode() for key in client.keys("*"))
    assert kept == ["{r}:control", "{r}:ids", "{r}:log", "{r}:said"]
    await opened.aclose()
