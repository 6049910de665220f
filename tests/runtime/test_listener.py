"""Agents answer what is addressed to them: once, in one turn, whatever happens in it."""

import asyncio

import pytest

from agents.domain.errors import ModelUnavailable
from agents.domain.message import Kind
from agents.domain.mission import RoomState
from agents.domain.role import Role
from agents.domain.turn import Claim, Effect, EntryKind, JournalEntry, Outcome, StopReason
from agents.runtime.listener import REPLY_CHARS, Halt
from tests.runtime.conftest import Stage, says


async def test_an_addressed_message_is_answered(stage: Stage) -> None:
    stage.agent("Coder", lambda role, claim: says("Written."))
    asked = await stage.say("write it", "Coder", sender="Architect")
    answer = await stage.until("Written.")
    assert (answer.sender, answer.to, answer.reply_to) == ("Coder", ("Architect",), asked.id)


async def test_messages_for_others_are_left_alone(stage: Stage) -> None:
    stage.agent("Coder", lambda role, claim: says("Written."))
    await stage.say("write it", "QA")
    await stage.say("now you", "Coder")
    await stage.until("Written.")
    assert [delivery.message.content for delivery in stage.claims[0].deliveries] == ["now you"]
    assert len(stage.claims) == 1


async def test_messages_that_arrive_during_a_turn_become_one_next_turn(stage: Stage) -> None:
    going = asyncio.Event()

    async def slowly(role: Role, claim: Claim) -> Outcome:
        await going.wait()
        return Outcome(StopReason.REPLIED, f"answer to {len(claim.deliveries)}")

    stage.agent("Coder", slowly)
    await stage.say("one", "Coder")
    while not stage.claims:
        await asyncio.sleep(0.01)
    await stage.say("two", "Coder")
    await stage.say("three", "Coder")
    going.set()
    await stage.until("answer to 1")
    await stage.until("answer to 2")
    assert [[d.message.content for d in claim.deliveries] for claim in stage.claims] == [["one"], ["two", "three"]]


async def test_two_workers_of_a_role_answer_each_message_once(stage: Stage) -> None:
    async def answer(role: Role, claim: Claim) -> Outcome:
        await asyncio.sleep(0.005)
        return Outcome(StopReason.REPLIED, " ".join(d.message.content for d in claim.deliveries))

    stage.agent("Coder", answer, "first")
    stage.agent("Coder", answer, "second")
    for number in range(30):
        await stage.say(f"m{number}.", "Coder")
        await asyncio.sleep(0.002)
    async with asyncio.timeout(10):
        while len(answered := await _answers(stage)) < 30:
            await asyncio.sleep(0.01)
    assert sorted(answered) == sorted(f"m{number}." for number in range(30))


async def _answers(stage: Stage) -> list[str]:
    said = await stage.opened.room.said(200)
    return [word for message in said if message.sender == "Coder" for word in message.content.split()]


@pytest.mark.parametrize("fault", [ModelUnavailable("endpoint https://x is down"), ZeroDivisionError("bug")])
async def test_a_failed_turn_is_told_the_architect_alone_and_the_agent_stays_up(
    stage: Stage, fault: Exception
) -> None:
    faults = [fault]

    async def fail_once(role: Role, claim: Claim) -> Outcome:
        if faults:
            raise faults.pop()
        return Outcome(StopReason.REPLIED, "I'm back")

    stage.agent("Coder", fail_once)
    await stage.say("write", "Coder")
    report = await stage.until("Coder's turn ended: failed")
    assert (report.kind, report.to) == (Kind.SYSTEM, ("Architect",))
    assert ("endpoint https://x is down" in report.content) == isinstance(fault, ModelUnavailable)
    await stage.say("again", "Coder")
    await stage.until("I'm back")


async def test_secrets_are_masked_and_endless_replies_cut(stage: Stage) -> None:
    stage.agent("Coder", lambda role, claim: says("use pass-phrase-1 " + "x" * REPLY_CHARS))
    await stage.say("how?", "Coder")
    answer = await stage.until("cut off")
    assert "pass-phrase-1" not in answer.content
    assert len(answer.content) < REPLY_CHARS + 100


async def test_done_sets_the_room_s_state(stage: Stage) -> None:
    stage.agent("Architect", lambda role, claim: says("It answers.", StopReason.DONE))
    await stage.say("publish", "Architect")
    await stage.until("It answers.")
    assert (await stage.opened.control.read()).state is RoomState.DONE


