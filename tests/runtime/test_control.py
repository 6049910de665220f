"""STOP and CLEAR reach every agent, and each answers with a receipt."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from agents.domain.message import USER, Kind, Message
from agents.domain.mission import RoomState
from agents.domain.role import Role
from agents.domain.turn import Claim, Outcome, StopReason
from agents.runtime import control, listener
from agents.runtime.control import CLEAR, RESUME, STOP, Halted, Switchboard
from agents.runtime.listener import Agent
from tests.runtime.conftest import Stage, says


async def forever(role: Role, claim: Claim) -> Outcome:
    await asyncio.Event().wait()
    raise AssertionError


def order(action: str) -> Message:
    return Message(USER, action.upper(), Kind.CONTROL, data={"action": action})


async def receipts(stage: Stage, order: Message) -> dict[str, dict[str, object]]:
    found = [m for m in await stage.opened.room.events() if m.reply_to == order.id]
    return {message.sender: dict(message.data["receipt"]) for message in found}


async def test_stop_cancels_turns_and_collects_receipts(stage: Stage) -> None:
    halted = 0

    async def halt_all(role: str | None) -> Halted:
        nonlocal halted
        halted += 1
        return Halted(processes=2, apps=1)

    coder, qa = stage.agent("Coder", forever), stage.agent("QA", lambda role, claim: says("probed"))
    stage.tasks.append(asyncio.create_task(Switchboard(stage.opened, [coder, qa], halt_all).run()))
    await stage.say("work", "Coder")
    while not stage.claims:
        await asyncio.sleep(0.01)
    stop = order(STOP)
    assert (await stage.opened.control.stop(stop)).state is RoomState.STOPPED
    async with asyncio.timeout(5):
        while len(await receipts(stage, stop)) < 2:
            await asyncio.sleep(0.01)
    found = await receipts(stage, stop)
    assert found["Coder"]["cancelled"] == "thinking"
    assert found["QA"]["cancelled"] is None
    assert (found["Coder"]["processes"], found["Coder"]["apps"], halted) == (2, 1, 1)
    assert (found["QA"]["processes"], found["QA"]["apps"]) == (0, 0)
    assert not coder.busy


async def test_a_new_word_of_the_user_starts_the_team_again(stage: Stage) -> None:
    coder = stage.agent("Coder", lambda role, claim: says("again at work"))

    stage.tasks.append(asyncio.create_task(Switchboard(stage.opened, [coder], halts_nothing).run()))
    await stage.opened.control.stop(order(STOP))
    await stage.say("go on", "Coder")
    await stage.until("again at work")
    assert (await stage.opened.control.read()).state is RoomState.RUNNING


async def test_clear_also_wipes_what_was_said_and_the_mission(stage: Stage) -> None:
    coder = stage.agent("Coder", forever)

    stage.tasks.append(asyncio.create_task(Switchboard(stage.opened, [coder], halts_nothing).run()))
    await stage.say("work", "Coder")
    while not stage.claims:
        await asyncio.sleep(0.01)
    clear = order(CLEAR)
    await stage.opened.control.clear(clear)
    async with asyncio.timeout(5):
        while not await receipts(stage, clear):
            await asyncio.sleep(0.01)
    assert await stage.opened.room.said(10) == []
    assert (await stage.opened.mission.read()).requests == ()
    assert not coder.busy


async def halts_nothing(role: str | None) -> Halted:
    return Halted()


async def at_work(stage: Stage, agent: Agent) -> None:
    """Wait until the agent thinks."""
    async with asyncio.timeout(5):
        while agent.presence().state != "thinking":
            await asyncio.sleep(0.01)


async def test_one_role_is_stopped_and_the_others_go_on(stage: Stage) -> None:
    asked: list[str | None] = []

    async def halt(role: str | None) -> Halted:
        asked.append(role)
        return Halted(apps=1)

    coder, qa = stage.agent("Coder", forever), stage.agent("QA", forever)
    stage.tasks.append(asyncio.create_task(Switchboard(stage.opened, [coder, qa], halt).run()))
    await stage.say("work", "Coder", "QA")
    await at_work(stage, coder)
    await at_work(stage, qa)
    stop = Message(USER, "STOP @Coder", Kind.CONTROL, data={"action": STOP, "role": "Coder"})
    assert await stage.opened.control.stop_role("Coder", stop) == 1
    async with asyncio.timeout(5):
        while not (found := await receipts(stage, stop)):
            await asyncio.sleep(0.01)
    assert (found["Coder"]["cancelled"], found["Coder"]["apps"], asked) == ("thinking", 1, ["Coder"])
    assert list(found) == ["Coder"]
    assert (coder.busy, qa.busy) == (False, True)
    await stage.say("again", "Coder")
    await at_work(stage, coder)


async def test_a_stop_that_is_heard_late_spares_what_was_begun_since(stage: Stage) -> None:
    coder = stage.agent("Coder", forever)
    await stage.opened.control.stop(stop := order(STOP))
    await stage.say("new work", "Coder")
    await at_work(stage, coder)
    switchboard = Switchboard(stage.opened, [coder], halts_nothing)
    [heard] = [event for event in await stage.opened.room.events() if event.id == stop.id]
    await switchboard._obey(heard)
    assert coder.busy
    assert (await receipts(stage, stop))["Coder"]["cancelled"] is None
    await switchboard._obey(replace(heard, id="later", epoch=heard.epoch + 1))
    assert not coder.busy, "a later one ends it"


async def test_the_receipt_says_what_could_not_be_stopped(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (control, listener):
        monkeypatch.setattr(module, "HALT_SECONDS", 0.05)
    free = asyncio.Event()

    async def stubborn(role: Role, claim: Claim) -> Outcome:
        while not free.is_set():
            with suppress(asyncio.CancelledError):
                await free.wait()
        return Outcome(StopReason.REPLIED, "at last")

    async def slow(role: str | None) -> Halted:
        await free.wait()
        return Halted()

    async def rough(role: str | None) -> Halted:
        return Halted(remote=2, left=("node-1: process 77",))

    coder = stage.agent("Coder", stubborn)
    await stage.say("work", "Coder")
    await at_work(stage, coder)
    for number, halt in enumerate((slow, rough)):
        stop = order(STOP)
        await stage.opened.control.stop(stop)
        [heard] = [event for event in await stage.opened.room.events() if event.id == stop.id]
        await Switchboard(stage.opened, [coder], halt)._obey(heard)
        receipt = (await receipts(stage, stop))["Coder"]
        assert receipt["left"] == [
            "the turn (thinking) is still ending",
            ("processes and remote commands are still ending", "node-1: process 77")[number],
        ]
        [said] = [event.content for event in await stage.opened.room.events() if event.reply_to == stop.id]
        assert "NOT STOPPED: the turn (thinking) is still ending" in said
        assert ("2 remote commands ended" in said) == bool(number)
    free.set()


async def test_resuming_wakes_everybody(stage: Stage) -> None:
    coder = stage.agent("Coder", lambda role, claim: says("went on"))
    stage.tasks.append(asyncio.create_task(Switchboard(stage.opened, [coder], halts_nothing).run()))
    await stage.opened.control.pause(Message(USER, "PAUSE", Kind.CONTROL, data={"action": "pause"}))
    await stage.say("work", "Coder")
    await asyncio.sleep(0.1)
    assert stage.claims == []
    await stage.opened.control.resume(Message(USER, "RESUME", Kind.CONTROL, data={"action": RESUME}))
    await stage.until("went on")
