"""The watch over the room itself: whether it is still the one this process began in."""

import structlog

from agents.domain.message import SYSTEM, Kind, Message
from agents.domain.mission import Control
from agents.domain.ports import OpenRoom
from agents.runtime.control import Switchboard

log = structlog.get_logger()


class Vigil:
    """Notices that the room is another one: its data went away (FLUSHALL, a Redis that keeps nothing, another one).

    Call `look` every few seconds.
    """

    def __init__(self, opened: OpenRoom, switchboard: Switchboard) -> None:
        self._opened = opened
        self._switchboard = switchboard
        self._known = Control()

    async def look(self) -> Message | None:
        """Remember the room, or give up what was under way in one that is gone and say so; return what was said."""
        if not self._known.born:
            self._known = await self._opened.control.found()
            return None
        now = await self._opened.control.read()
        if now.born == self._known.born:
            self._known = now
            return None
        log.error("the room's data is gone", known=self._known.born, found=now.born or "nothing")
        await self._switchboard.give_up()
        self._known = await self._opened.control.found(self._known)
        return await self._opened.room.post(
            Message(
                SYSTEM,
                "@User the room's data is gone: somebody wiped Redis, or it came back without what it held. The "
                "mission, the messages and the turns under way are lost. Nobody acts until you speak again; what the "
                "team did is in docs/execution_log_*.md.",
                Kind.SYSTEM,
                id=f"gone-{self._known.born}",  # however many processes notice it, it is said once
            )
        )
