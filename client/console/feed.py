"""The live conversation: every event of the room to the log and to the screen, in order."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

from rich.text import Text

from agents.domain.errors import MalformedMessage, RoomUnavailable
from agents.domain.message import Message
from agents.domain.ports import OpenRoom, Redactor
from client.console import view
from client.conversation import ConversationLog

CATCH_UP = 20  # said messages shown to somebody who joins
SINCE = 10  # and of what happened since the last of them


@dataclass
class Feed:
    """Shows and logs what happens in `opened`. `heed` sees each live message too."""

    opened: OpenRoom
    redactor: Redactor
    log: ConversationLog
    show: Callable[[Text], None]
    heed: Callable[[Message], None] = lambda message: None

    async def position(self) -> str:
        """Show what was said last and what happened since; return the log position from which to follow."""
        said = await self.opened.room.said(CATCH_UP)
        after = said[-1].seq if said else "0"
        since: deque[Message] = deque(maxlen=SINCE)
        with contextlib.suppress(MalformedMessage):  # `follow` names it and goes on
            while page := await self.opened.room.events(after):
                since.extend(page)
                after = page[-1].seq
        if said or since:
            self.show(view.notice("earlier", "dim"))
        for message in (*said, *since):
            self._take(message)
        return after

    async def run(self, after: str) -> None:
        """Follow until cancelled; an outage is said once and waited out."""
        gone = False
        while True:
            try:
                async for message in self.opened.room.follow(after):
                    after, gone = message.seq or after, False  # what isn't the room's has no place in it
                    self._take(message)
                    self.heed(message)
            except RoomUnavailable as error:
                if not gone:
                    self.show(view.notice(f"{error}; waiting for it, nothing is lost"))
                gone = True

    def _take(self, message: Message) -> None:
        self.log.write(message)
        self.show(view.render(replace(message, content=self.redactor.text(message.content))))


@contextlib.asynccontextmanager
async def live(feed: Feed) -> AsyncIterator[asyncio.Task[None]]:
    """The feed at work for as long as the block runs."""
    task = asyncio.create_task(feed.run(await feed.position()), name="feed")

    def lost(ended: asyncio.Task[None]) -> None:
        if not ended.cancelled() and (error := ended.exception()):
            feed.show(view.notice(f"the room can't be followed any more ({error}); leave and come back"))

    task.add_done_callback(lost)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        feed.log.close()


async def look(opened: OpenRoom) -> view.Glance:
    """The toolbar's facts, now."""
    try:
        control = await opened.control.read()
        present = await opened.presence.present()
        spending = await opened.governor().spent()
        return view.glance(control.state, control.reason, present, await opened.mission.read(), spending)
    except RoomUnavailable as error:
        return view.Glance(trouble=f"{error}; waiting for it")