async def test_halting_cancels_the_turn_and_closes_it(stage: Stage) -> None:
    cancelled = asyncio.Event()

    async def forever(role: Role, claim: Claim) -> Outcome:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        raise AssertionError

    agent = stage.agent("Coder", forever)
    assert await agent.halt(before=1) is None
    await stage.say("work", "Coder")
    while not agent.busy:
        await asyncio.sleep(0.01)
    assert agent.presence().state in ("reading", "thinking", "idle")
    await asyncio.sleep(0.05)
    assert await agent.halt(before=0) is None, "of the epoch that is in force"
    assert await agent.halt() is None, "nobody took it from us"
    assert await agent.halt(before=1) == Halt("thinking")
    assert cancelled.is_set()
    await asyncio.sleep(0.1)
    assert len(stage.claims) == 1, "a halted turn isn't taken up again"


async def test_a_cancelled_worker_leaves_its_turn_to_the_next_one(stage: Stage) -> None:
    async def forever(role: Role, claim: Claim) -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError

    stage.agent("Coder", forever, "same")
    await stage.say("work", "Coder")
    while not stage.claims:
        await asyncio.sleep(0.01)
    stage.tasks[0].cancel()
    await asyncio.gather(stage.tasks[0], return_exceptions=True)
    stage.agent("Coder", lambda role, claim: says("taken up"), "same")
    await stage.until("taken up")
    assert stage.claims[0].turn == stage.claims[1].turn


async def dying(stage: Stage, times: int, *entries: JournalEntry) -> None:
    """A turn over which that many workers died."""
    for number in range(times):
        dead = stage.opened.reopened()
        claim = await dead.inbox("Coder", f"dead-{number}").claim()
        assert claim
        if not number:
            await dead.journal.record(claim, entries)
        next(iter(stage.opened._store.turns.values())).till = 0.0


async def test_a_turn_that_keeps_killing_its_workers_is_parked_and_the_lead_is_told(stage: Stage) -> None:
    await stage.say("write\nit", "Coder")
    intent = JournalEntry(EntryKind.INTENT, 2, {"name": "run_ansible", "args": {"playbook": "x"}}, "c", Effect.MUTATE)
    await dying(stage, 3, JournalEntry(EntryKind.REPLY, 2, {}), intent)
    stage.agent("Coder", lambda role, claim: says("never thought"))
    report = await stage.until("parked")
    assert report.to == ("Architect",)
    assert "died 3 times over it, the last time at step 2, after intent run_ansible" in report.content
    assert "(from @User): write it" in report.content
    unseen = await stage.until("nobody saw")
    assert (unseen.sender, unseen.to) == ("System", ())
    assert 'run_ansible({"playbook": "x"})' in unseen.content
    assert stage.claims == []
    assert await stage.opened.inbox("Coder", "late").claim() is None


async def test_a_turn_that_killed_two_workers_is_tried_again(stage: Stage) -> None:
    await stage.say("write", "Coder")
    await dying(stage, 2)
    stage.agent("Coder", lambda role, claim: says(f"attempt {claim.attempt}"))
    await stage.until("attempt 3")


async def test_a_parked_turn_of_the_lead_is_told_to_the_user_alone(stage: Stage) -> None:
    await stage.say("plan", "Architect")
    for number in range(3):
        assert await stage.opened.reopened().inbox("Architect", f"dead-{number}").claim()
        next(iter(stage.opened._store.turns.values())).till = 0.0
    stage.agent("Architect", lambda role, claim: says("never thought"))
    report = await stage.until("parked")
    assert (report.sender, report.to) == ("Architect", ())
    assert "at its start" in report.content


async def test_an_orderly_end_hands_the_turn_back_and_counts_as_no_death(stage: Stage) -> None:
    async def forever(role: Role, claim: Claim) -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError

    for number in range(5):
        stage.agent("Coder", forever, f"consumer-{number}")
        if not number:
            await stage.say("work", "Coder")
        async with asyncio.timeout(5):
            while len(stage.claims) <= number:
                await asyncio.sleep(0.01)
        stage.tasks[number].cancel()
        await asyncio.gather(stage.tasks[number], return_exceptions=True)
    stage.agent("Coder", lambda role, claim: says("taken up"), "last")
    await stage.until("taken up")
    assert {claim.attempt for claim in stage.claims} == {1}
    assert len({claim.turn for claim in stage.claims}) == 1
