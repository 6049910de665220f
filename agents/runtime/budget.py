"""What the room hears of its spending: the lead at 80 % of a cap, everybody when it is reached. Each is said once."""

from agents.domain.message import SYSTEM, Kind, Message
from agents.domain.mission import RoomState
from agents.domain.ports import Governor, OpenRoom
from agents.domain.turn import StopReason


class BudgetAlarm:
    """Says it in `opened`. `lead` is the role that plans; None where there is none."""

    def __init__(self, opened: OpenRoom, governor: Governor, lead: str | None) -> None:
        self._opened = opened
        self._governor = governor
        self._lead = lead

    async def high(self) -> None:
        """Tell the lead. An id of the caps' own: however many tell it, it is said once."""
        spending = await self._governor.spent()
        to = (self._lead,) if self._lead else ()
        text = (
            f"{f'@{self._lead} ' if self._lead else ''}80 % of this room's budget of {spending.cap} are spent: "
            f"{spending.total.line()}. At 100 % nobody can go on. Bring the mission to an end with what is left, or "
            "tell the User what more it would take."
        )
        mark = f"budget-high-{spending.cap_nano}-{spending.cap_tokens}"
        await self._opened.room.post(Message(SYSTEM, text, Kind.SYSTEM, to=to, id=mark))
        await self._governor.told()

    async def over(self, why: str) -> None:
        """Put the room to rest and report who spent what. The id is of the figures: said again once they changed."""
        spending = await self._governor.spent()
        total = spending.total
        await self._opened.control.set_state(RoomState.AWAITING_INPUT, "over budget")
        await self._opened.room.post(
            Message(
                SYSTEM,
                f"@User the team stopped: {why}.\nWho spent what:\n{spending.report()}",
                Kind.SYSTEM,
                id=f"budget-over-{spending.cap_nano}-{spending.cap_tokens}-{total.calls}",
                data={"outcome": StopReason.OVER_BUDGET.value},
            )
        )
