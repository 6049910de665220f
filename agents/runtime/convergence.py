"""Keeps a mission moving: a team that fell silent is nudged, an unanswered question gets its default."""

import re
import time
from dataclasses import dataclass, field

from agents.domain.message import SYSTEM, USER, Kind, Message
from agents.domain.mission import Mission, RoomState, report
from agents.domain.ports import OpenRoom
from agents.domain.turn import StopReason

_DEFAULT = re.compile(r"^Default, taken in ([\d.]+) minutes if you don't answer: (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long silence may last, seconds, and how often the team is nudged before the User is asked."""

    silence: float = 30.0
    nudges: int = 3


@dataclass
class Convergence:
    """Watches one room. Call `look` every few seconds from the process of the role that answers the User."""

    opened: OpenRoom
    lead: str
    patience: Patience = field(default_factory=Patience)
    _quiet_since: float | None = None
    _nudged: int = 0
    _mission: str = ""

    async def look(self) -> Message | None:
        """Nudge, take a default, or do nothing; return what was posted."""
        control = await self.opened.control.read()
        if control.state is RoomState.AWAITING_INPUT:
            return await self._overdue_default(control.now)
        if control.state is not RoomState.RUNNING or await self._anybody_busy():
            self._quiet_since = None
            return None
        now = time.monotonic()
        if self._quiet_since is None:
            self._quiet_since = now
        if now - self._quiet_since < self.patience.silence:
            return None
        self._quiet_since = now
        mission = await self.opened.mission.read()
        if mission.only_talk and _answered(await self.opened.room.said(20)):
            await self.opened.control.set_state(RoomState.DONE, "answered")
            return None
        return await self._nudge(mission)

    async def _anybody_busy(self) -> bool:
        if any(presence.state != "idle" for presence in await self.opened.presence.present()):
            return True
        return await self.opened.inbox(self.lead, "convergence").pending() > 0

    async def _nudge(self, mission: Mission) -> Message:
        key = mission.requests[-1].message_id if mission.requests else ""
        if key != self._mission:
            self._mission, self._nudged = key, 0
        self._nudged += 1
        if self._nudged > self.patience.nudges:
            await self.opened.control.set_state(RoomState.AWAITING_INPUT, "the team fell silent")
            return await self.opened.room.post(
                Message(
                    sender=SYSTEM,
                    content=f"@User the team fell silent {self.patience.nudges} times without finishing. "
                    "Say what to do next, or CLEAR to begin anew.",
                    kind=Kind.SYSTEM,
                    data={"outcome": StopReason.AWAITING_INPUT.value},
                )
            )
        return await self.opened.room.post(
            Message(
                sender=SYSTEM,
                content=f"@{self.lead} nobody is at work and the mission isn't finished. Delegate the next step, "
                f"finish, or ask_user. Checks:\n{report(mission.checks) or 'none proposed yet'}",
                kind=Kind.SYSTEM,
                to=(self.lead,),
            )
        )

    async def _overdue_default(self, now: float) -> Message | None:
        """The default of the last question, once its time is over."""
        question = _last_question(await self.opened.room.said(20), now)
        if question is None:
            return None
        minutes, default = question
        if minutes > 0:
            return None
        await self.opened.control.set_state(RoomState.RUNNING, "default taken")
        return await self.opened.room.post(
            Message(
                sender=SYSTEM,
                content=f"@{self.lead} the User didn't answer in time; the default is taken: {default}",
                kind=Kind.SYSTEM,
                to=(self.lead,),
            )
        )


def _answered(said: list[Message]) -> bool:
    """Whether the last word is an agent's that waits for nobody."""
    spoken = [message for message in said if message.kind is Kind.SAY]
    return bool(spoken) and spoken[-1].sender != USER and not spoken[-1].to


def _last_question(said: list[Message], now: float) -> tuple[float, str] | None:
    """(minutes left, default) of the question that is open, None if none is. Both times are the server's."""
    for message in reversed(said):
        if message.sender == USER or message.data.get("outcome") == StopReason.OVER_BUDGET.value:
            return None
        match = _DEFAULT.search(message.content)
        if match and message.data.get("outcome") == StopReason.AWAITING_INPUT.value:
            asked = int(message.seq.partition("-")[0]) / 1000
            return float(match[1]) - (now - asked) / 60, match[2]
    return None
