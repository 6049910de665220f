"""STOP and CLEAR reach every agent, and each answers with a receipt."""

import asyncio

from agents.domain.message import USER, Kind, Message
from agents.domain.mission import RoomState
from agents.domain.role import Role
from agents.domain.turn import Claim, Outcome
from agents.runtime.control import CLEAR, STOP, Halted, Switchboard
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

    async def halt_all() -> Halted:
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

    async def halt_all() -> Halted:
        return Halted()

    stage.tasks.append(asyncio.create_task(Switchboard(stage.opened, [coder], halt_all).run()))
    await stage.opened.control.stop(order(STOP))
    await stage.say("go on", "Coder")
    await stage.until("again at work")
    assert (await stage.opened.control.read()).state is RoomState.RUNNING


async def test_clear_also_wipes_what_was_said_and_the_mission(stage: Stage) -> None:
    coder = stage.agent("Coder", forever)

    async def halt_all() -> Halted:
        return Halted()

    stage.tasks.append(asyncio.create_task(Switchboard(stage.opened, [coder], halt_all).run()))
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
