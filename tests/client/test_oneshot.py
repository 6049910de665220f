"""`minilab run`: when it is over, and how."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agents.domain.errors import RoomUnavailable
from agents.domain.message import Kind, Message
from agents.domain.mission import RoomState
from agents.domain.redaction import SecretMask
from agents.domain.turn import StopReason
from agents.room.in_memory import InMemoryRoom
from client.console.feed import Feed
from client.conversation import ConversationLog
from client.oneshot import Answer, Exit, pursue
from client.roster import read_crew
from tests.support.desk import Shown


class _Run:
    """One run over an in-memory room."""

    def __init__(self, prompts: Path, opened: Any = None) -> None:
        self.room = InMemoryRoom("lab")
        self.shown = Shown()
        mask = SecretMask()
        feed = Feed(
            self.room, mask, ConversationLog(prompts / "logs", mask, self.shown.lines.append), self.shown.show
        )
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(
            pursue("publish it", opened or self.room, lambda: read_crew(prompts), feed, self.over)
        )

    async def asked(self) -> None:
        """The objective has been said."""
        async with asyncio.timeout(10):
            while "publish it" not in self.shown.text:
                await asyncio.sleep(0.01)

    async def answer(self) -> Answer:
        """How it ended."""
        async with asyncio.timeout(10):
            return await self.task

    async def says(
        self, sender: str, text: str, reason: StopReason = StopReason.REPLIED, kind: Kind = Kind.SAY
    ) -> None:
        """A role's words, with its turn's outcome."""
        await self.room.room.post(Message(sender, text, kind, data={"outcome": reason.value}))


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (RoomState.DONE, Exit.DONE),
        (RoomState.AWAITING_INPUT, Exit.AWAITING_INPUT),
        (RoomState.STOPPED, Exit.STOPPED),
    ],
)
async def test_the_rooms_state_ends_it_and_the_leads_last_words_are_the_answer(
    prompts: Path, state: RoomState, code: Exit
) -> None:
    run = _Run(prompts)
    await run.asked()
    await run.says("Architect", "first the plan")
    await run.room.control.set_state(state)
    await run.says("Architect", "the answer")
    await run.says("QA", "thanks")
    assert await run.answer() == Answer(code, "the answer")
    assert "thanks" in run.shown.text


async def test_the_state_of_an_earlier_mission_ends_nothing(prompts: Path) -> None:
    run = _Run(prompts)
    await run.room.control.set_state(RoomState.DONE)
    await run.asked()
    await asyncio.sleep(0.2)
    assert not run.task.done()
    await run.room.control.set_state(RoomState.DONE)
    assert (await run.answer()).exit is Exit.DONE


@pytest.mark.parametrize("reason", [StopReason.FAILED, StopReason.STEP_LIMIT])
async def test_the_leads_trouble_is_failure(prompts: Path, reason: StopReason) -> None:
    run = _Run(prompts)
    await run.asked()
    await run.says("Architect", "Architect's turn ended: 401", reason, Kind.SYSTEM)
    assert await run.answer() == Answer(Exit.FAILED, "Architect's turn ended: 401")


async def test_anothers_trouble_is_the_leads_to_mend(prompts: Path) -> None:
    run = _Run(prompts)
    await run.asked()
    await run.says("DevOps", "DevOps's turn ended: failed", StopReason.FAILED, Kind.SYSTEM)
    await asyncio.sleep(0.2)
    assert not run.task.done()
    await run.says("System", "@User the team fell silent", StopReason.AWAITING_INPUT, Kind.SYSTEM)
    await run.room.control.set_state(RoomState.AWAITING_INPUT)
    assert await run.answer() == Answer(Exit.AWAITING_INPUT, "@User the team fell silent")


async def test_a_spent_budget_is_a_question_to_the_user_and_its_report_the_answer(prompts: Path) -> None:
    run = _Run(prompts)
    await run.asked()
    await run.says("System", "@User the team stopped: who spent what", StopReason.OVER_BUDGET, Kind.SYSTEM)
    await run.says("Architect", "Architect's turn ended: over budget", StopReason.OVER_BUDGET, Kind.SYSTEM)
    await run.room.control.set_state(RoomState.AWAITING_INPUT)
    assert await run.answer() == Answer(Exit.AWAITING_INPUT, "@User the team stopped: who spent what")


async def test_the_end_of_the_team_is_failure(prompts: Path) -> None:
    run = _Run(prompts)
    await run.asked()
    run.over.set_result("it died")
    assert await run.answer() == Answer(Exit.FAILED, "it died")


async def test_an_outage_is_waited_out(prompts: Path) -> None:
    class Outage:
        """The room with a control board that is away for a while."""

        def __init__(self) -> None:
            self.inner: InMemoryRoom | None = None
            self.left = 2

        def __getattr__(self, name: str) -> Any:
            if name == "control" and self.left:
                self.left -= 1
                raise RoomUnavailable("gone")
            return getattr(self.inner, name)

    outage = Outage()
    run = _Run(prompts, outage)
    outage.inner = run.room
    await run.asked()
    await run.room.control.set_state(RoomState.DONE)
    assert (await run.answer()).exit is Exit.DONE
    assert outage.left == 0
