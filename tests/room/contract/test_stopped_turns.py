"""The `Inbox` and `Journal` ports after a STOP or a CLEAR: nothing more starts, nobody is woken."""

import asyncio
from dataclasses import replace

import pytest

from agents.domain.errors import LeaseLost, StaleEpoch
from agents.domain.message import USER, Kind, Message
from agents.domain.mission import RoomState
from agents.domain.turn import Outcome, StopReason
from tests.room.conftest import World
from tests.room.contract.turns import INTENT, LEASE, REPLIED, REPLY, say, taken, texts


async def test_nothing_starts_after_a_stop(world: World) -> None:
    opened = await world.open()
    await opened.room.post(say("work", "QA"))
    claim = await taken(opened)
    await opened.control.stop(Message(USER, "STOP", Kind.CONTROL))
    with pytest.raises(StaleEpoch):
        await opened.journal.record(claim, [INTENT])
    assert (await opened.mission.read()).acts == 0


async def test_a_stopped_turn_is_closed_and_its_replies_wake_nobody(world: World) -> None:
    opened = await world.open()
    await opened.room.post(say("work", "QA"))
    claim = await taken(opened)
    await opened.control.stop(Message(USER, "STOP", Kind.CONTROL))
    placed = await opened.journal.commit(claim, Outcome(StopReason.DONE), [say("stopped", "Coder", sender="QA")])
    assert [(m.content, m.epoch) for m in placed] == [("stopped", 1)]
    assert (await texts(opened))[-1] == "stopped"
    assert (await opened.control.read()).state is RoomState.STOPPED
    assert await opened.inbox("Coder", "c").claim() is None
    assert await opened.inbox("QA", "one").claim() is None


async def test_what_waited_before_a_stop_is_dropped_and_what_comes_after_is_not(world: World) -> None:
    opened = await world.open()
    for number in range(60):
        await opened.room.post(say(f"old {number}", "QA"))
    await opened.control.stop(Message(USER, "STOP", Kind.CONTROL))
    assert await opened.inbox("QA", "one").pending() == 0
    await opened.room.post(say("new", "QA"))
    assert await opened.inbox("QA", "one").pending() == 1
    assert [d.message.content for d in (await taken(opened)).deliveries] == ["new"]


async def test_an_open_turn_of_an_older_epoch_is_not_taken_up_again(world: World) -> None:
    dead, alive = await world.open(LEASE), await world.open(LEASE)
    await dead.room.post(say("old", "QA"))
    claim = await taken(dead)
    await dead.control.stop(Message(USER, "STOP", Kind.CONTROL))
    await alive.room.post(say("new", "QA"))
    fresh = await taken(alive, consumer="two")
    assert [d.message.content for d in fresh.deliveries] == ["new"]
    await alive.journal.commit(fresh, REPLIED)
    await asyncio.sleep(LEASE * 1.5)
    assert await alive.inbox("QA", "two").claim() is None
    # the turn was cleaned up meanwhile: closing it once more says nothing
    assert await dead.journal.commit(claim, REPLIED, [say("late", sender="QA")]) == []


async def test_a_turn_of_a_cleared_room_ends_without_a_word(world: World) -> None:
    opened = await world.open()
    await opened.room.post(say("work", "QA"))
    claim = await taken(opened)
    await opened.control.clear(Message(USER, "CLEAR", Kind.CONTROL))
    with pytest.raises(StaleEpoch):
        await opened.journal.record(claim, [INTENT])
    assert await opened.journal.commit(claim, REPLIED, [say("late", "Coder", sender="QA")]) == []
    assert await texts(opened) == ["CLEAR"]
    with pytest.raises(LeaseLost):
        await opened.inbox("QA", "one").renew(claim)


async def test_a_turn_that_never_was_is_lost(world: World) -> None:
    opened = await world.open()
    await opened.room.post(say("work", "QA"))
    made_up = replace(await taken(opened), turn="never")
    with pytest.raises(LeaseLost):
        await opened.journal.commit(made_up, REPLIED)
    with pytest.raises(LeaseLost):
        await opened.journal.record(made_up, [REPLY])
