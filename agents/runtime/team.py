"""The agents of one process: their listeners, the switchboard, heartbeats and the watch over silence."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

import structlog

from agents.domain.errors import RoomError
from agents.domain.message import SYSTEM, Kind, Message
from agents.domain.ports import OpenRoom, Redactor
from agents.runtime.control import Switchboard
from agents.runtime.convergence import Convergence
from agents.runtime.listener import Agent
from agents.runtime.vigil import Vigil
from agents.telemetry.pulse import Pulse

log = structlog.get_logger()
HEARTBEAT = 3.0


class Notices:
    """Lines the runtime says to everybody; they wake nobody. `say` may be called from anywhere in the event loop."""

    def __init__(self, opened: OpenRoom, redactor: Redactor) -> None:
        self._opened = opened
        self._redactor = redactor
        self._queue: asyncio.Queue[str] = asyncio.Queue(maxsize=100)

    def say(self, text: str) -> None:
        """Queue a notice; over a hundred unsaid ones are only logged."""
        log.warning("notice", text=text)
        with contextlib.suppress(asyncio.QueueFull):
            self._queue.put_nowait(self._redactor.text(text))

    async def run(self) -> None:
        """Post the queued notices until cancelled."""
        while True:
            text = await self._queue.get()
            await self._opened.room.post(Message(SYSTEM, text, Kind.SYSTEM))


class Team:
    """Runs the agents until cancelled, then lets go of everything they started."""

    def __init__(
        self,
        opened: OpenRoom,
        agents: Sequence[Agent],
        switchboard: Switchboard,
        notices: Notices,
        vigil: Vigil,
        convergence: Convergence | None,
        close: Callable[[], Awaitable[None]],
        pulse: Pulse,
    ) -> None:
        self._opened = opened
        self._agents = agents
        self._switchboard = switchboard
        self._notices = notices
        self._vigil = vigil
        self._convergence = convergence
        self._close = close
        self._pulse = pulse

    async def run(self) -> None:
        """Work until cancelled; a part that dies of a bug takes the process down, loudly."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._switchboard.run(), name="switchboard")
                group.create_task(self._notices.run(), name="notices")
                group.create_task(self._beat(), name="heartbeat")
                group.create_task(_watch(self._vigil), name="vigil")
                if self._convergence:
                    group.create_task(_watch(self._convergence), name="convergence")
                for agent in self._agents:
                    group.create_task(agent.run(), name=agent.name)
        finally:
            await self._leave()

    async def _beat(self) -> None:
        while True:
            for agent in self._agents:
                with contextlib.suppress(RoomError):
                    await self._opened.presence.beat(agent.presence())
                    self._pulse.mark(agent.name)
            await asyncio.sleep(HEARTBEAT)

    async def _leave(self) -> None:
        """End processes and apps; say good-bye if Redis still listens."""
        await self._close()
        with contextlib.suppress(RoomError, TimeoutError):
            async with asyncio.timeout(2):
                for agent in self._agents:
                    self._pulse.forget(agent.name)
                    await self._opened.presence.leave(agent.consumer)
        await self._opened.aclose()


async def _watch(eye: Vigil | Convergence) -> None:
    """Look every few seconds until cancelled; an outage is waited out."""
    while True:
        with contextlib.suppress(RoomError):
            await eye.look()
        await asyncio.sleep(HEARTBEAT)
