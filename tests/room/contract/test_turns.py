"""The `Inbox` and `Journal` ports: each delivery is worked on once, whatever dies."""

import asyncio

import pytest

from agents.domain.errors import LeaseLost, MessageTooLarge
from agents.domain.message import MAX_MESSAGE_BYTES, SYSTEM, USER, Kind, Message
from agents.domain.mission import RoomState
from agents.domain.ports import OpenRoom
from agents.domain.turn import Effect, EntryKind, JournalEntry, Outcome, StopReason
from tests.room.conftest import World
from tests.room.contract.turns import INTENT, LEASE, REPLIED, REPLY, say, taken, texts


async def test_everything_pending_is_one_turn(world: World) -> None:
    opened = await world.open()
    posted = [await opened.room.post(say(str(n), "QA")) for n in range(3)]
    inbox = opened.inbox("QA", "one")
    assert await inbox.pending() == 3
    claim = await taken(opened)
    assert [delivery.message for delivery in claim.deliveries] == posted
    assert (claim.role, claim.consumer, claim.epoch, claim.attempt, claim.entries) == ("QA", "one", 0, 1, ())
    assert await inbox.pending() == 0


async def test_an_empty_inbox_has_no_turn(world: World) -> None:
    opened = await world.open()
    assert await opened.inbox("QA", "one").claim() is None
    assert await opened.inbox("QA", "one").pending() == 0


async def test_claiming_again_gives_the_same_turn_and_nothing_new(world: World) -> None:
    opened = await world.open()
    await opened.room.post(say("first", "QA"))
    claim = await taken(opened)
    await opened.room.post(say("second", "QA"))
    assert await taken(opened) == claim
    await opened.journal.commit(claim, REPLIED)
    assert [d.message.content for d in (await taken(opened)).deliveries] == ["second"]


async def test_a_turn_takes_fifty_messages_at_most(world: World) -> None:
    opened = await world.open()
    for number in range(60):
        await opened.room.post(say(str(number), "QA"))
    first = await taken(opened)
    assert len(first.deliveries) == 50
    await opened.journal.commit(first, REPLIED)
    assert [d.message.content for d in (await taken(opened)).deliveries] == [str(n) for n in range(50, 60)]


async def test_two_consumers_of_a_role_get_each_message_once(world: World) -> None:
    left, right = await world.open(), await world.open()
    got: list[str] = []

    async def work(opened: OpenRoom, consumer: str) -> None:
        inbox = opened.inbox("QA", consumer)
        while len(got) < 40:
            if claim := await inbox.claim():
                got.extend(delivery.message.content for delivery in claim.deliveries)
                await opened.journal.commit(claim, REPLIED)
            await asyncio.sleep(0)

    async def talk() -> None:
        for number in range(40):
            await left.room.post(say(str(number), "QA"))

    async with asyncio.timeout(20):
        await asyncio.gather(work(left, "one"), work(right, "two"), talk())
    assert sorted(got, key=int) == [str(n) for n in range(40)]


async def test_a_turn_whose_lease_ran_out_goes_to_another_with_its_journal(world: World) -> None:
    dead, alive = await world.open(LEASE), await world.open(LEASE)
    posted = await dead.room.post(say("work", "QA"))
    first = await taken(dead)
    await dead.journal.record(first, [REPLY, INTENT])
    assert await alive.inbox("QA", "two").claim() is None
    await asyncio.sleep(LEASE * 1.5)
    second = await taken(alive, consumer="two")
    assert (second.turn, second.consumer) == (first.turn, "two")
    assert (second.fence, second.attempt) == (first.fence + 1, 2)
    assert second.entries == (REPLY, INTENT)
    assert [d.message for d in second.deliveries] == [posted]
    assert await taken(alive, consumer="two") == second


