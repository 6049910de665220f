"""Pausing a room, stopping one role, handing a turn back, and noticing that a room is another one."""

import asyncio

import pytest

from agents.domain.errors import LeaseLost, StaleEpoch
from agents.domain.message import USER, Kind, Message
from agents.domain.mission import RoomState
from agents.domain.ports import OpenRoom
from agents.domain.turn import Outcome, StopReason
from tests.room.conftest import World
from tests.room.contract.turns import INTENT, LEASE, REPLIED, REPLY, say, taken, texts


def order(text: str) -> Message:
    return Message(USER, text, Kind.CONTROL)


async def held(opened: OpenRoom, work: "asyncio.Task[None]") -> None:
    """Let the work come to where it waits."""
    await asyncio.sleep(0.1)
    assert not work.done()


async def test_a_paused_room_gives_no_turn_and_loses_no_message(world: World) -> None:
    opened = await world.open()
    await opened.room.post(Message(USER, "first", to=("QA",)))
    paused = await opened.control.pause(order("PAUSE: lunch"))
    assert (paused.state, paused.reason) == (RoomState.PAUSED, "PAUSE: lunch")
    await opened.room.post(Message(USER, "second", to=("QA",)))
    assert await opened.inbox("QA", "one").claim() is None
    assert (await opened.control.read()).state is RoomState.PAUSED
    assert (await opened.control.resume(order("RESUME"))).state is RoomState.RUNNING
    assert [d.message.content for d in (await taken(opened)).deliveries] == ["first", "second"]
    assert await texts(opened) == ["first", "PAUSE: lunch", "second", "RESUME"]


async def test_no_effect_starts_in_a_paused_room_until_it_goes_on(world: World) -> None:
    opened = await world.open()
    await opened.room.post(say("work", "QA"))
    claim = await taken(opened)
    await opened.control.pause(order("PAUSE"))
    starting = asyncio.create_task(opened.journal.record(claim, [INTENT]))
    await held(opened, starting)
    assert (await opened.mission.read()).acts == 0
    await opened.inbox("QA", "one").renew(claim)
    await opened.control.resume(order("RESUME"))
    async with asyncio.timeout(5):
        await starting
    assert (await opened.mission.read()).acts == 1
    assert (await taken(opened)).entries == (INTENT,)


async def test_what_was_done_is_written_in_a_paused_room_and_the_next_step_waits(world: World) -> None:
    opened, other = await world.open(), await world.open()
    await opened.room.post(say("work", "QA"))
    claim = await taken(opened)
    await opened.control.pause(order("PAUSE"))
    stepping = asyncio.create_task(opened.journal.record(claim, [REPLY], [Message("QA", "seen", Kind.THINK)]))
    await held(opened, stepping)
    assert "seen" in await texts(other)
    await opened.control.resume(order("RESUME"))
    async with asyncio.timeout(5):
        await stepping
    assert (await taken(opened)).entries == (REPLY,)


async def test_a_stop_ends_a_pause_and_the_wait(world: World) -> None:
    opened = await world.open()
    await opened.room.post(say("work", "QA"))
    claim = await taken(opened)
    await opened.control.pause(order("PAUSE"))
    starting = asyncio.create_task(opened.journal.record(claim, [INTENT]))
    await held(opened, starting)
    assert (await opened.control.stop(order("STOP"))).state is RoomState.STOPPED
    with pytest.raises(StaleEpoch):
        await starting
    assert (await opened.mission.read()).acts == 0
    assert (await opened.control.read()).state is RoomState.STOPPED


async def test_the_state_below_a_pause_goes_on_changing(world: World) -> None:
    opened = await world.open()
    await opened.control.pause(order("PAUSE"))
    await opened.control.set_state(RoomState.AWAITING_INPUT, "which host?")
    assert (await opened.control.read()).state is RoomState.PAUSED
    resumed = await opened.control.resume(order("RESUME"))
    assert (resumed.state, resumed.reason) == (RoomState.AWAITING_INPUT, "which host?")
    assert (await opened.control.resume(order("RESUME again"))).state is RoomState.AWAITING_INPUT


