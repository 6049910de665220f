"""What waits for the User."""

from agents.domain.card import Card
from agents.domain.message import USER
from agents.domain.mission import RoomState
from agents.domain.ports import OpenRoom
from agents.domain.turn import StopReason
from client.text import one_line

_LOOK_BACK = 20  # said messages among which the question is looked for
_CHARS = 300
_QUESTIONS = {StopReason.AWAITING_INPUT.value, StopReason.OVER_BUDGET.value}


async def waiting(opened: OpenRoom) -> list[str]:
    """The team's question and the acts that need the User's leave, one a line."""
    lines: list[str] = []
    control = await opened.control.read()
    if control.state is RoomState.AWAITING_INPUT:
        said = reversed(await opened.room.said(_LOOK_BACK))
        asked = next((message.content for message in said if message.data.get("outcome") in _QUESTIONS), "")
        lines.append(f"waits for your answer: {one_line(asked or control.reason or 'see above', _CHARS)}")
    elif control.state is RoomState.PAUSED:
        lines.append("the room is paused; /resume lets it go on")
    for approval, card in await opened.approvals.open():
        if USER in approval.missing:
            lines.append(f"waits for your leave: [{approval.id}] {Card.of_json(card).headline()}; /approvals")
    return lines