async def test_the_old_holder_of_a_turn_can_do_nothing_more(world: World) -> None:
    dead, alive = await world.open(LEASE), await world.open(LEASE)
    await dead.room.post(say("work", "QA"))
    old = await taken(dead)
    await asyncio.sleep(LEASE * 1.5)
    new = await taken(alive, consumer="two")
    before = await texts(dead)
    with pytest.raises(LeaseLost):
        await dead.inbox("QA", "one").renew(old)
    with pytest.raises(LeaseLost):
        await dead.journal.record(old, [INTENT], [Message("QA", "hm", Kind.THINK)])
    with pytest.raises(LeaseLost):
        await dead.journal.commit(old, REPLIED, [say("too late", "Coder", sender="QA")])
    assert await texts(dead) == before
    assert (await dead.mission.read()).acts == 0
    await alive.inbox("QA", "two").renew(new)
    await alive.journal.record(new, [INTENT])
    await alive.journal.commit(new, REPLIED, [say("in time", "Coder", sender="QA")])
    with pytest.raises(LeaseLost):
        await dead.journal.commit(old, REPLIED)


async def test_a_renewed_lease_holds(world: World) -> None:
    opened, other = await world.open(0.4), await world.open(0.4)
    await opened.room.post(say("work", "QA"))
    claim = await taken(opened)
    for _ in range(4):
        await asyncio.sleep(0.2)
        await opened.inbox("QA", "one").renew(claim)
        assert await other.inbox("QA", "two").claim() is None


async def test_a_restarted_consumer_resumes_at_once_and_fences_its_former_life(world: World) -> None:
    former = await world.open()
    await former.room.post(say("work", "QA"))
    old = await taken(former)
    await former.journal.record(old, [INTENT])
    now = await world.open()
    resumed = await taken(now)
    assert (resumed.turn, resumed.fence, resumed.attempt) == (old.turn, old.fence + 1, 2)
    assert resumed.entries == (INTENT,)
    with pytest.raises(LeaseLost):
        await former.journal.record(old, [])


async def test_records_are_kept_in_order_and_events_are_shown_to_all_and_delivered_to_none(world: World) -> None:
    opened = await world.open()
    await opened.room.post(say("work", "QA"))
    claim = await taken(opened)
    thought = Message("QA", "hm", Kind.THINK, to=("Coder",))
    notice = Message(SYSTEM, "careful", Kind.SYSTEM)
    await opened.journal.record(claim, [REPLY], [thought, notice])
    await opened.journal.record(claim, [INTENT])
    assert (await taken(opened)).entries == (REPLY, INTENT)
    assert await texts(opened) == ["work", "hm", "careful"]
    assert [m.content for m in await opened.room.said(9)] == ["work", "careful"]
    assert await opened.inbox("Coder", "c").pending() == 0


@pytest.mark.parametrize(
    ("kind", "effect", "counted"),
    [
        (EntryKind.INTENT, Effect.MUTATE, 1),
        (EntryKind.INTENT, Effect.DESTROY, 1),
        (EntryKind.INTENT, Effect.WRITE, 0),
        (EntryKind.RESULT, Effect.MUTATE, 0),
    ],
)
async def test_acts_are_intents_that_change_the_world(
    world: World, kind: EntryKind, effect: Effect, counted: int
) -> None:
    opened = await world.open()
    await opened.room.post(say("work", "QA"))
    await opened.journal.record(await taken(opened), [JournalEntry(kind, 1, {}, "c", effect)])
    assert (await opened.mission.read()).acts == counted


async def test_a_record_with_too_large_an_event_writes_nothing(world: World) -> None:
    opened = await world.open()
    await opened.room.post(say("work", "QA"))
    claim = await taken(opened)
    with pytest.raises(MessageTooLarge):
        await opened.journal.record(claim, [INTENT], [Message("QA", "x" * MAX_MESSAGE_BYTES, Kind.THINK)])
    assert (await taken(opened)).entries == ()


async def test_a_commit_posts_replies_acknowledges_and_ends_the_turn(world: World) -> None:
    opened = await world.open()
    await opened.room.post(say("work", "QA"))
    claim = await taken(opened)
    replies = [say("to you", "Coder", "Architect", sender="QA"), say("to nobody", sender="QA")]
    placed = await opened.journal.commit(claim, REPLIED, replies)
    assert [m.content for m in placed] == ["to you", "to nobody"]
    assert (await opened.room.events())[1:] == placed
    assert await opened.room.said(2) == placed
    assert await opened.inbox("QA", "one").claim() is None
    for role in ("Coder", "Architect"):
        assert [d.message for d in (await taken(opened, role)).deliveries] == placed[:1]