async def test_one_role_is_stopped_and_the_others_go_on(world: World) -> None:
    opened = await world.open()
    await opened.room.post(say("work", "QA", "Coder"))
    await opened.room.post(say("later", "QA"))
    stopped, free = await taken(opened), await taken(opened, "Coder", "two")
    await opened.room.post(say("waits", "QA"))
    stop = order("STOP @QA")
    assert await opened.control.stop_role("QA", stop) == 1
    assert await opened.control.stop_role("QA", stop) == 1, "said again after a lost answer"
    for refused in (
        opened.journal.record(stopped, [INTENT]),
        opened.inbox("QA", "one").renew(stopped),
        opened.journal.commit(stopped, REPLIED, [say("late", sender="QA")]),
    ):
        with pytest.raises(LeaseLost):
            await refused
    assert await opened.inbox("QA", "one").claim() is None
    await opened.journal.record(free, [INTENT])
    await opened.journal.commit(free, REPLIED)
    assert (await texts(opened)).count("STOP @QA") == 1
    assert (await opened.control.read()).epoch == 0
    await opened.room.post(say("new", "QA"))
    assert [d.message.content for d in (await taken(opened)).deliveries] == ["new"]


async def test_an_idle_role_is_stopped_too(world: World) -> None:
    opened = await world.open()
    await opened.room.post(say("waits", "QA"))
    assert await opened.control.stop_role("QA", order("STOP @QA")) == 0
    assert await opened.inbox("QA", "one").claim() is None


async def test_a_turn_handed_back_is_taken_up_at_once_and_counts_as_no_death(world: World) -> None:
    leaving, staying = await world.open(), await world.open()
    await leaving.room.post(say("work", "QA"))
    claim = await taken(leaving)
    await leaving.journal.record(claim, [REPLY])
    assert await staying.inbox("QA", "two").claim() is None
    await leaving.inbox("QA", "one").release(claim)
    await asyncio.sleep(0.01)
    taken_up = await taken(staying, consumer="two")
    assert (taken_up.turn, taken_up.fence, taken_up.attempt) == (claim.turn, 2, 1)
    assert taken_up.entries == (REPLY,)
    with pytest.raises(LeaseLost):
        await leaving.inbox("QA", "one").release(claim)
    with pytest.raises(LeaseLost):
        await leaving.journal.commit(claim, REPLIED)


async def test_a_death_after_a_hand_over_counts(world: World) -> None:
    leaving, dying, last = await world.open(LEASE), await world.open(LEASE), await world.open(LEASE)
    await leaving.room.post(say("work", "QA"))
    await leaving.inbox("QA", "one").release(await taken(leaving))
    await asyncio.sleep(0.01)
    assert (await taken(dying, consumer="two")).attempt == 1
    await asyncio.sleep(LEASE * 1.5)
    assert (await taken(last, consumer="three")).attempt == 2


async def test_a_room_is_founded_once(world: World) -> None:
    opened, other = await world.open(), await world.open()
    assert (await opened.control.read()).born == ""
    first = await opened.control.found()
    assert first.born
    assert (await other.control.found()).born == first.born == (await other.control.read()).born
    assert (first.epoch, first.state) == (0, RoomState.IDLE)
    assert (await opened.control.clear(order("CLEAR"))).state is RoomState.STOPPED
    assert (await opened.control.read()).born == first.born, "a cleared room is the same room"


@pytest.mark.real
async def test_a_room_whose_data_went_away_is_stopped_in_an_epoch_of_its_own(real_world: World) -> None:
    opened = await real_world.open()
    known = await opened.control.found()
    await real_world.flush()
    await opened.room.post(say("a left-over", "QA"))
    again = await opened.control.found(known)
    assert (again.epoch, again.state) == (known.epoch + 1, RoomState.STOPPED)
    assert again.born not in ("", known.born)
    assert await opened.control.found(known) == again
    assert await opened.inbox("QA", "one").claim() is None


@pytest.mark.real
async def test_the_user_s_word_outlives_the_loss_of_the_data(real_world: World) -> None:
    opened = await real_world.open()
    known = await opened.control.found()
    await real_world.flush()
    await opened.room.post(Message(USER, "begin anew", to=("QA",)))
    again = await opened.control.found(known)
    assert (again.epoch, again.state) == (0, RoomState.RUNNING)
    assert [d.message.content for d in (await taken(opened)).deliveries] == ["begin anew"]


async def test_the_server_s_clock_is_told(world: World) -> None:
    opened = await world.open()
    placed = await opened.room.post(say("now"))
    told = (await opened.control.read()).now
    assert abs(told - int(placed.seq.partition("-")[0]) / 1000) < 10


async def test_a_paused_turn_may_end_stopped(world: World) -> None:
    opened = await world.open()
    await opened.room.post(say("work", "QA"))
    claim = await taken(opened)
    await opened.control.pause(order("PAUSE"))
    await opened.journal.commit(claim, Outcome(StopReason.STOPPED))
    await opened.control.resume(order("RESUME"))
    assert await opened.inbox("QA", "one").claim() is None
