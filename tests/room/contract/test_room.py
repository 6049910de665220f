"""The `Room` port."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest

from agents.domain.errors import MessageTooLarge, StaleEpoch
from agents.domain.message import MAX_MESSAGE_BYTES, SYSTEM, USER, Kind, Message
from agents.domain.mission import RoomState
from agents.domain.ports import Room
from tests.room.conftest import World


def say(text: str, *to: str, sender: str = "Coder") -> Message:
    return Message(sender, text, to=to)


async def hear(room: Room, count: int, after: str | None = None) -> list[Message]:
    """The next `count` events."""
    heard: list[Message] = []
    async with asyncio.timeout(10), aclosing(room.follow(after)) as events:  # type: ignore[type-var]
        async for event in events:
            heard.append(event)
            if len(heard) == count:
                break
    return heard


async def test_a_post_is_logged_delivered_and_given_a_place(world: World) -> None:
    opened = await world.open()
    posted = await opened.room.post(replace(say("hi", "QA", "DevOps", "QA"), data={"n": [1, {}]}, hops=3))
    assert posted.seq
    assert posted.epoch == 0
    assert await opened.room.events() == [posted]
    for role in ("QA", "DevOps"):
        assert await opened.inbox(role, "c").pending() == 1
    assert await opened.inbox("Coder", "c").pending() == 0


async def test_the_room_has_its_name(world: World) -> None:
    assert (await world.open()).room.name == world.name


async def test_a_repeated_id_changes_nothing_and_gets_the_first_place(world: World) -> None:
    opened = await world.open()
    message = say("hi", "QA")
    first = await opened.room.post(message)
    await opened.room.post(say("between"))
    assert await opened.room.post(message) == first
    assert len(await opened.room.events()) == 2
    assert await opened.inbox("QA", "c").pending() == 1


async def test_a_repeated_id_is_answered_even_after_a_stop(world: World) -> None:
    opened = await world.open()
    message = say("hi")
    first = await opened.room.post(message, epoch=0)
    await opened.control.stop(Message(USER, "STOP", Kind.CONTROL))
    assert await opened.room.post(message, epoch=0) == first


async def test_a_demanded_epoch_must_be_the_rooms(world: World) -> None:
    opened = await world.open()
    await opened.control.stop(Message(USER, "STOP", Kind.CONTROL))
    with pytest.raises(StaleEpoch, match="stopped or cleared"):
        await opened.room.post(say("late", "QA"), epoch=0)
    assert await opened.inbox("QA", "c").pending() == 0
    assert (await opened.room.post(say("in time", "QA"), epoch=1)).epoch == 1
    assert await opened.inbox("QA", "c").pending() == 1


@pytest.mark.parametrize("kind", [Kind.THINK, Kind.TOOL, Kind.CONTROL])
async def test_what_is_only_shown_is_never_delivered(world: World, kind: Kind) -> None:
    opened = await world.open()
    await opened.room.post(replace(say("psst", "QA"), kind=kind))
    assert await opened.inbox("QA", "c").claim() is None
    await opened.room.post(say("hello", "QA"))
    assert await opened.inbox("QA", "c").claim() is not None


async def test_too_large_a_message_is_refused_and_a_large_one_is_not(world: World) -> None:
    opened = await world.open()
    with pytest.raises(MessageTooLarge, match="save the text to a file"):
        await opened.room.post(say("x" * MAX_MESSAGE_BYTES, "QA"))
    assert await opened.room.events() == []
    large = await opened.room.post(say("x" * (MAX_MESSAGE_BYTES - 1000), "QA"))
    assert await opened.room.events() == [large]


async def test_odd_text_survives(world: World) -> None:
    opened = await world.open()
    text = 'quotes " \\ newline \n nul \0 emoji 🧪 escape \x1b[31m {"seq":"1-1"}'
    posted = await opened.room.post(say(text, "QA"))
    assert posted.content == text
    assert [m.content for m in await opened.room.events()] == [text]
    claim = await opened.inbox("QA", "c").claim()
    assert claim
    assert claim.deliveries[0].message == posted


async def test_half_a_surrogate_pair_becomes_a_question_mark(world: World) -> None:
    opened = await world.open()
    posted = await opened.room.post(say("half \ud83d pair", sender=USER))
    assert posted.content == "half ? pair"
    assert await opened.room.events() == [posted]
    assert (await opened.mission.read()).requests[0].text == "half ? pair"


async def test_said_holds_the_last_said_messages_oldest_first(world: World) -> None:
    opened = await world.open()
    for number in range(5):
        await opened.room.post(say(str(number)))
        await opened.room.post(Message("Coder", "hm", Kind.THINK))
    await opened.room.post(Message(SYSTEM, "notice", Kind.SYSTEM))
    assert [m.content for m in await opened.room.said(3)] == ["3", "4", "notice"]
    assert len(await opened.room.said(100)) == 6


async def test_events_can_be_paged(world: World) -> None:
    opened = await world.open()
    posted = [await opened.room.post(say(str(n))) for n in range(5)]
    assert await opened.room.events(limit=2) == posted[:2]
    assert await opened.room.events(after=posted[1].seq) == posted[2:]
    assert await opened.room.events(after=posted[-1].seq) == []


async def test_following_from_a_place_yields_the_past_and_then_the_present(world: World) -> None:
    opened, other = await world.open(), await world.open()
    posted = [await opened.room.post(say(str(n))) for n in range(3)]
    hearing = asyncio.create_task(hear(other.room, 4, posted[0].seq))
    await asyncio.sleep(0.1)
    posted += [await opened.room.post(say(str(n))) for n in range(3, 5)]
    assert await hearing == posted[1:]


async def test_following_from_the_start_pages_through_a_long_log_once_and_in_order(world: World) -> None:
    opened = await world.open()
    posted = [await opened.room.post(say(str(n))) for n in range(520)]
    assert await hear(opened.room, 520, "0") == posted


async def test_following_from_now_on_hears_only_what_comes(world: World) -> None:
    opened, other = await world.open(), await world.open()
    await opened.room.post(say("before"))
    hearing = asyncio.create_task(hear(other.room, 2))
    await asyncio.sleep(0.2)
    posted = [await opened.room.post(say(str(n), "QA")) for n in range(2)]
    assert await hearing == posted


async def test_following_an_empty_room(world: World) -> None:
    opened = await world.open()
    hearing = asyncio.create_task(hear(opened.room, 1))
    await asyncio.sleep(0.2)
    posted = await opened.room.post(say("first"))
    assert await hearing == [posted]


async def test_a_users_word_starts_a_mission_and_the_next_one_joins_it(world: World) -> None:
    opened = await world.open()
    first = await opened.room.post(say("build it", "Architect", sender=USER))
    assert (await opened.control.read()).state is RoomState.RUNNING
    await opened.room.post(say("and test it", sender=USER))
    mission = await opened.mission.read()
    assert [request.text for request in mission.requests] == ["build it", "and test it"]
    assert mission.requests[0].message_id == first.id
    assert len(mission.requests[0].sha) == 64


async def test_only_a_users_say_joins_the_mission(world: World) -> None:
    opened = await world.open()
    await opened.room.post(say("I would build it"))
    await opened.room.post(Message(USER, "approve", Kind.APPROVAL))
    assert (await opened.mission.read()).requests == ()
    assert (await opened.control.read()).state is RoomState.IDLE


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        (RoomState.DONE, False),
        (RoomState.IDLE, False),
        (RoomState.AWAITING_INPUT, True),
        (RoomState.STOPPED, True),
        (RoomState.RUNNING, True),
    ],
)
async def test_a_mission_that_is_over_makes_room_for_a_new_one(world: World, state: RoomState, kept: bool) -> None:
    opened = await world.open()
    await opened.room.post(say("old", sender=USER))
    await opened.control.set_state(state, "why")
    await opened.room.post(say("new", sender=USER))
    texts = [request.text for request in (await opened.mission.read()).requests]
    assert texts == (["old", "new"] if kept else ["new"])
    control = await opened.control.read()
    assert (control.state, control.reason) == (RoomState.RUNNING, "")