async def test_several_replies_to_one_role_arrive_in_order(world: World) -> None:
    opened = await world.open()
    await opened.room.post(say("work", "QA"))
    replies = [say("a", "Coder", sender="QA"), say("b", "Coder", "QA", sender="QA")]
    placed = await opened.journal.commit(await taken(opened), REPLIED, replies)
    assert [d.message for d in (await taken(opened, "Coder")).deliveries] == placed
    assert [d.message for d in (await taken(opened)).deliveries] == placed[1:]


async def test_a_commit_without_replies(world: World) -> None:
    opened = await world.open()
    await opened.room.post(say("work", "QA"))
    assert await opened.journal.commit(await taken(opened), REPLIED) == []
    assert await texts(opened) == ["work"]


async def test_a_repeated_commit_changes_nothing_and_answers_the_same(world: World) -> None:
    opened = await world.open()
    await opened.room.post(say("work", "QA"))
    claim = await taken(opened)
    replies = [say("a", "Coder", sender="QA"), say("b", sender="QA")]
    placed = await opened.journal.commit(claim, REPLIED, replies)
    assert await opened.journal.commit(claim, REPLIED, replies) == placed
    assert await texts(opened) == ["work", "a", "b"]
    assert await opened.inbox("Coder", "c").pending() == 1


async def test_a_reply_that_is_in_the_room_already_is_not_said_again(world: World) -> None:
    opened = await world.open()
    await opened.room.post(say("work", "QA"))
    claim = await taken(opened)
    reply = say("a", "Coder", sender="QA")
    posted = await opened.room.post(reply)
    assert await opened.journal.commit(claim, REPLIED, [reply]) == [posted]
    assert await opened.inbox("Coder", "c").pending() == 1


async def test_a_commit_with_too_large_a_reply_leaves_the_turn_open(world: World) -> None:
    opened = await world.open()
    await opened.room.post(say("work", "QA"))
    claim = await taken(opened)
    with pytest.raises(MessageTooLarge):
        await opened.journal.commit(claim, REPLIED, [say("x" * MAX_MESSAGE_BYTES, sender="QA")])
    assert await taken(opened) == claim


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (StopReason.DONE, RoomState.DONE),
        (StopReason.AWAITING_INPUT, RoomState.AWAITING_INPUT),
        (StopReason.REPLIED, RoomState.RUNNING),
        (StopReason.FAILED, RoomState.RUNNING),
    ],
)
async def test_the_rooms_state_follows_the_outcome(world: World, reason: StopReason, state: RoomState) -> None:
    opened = await world.open()
    await opened.room.post(say("build", "QA", sender=USER))
    await opened.journal.commit(await taken(opened), Outcome(reason, "text", "detail"))
    control = await opened.control.read()
    assert control.state is state
    assert control.reason == ("" if state is RoomState.RUNNING else "detail")


async def test_the_users_word_that_waits_for_the_same_role_keeps_the_room_running(world: World) -> None:
    opened = await world.open()
    await opened.room.post(say("build", "Architect", sender=USER))
    claim = await taken(opened, "Architect")
    await opened.room.post(say("and a wiki", "Architect", sender=USER))
    await opened.journal.commit(claim, Outcome(StopReason.DONE))
    assert (await opened.control.read()).state is RoomState.RUNNING
    await opened.journal.commit(await taken(opened, "Architect"), Outcome(StopReason.DONE))
    assert (await opened.control.read()).state is RoomState.DONE


async def test_turns_of_roles_do_not_mix(world: World) -> None:
    opened = await world.open(LEASE)
    await opened.room.post(say("both", "QA", "Coder"))
    qa = await taken(opened, "QA")
    await asyncio.sleep(LEASE * 1.5)
    coder = await taken(opened, "Coder")
    assert qa.turn != coder.turn
    assert await opened.inbox("Coder", "one").pending() == 0
