"""Redis goes away and comes back: calls wait, readers catch up, nothing is lost or doubled."""

import asyncio
from contextlib import aclosing, suppress

import pytest

from agents.domain.errors import RoomError, RoomUnavailable
from agents.domain.message import USER, Kind, Message
from agents.domain.turn import Effect, EntryKind, JournalEntry, Outcome, StopReason
from agents.room import connection, feed, open_room
from agents.room.connection import Link
from agents.room.feed import follow
from agents.room.keys import Keys
from tests.room.flaky_proxy import FlakyProxy
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.real

INTENT = JournalEntry(EntryKind.INTENT, 1, {}, "call", Effect.MUTATE)


async def test_a_turn_and_its_readers_survive_three_crashes_of_redis(own_server: RedisServer) -> None:
    opened, reader = await open_room(own_server.url, "r"), await open_room(own_server.url, "r")
    heard: list[str] = []

    async def read() -> None:
        async for event in reader.room.follow("0"):
            heard.append(event.content)

    async def crash() -> None:
        own_server.kill()
        await asyncio.sleep(0.2)
        await asyncio.to_thread(own_server.start)

    async with asyncio.timeout(60):
        reading = asyncio.create_task(read())
        await opened.room.post(Message(USER, "one", to=("QA",)))
        crashing = asyncio.create_task(crash())
        await asyncio.sleep(0.05)
        claim = await opened.inbox("QA", "c").claim()
        assert claim
        await crashing
        crashing = asyncio.create_task(crash())
        await asyncio.sleep(0.05)
        await opened.journal.record(claim, [INTENT], [Message("QA", "two", Kind.THINK)])
        await crashing
        crashing = asyncio.create_task(crash())
        await asyncio.sleep(0.05)
        again = await opened.inbox("QA", "c").claim()
        assert again
        assert (again.turn, again.entries) == (claim.turn, (INTENT,))
        await opened.journal.commit(again, Outcome(StopReason.REPLIED), [Message("QA", "three")])
        await crashing
        while len(heard) < 3:
            await asyncio.sleep(0.02)
    reading.cancel()
    with suppress(asyncio.CancelledError):
        await reading
    assert heard == ["one", "two", "three"]
    assert (await opened.mission.read()).acts == 1
    await opened.aclose()
    await reader.aclose()


async def test_patience_ends_with_one_line_that_says_what_to_do(own_server: RedisServer) -> None:
    opened = await open_room(own_server.url, "r", patience=0.3)
    own_server.kill()
    calls = [opened.room.post(Message(USER, "hi")), opened.control.read(), anext(opened.room.follow())]
    for call in calls:
        with pytest.raises(RoomUnavailable, match="start it, or set REDIS_URL") as caught:
            await call
        assert "\n" not in str(caught.value)
    await asyncio.to_thread(own_server.start)
    assert await opened.room.post(Message(USER, "hi"))
    await opened.aclose()


async def test_opening_waits_for_redis(own_server: RedisServer) -> None:
    own_server.kill()
    opening = asyncio.create_task(open_room(own_server.url, "r"))
    await asyncio.sleep(0.3)
    assert not opening.done()
    await asyncio.to_thread(own_server.start)
    async with asyncio.timeout(20):
        await (await opening).aclose()


async def test_a_full_redis_is_waited_for(own_server: RedisServer) -> None:
    opened = await open_room(own_server.url, "r", patience=0.3)
    with own_server.client() as client:
        client.config_set("maxmemory", 1)
        with pytest.raises(RoomUnavailable, match="maxmemory"):
            await opened.room.post(Message(USER, "hi", to=("QA",)))
        client.config_set("maxmemory", 0)
    await opened.room.post(Message(USER, "hi", to=("QA",)))
    assert await opened.inbox("QA", "c").pending() == 1
    await opened.aclose()


async def test_a_wrong_password_is_said_at_once_and_never_shown(own_server: RedisServer) -> None:
    with own_server.client() as client:
        client.config_set("requirepass", "right-one")
    for url in (own_server.url, f"unix://:wrong-one@{own_server.socket}"):
        with pytest.raises(RoomUnavailable, match="check user and password") as caught:
            await open_room(url, "r")
        assert "wrong-one" not in str(caught.value)
    await (await open_room(f"unix://:right-one@{own_server.socket}", "r")).aclose()


async def test_a_key_of_the_wrong_type_is_an_error_not_an_outage(own_server: RedisServer) -> None:
    opened = await open_room(own_server.url, "r")
    with own_server.client() as client:
        client.set("{r}:log", "x")
    with pytest.raises(RoomError, match="WRONGTYPE"):
        await opened.room.events()
    with own_server.client() as client:
        client.delete("{r}:log")
    assert await opened.room.events() == []
    await opened.aclose()


async def test_a_reader_notices_a_server_that_went_silent(own_server: RedisServer) -> None:
    proxy = FlakyProxy(own_server.socket)
    async with proxy.listening(own_server.socket.with_name("proxy")) as url:
        opened = await open_room(own_server.url, "r")
        link = Link(url)
        async with asyncio.timeout(20), aclosing(follow(link, Keys("r"), None, idle=0.05)) as events:
            hearing = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0.2)  # silent, but the server answers when asked
            proxy.mute = True
            await asyncio.sleep(0.2)
            await opened.room.post(Message(USER, "missed"))
            proxy.mute = False
            assert (await hearing).content == "missed"
        await link.aclose()
        await opened.aclose()


async def test_a_server_that_is_silent_is_given_up_after_a_while(
    own_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ANSWER_TIMEOUT", 0.1)
    monkeypatch.setattr(feed, "ANSWER_TIMEOUT", 0.1)
    proxy = FlakyProxy(own_server.socket)
    async with proxy.listening(own_server.socket.with_name("proxy")) as url:
        opened = await open_room(url, "r", patience=0.3)
        await opened.room.post(Message(USER, "before"))
        proxy.mute = True
        for call in (opened.room.post(Message(USER, "hi")), anext(opened.room.follow())):
            with pytest.raises(RoomUnavailable):
                await call
        proxy.mute = False
        assert [event.content for event in await opened.room.events()] == ["before", "hi"]
        await opened.aclose()


async def test_a_forgotten_room_stops_its_turns(own_server: RedisServer) -> None:
    opened = await open_room(own_server.url, "r")
    await opened.room.post(Message(USER, "hi", to=("QA",)))
    claim = await opened.inbox("QA", "c").claim()
    assert claim
    with own_server.client() as client:
        client.flushall()
    with pytest.raises(RoomError, match="taken over or closed"):
        await opened.journal.record(claim, [INTENT])
    await opened.room.post(Message(USER, "again", to=("QA",)))
    assert await opened.inbox("QA", "c").claim()
    await opened.aclose()
