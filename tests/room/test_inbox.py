"""The Redis inbox, where the contract can't look."""

import pytest
import redis

from agents.domain.message import USER, Message
from agents.domain.turn import EntryKind, JournalEntry, Outcome, StopReason
from tests.room.conftest import World

pytestmark = pytest.mark.real


async def test_a_delivery_stuck_outside_any_turn_is_taken_up(real_world: World) -> None:
    opened = await real_world.open()
    assert real_world.url
    stuck = await opened.room.post(Message(USER, "stuck", to=("QA",)))
    assert await opened.inbox("QA", "one").pending() == 1
    key = f"{{{real_world.name}}}:inbox:QA"
    with redis.Redis.from_url(real_world.url) as client:
        client.xgroup_create(key, "QA", "0")
        assert client.xreadgroup("QA", "dead", {key: ">"})
    fresh = await opened.room.post(Message(USER, "fresh", to=("QA",)))
    assert await opened.inbox("QA", "one").pending() == 2
    claim = await opened.inbox("QA", "one").claim()
    assert claim
    assert [delivery.message for delivery in claim.deliveries] == [stuck, fresh]
    await opened.journal.commit(claim, Outcome(StopReason.REPLIED))
    with redis.Redis.from_url(real_world.url) as client:
        assert client.xlen(key) == 0
        assert client.xpending(key, "QA")["pending"] == 0


async def test_a_pending_entry_that_was_deleted_is_acknowledged(real_world: World) -> None:
    opened = await real_world.open()
    assert real_world.url
    posted = await opened.room.post(Message(USER, "gone", to=("QA",)))
    key = f"{{{real_world.name}}}:inbox:QA"
    with redis.Redis.from_url(real_world.url) as client:
        client.xgroup_create(key, "QA", "0")
        client.xreadgroup("QA", "dead", {key: ">"})
        client.xdel(key, posted.seq)
        assert await opened.inbox("QA", "one").claim() is None
        assert client.xpending(key, "QA")["pending"] == 0


async def test_unreadable_deliveries_end_their_turn_and_hold_nobody_up(real_world: World) -> None:
    opened = await real_world.open()
    assert real_world.url
    key = f"{{{real_world.name}}}:inbox:QA"
    with redis.Redis.from_url(real_world.url) as client:
        client.xadd(key, {"m": "garbage", "e": "0"})
        client.xadd(key, {"x": "y"})
        assert await opened.inbox("QA", "one").claim() is None
        assert client.xlen(key) == 0
        client.xadd(key, {"m": "garbage", "e": "0"})
    posted = await opened.room.post(Message(USER, "hi", to=("QA",)))
    claim = await opened.inbox("QA", "one").claim()
    assert claim
    assert [delivery.message.id for delivery in claim.deliveries] == [posted.id]


async def test_a_foreign_key_in_the_inboxs_place_is_an_error(real_world: World) -> None:
    opened = await real_world.open()
    assert real_world.url
    with redis.Redis.from_url(real_world.url) as client:
        client.set(f"{{{real_world.name}}}:inbox:QA", "x")
    with pytest.raises(Exception, match="WRONGTYPE"):
        await opened.inbox("QA", "one").claim()


async def test_a_turn_that_was_taken_over_and_closed_meanwhile_is_still_readable(real_world: World) -> None:
    opened = await real_world.open(lease=60)
    assert real_world.url
    await opened.room.post(Message(USER, "hi", to=("QA",)))
    first = await opened.inbox("QA", "one").claim()
    assert first
    await opened.journal.record(first, [JournalEntry(EntryKind.NOTE, 1, {"text": "noted"})])
    with redis.Redis.from_url(real_world.url) as client:
        # as a new holder's commit leaves it, between our claim's two questions
        client.xadd(f"{{{real_world.name}}}:turn:{first.turn}", {"closed": "two 9", "outcome": "{}", "places": ""})
    again = await (await real_world.open(lease=60)).inbox("QA", "one").claim()
    assert again
    assert [entry.body for entry in again.entries] == [{"text": "noted"}]
