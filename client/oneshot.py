"""`minilab run`: one objective, the team's activity, one answer, one exit code."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from agents.domain.errors import RoomUnavailable
from agents.domain.message import SYSTEM, Kind, Message
from agents.domain.mission import RoomState
from agents.domain.ports import OpenRoom
from agents.domain.turn import StopReason
from client.console.commands import Desk, say
from client.console.feed import Feed, live
from client.roster import Crew


class Exit(IntEnum):
    """Exit codes of `minilab run`."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    STOPPED = 3
    AWAITING_INPUT = 4


_BY_STATE = {
    RoomState.DONE: Exit.DONE,
    RoomState.STOPPED: Exit.STOPPED,
    RoomState.AWAITING_INPUT: Exit.AWAITING_INPUT,
}
_TROUBLE = {reason.value for reason in (StopReason.FAILED, StopReason.STEP_LIMIT)}
_FOR_THE_USER = {reason.value for reason in (StopReason.AWAITING_INPUT, StopReason.OVER_BUDGET)}
_POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Answer:
    """How it ended and what the team said last."""

    exit: Exit
    text: str


@dataclass
class _Ear:
    """Hears what those who answer the User say after the objective."""

    lead: tuple[str, ...]
    last: str = ""
    trouble: str = ""
    asked: bool = False
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    def heed(self, message: Message) -> None:
        if not self.asked:
            return
        ours = message.sender in self.lead
        if ours and message.kind is Kind.SAY:
            self.last, self.trouble = message.content, ""
        elif ours and message.kind is Kind.SYSTEM and message.data.get("outcome") in _TROUBLE:
            self.trouble = message.content  # nobody but the User is told of the lead's own failure
        elif message.sender == SYSTEM and message.data.get("outcome") in _FOR_THE_USER:
            self.last = message.content
        self.heard.set()


async def pursue(
    objective: str, opened: OpenRoom, crew: Callable[[], Crew], feed: Feed, over: asyncio.Future[str]
) -> Answer:
    """Say the objective and wait for the mission's end, the lead's failure, or the team's."""
    ear = _Ear(crew().roster.answers_user)
    feed.heed = ear.heed
    async with live(feed):
        desk = Desk(opened, crew, feed.show, _nobody)
        ear.asked = True
        await say(desk, objective)
        while True:
            if over.done():
                return Answer(Exit.FAILED, over.result())
            if ear.trouble:
                return Answer(Exit.FAILED, ear.trouble)
            if (exit_code := await _ended(opened)) is not None:
                await asyncio.sleep(0.1)  # the words that go with the state are on their way
                return Answer(exit_code, ear.last)
            ear.heard.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ear.heard.wait(), _POLL_SECONDS)


async def _ended(opened: OpenRoom) -> Exit | None:
    try:
        return _BY_STATE.get((await opened.control.read()).state)
    except RoomUnavailable:
        return None  # it may come back: the agents wait too


async def _nobody(question: str) -> bool:
    return False
