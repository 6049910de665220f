"""What the channel tells the agents of this process: wake up, stop, clear. Each STOP is answered with a receipt."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from agents.domain.message import Kind, Message
from agents.domain.ports import OpenRoom
from agents.runtime.listener import Agent

log = structlog.get_logger()
STOP = "stop"
CLEAR = "clear"


@dataclass(frozen=True, slots=True)
class Halted:
    """What was ended besides the turns: counts of process trees and hosted apps."""

    processes: int = 0
    apps: int = 0


class Switchboard:
    """Follows the room for all agents of a process. `halt_all` ends processes and hosted apps."""

    def __init__(self, opened: OpenRoom, agents: Sequence[Agent], halt_all: Callable[[], Awaitable[Halted]]) -> None:
        self._opened = opened
        self._agents = {agent.name: agent for agent in agents}
        self._halt_all = halt_all

    async def run(self) -> None:
        """Follow the room until cancelled."""
        async for message in self._opened.room.follow():
            if message.kind is Kind.CONTROL and message.data.get("action") in (STOP, CLEAR):
                await self._halt(message)
            elif not message.seq:
                log.warning("noise on the channel", what=message.content)
            for role in message.to:
                if agent := self._agents.get(role):
                    agent.wake()

    async def _halt(self, order: Message) -> None:
        """Stop everything here, and say for each agent what was stopped."""
        started = time.monotonic()
        cancelled = {name: await agent.halt() for name, agent in self._agents.items()}
        halted = await self._halt_all()
        elapsed = time.monotonic() - started
        for name, activity in cancelled.items():
            await self._opened.room.post(_receipt(name, activity, halted, elapsed, order))
            halted = Halted()  # what the agents of a process share is said once


def _receipt(role: str, activity: str | None, halted: Halted, seconds: float, order: Message) -> Message:
    what = f"cancelled: {activity}" if activity else "was idle"
    leftovers = [f"{halted.processes} process trees killed"] * bool(halted.processes)
    leftovers += [f"{halted.apps} hosted apps ended"] * bool(halted.apps)
    text = f"{role} stopped ({what}) in {seconds * 1000:.0f} ms" + "".join(f"; {part}" for part in leftovers)
    receipt = {
        "role": role,
        "cancelled": activity,
        "processes": halted.processes,
        "apps": halted.apps,
        "seconds": round(seconds, 4),
    }
    return Message(
        sender=role,
        content=text,
        kind=Kind.CONTROL,
        reply_to=order.id,
        data={"receipt": receipt},
        id=f"{order.id}-{role}",
    )
