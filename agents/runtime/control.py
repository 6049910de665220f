"""What the channel tells the agents of this process: wake up, stop, clear. Each STOP is answered with a receipt."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from agents.domain.message import Kind, Message
from agents.domain.ports import OpenRoom
from agents.runtime.listener import HALT_SECONDS, Agent, Halt

log = structlog.get_logger()
STOP = "stop"
CLEAR = "clear"
RESUME = "resume"


@dataclass(frozen=True, slots=True)
class Halted:
    """What was ended besides the turns: process trees, hosted apps, remote commands. `left`: what could not be."""

    processes: int = 0
    apps: int = 0
    remote: int = 0
    left: tuple[str, ...] = ()


HaltAll = Callable[[str | None], Awaitable[Halted]]
"""Ends what runs in this process: all of it, or what a role serves."""


class Switchboard:
    """Follows the room for all agents of a process. `halt_all` ends processes, hosted apps and remote commands.

    `hear` is told of each control message, besides.
    """

    def __init__(
        self,
        opened: OpenRoom,
        agents: Sequence[Agent],
        halt_all: HaltAll,
        hear: Callable[[Message], None] = lambda message: None,
    ) -> None:
        self._opened = opened
        self._agents = {agent.name: agent for agent in agents}
        self._halt_all = halt_all
        self._hear = hear
        self._ending: set[asyncio.Future[Halted]] = set()

    async def run(self) -> None:
        """Follow the room until cancelled."""
        async for message in self._opened.room.follow():
            if message.kind is Kind.CONTROL:
                self._hear(message)
                await self._obey(message)
            elif not message.seq:
                log.warning("noise on the channel", what=message.content)
            for role in message.to:
                if agent := self._agents.get(role):
                    agent.wake()

    async def give_up(self) -> None:
        """End everything here: the room it was for is gone."""
        await asyncio.gather(*(agent.halt() for agent in self._agents.values()))
        await self._halt_all(None)

    async def _obey(self, message: Message) -> None:
        action, role = message.data.get("action"), message.data.get("role")
        if action == RESUME:
            for agent in self._agents.values():
                agent.wake()
        elif action == STOP and role is not None:
            if stopped := self._agents.get(str(role)):
                await self._halt(message, {stopped.name: stopped}, None, str(role))
        elif action in (STOP, CLEAR):
            # one that is heard late must not end what the User has begun since
            await self._halt(message, self._agents, message.epoch, None)

    async def _halt(self, order: Message, agents: dict[str, Agent], before: int | None, role: str | None) -> None:
        """Stop what runs here, and say for each agent what was stopped."""
        started = time.monotonic()
        names = list(agents)
        turns, halted = await asyncio.gather(
            asyncio.gather(*(agents[name].halt(before) for name in names)), self._halted(role)
        )
        elapsed = time.monotonic() - started
        receipts = []
        for name, turn in zip(names, turns, strict=True):
            receipts.append(_receipt(agents[name], turn, halted, elapsed, order))
            halted = Halted()  # what the agents of a process share is said once
        await asyncio.gather(*(self._opened.room.post(receipt) for receipt in receipts))

    async def _halted(self, role: str | None) -> Halted:
        """What was ended; what takes too long goes on ending, and the receipt doesn't wait for it."""
        ending = asyncio.ensure_future(self._halt_all(role))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        done, _ = await asyncio.wait([ending], timeout=HALT_SECONDS)
        return ending.result() if done else Halted(left=("processes and remote commands are still ending",))


def _receipt(agent: Agent, turn: Halt | None, halted: Halted, seconds: float, order: Message) -> Message:
    role = agent.name
    ending = (f"the turn ({turn.activity}) is still ending",) if turn and not turn.over else ()
    left = (*ending, *halted.left)
    counts = (
        (halted.processes, "process trees killed"),
        (halted.apps, "hosted apps ended"),
        (halted.remote, "remote commands ended"),
    )
    what = f"cancelled: {turn.activity}" if turn else "was idle"
    parts = [f"{role} stopped ({what}) in {seconds * 1000:.0f} ms"]
    parts += [f"{count} {name}" for count, name in counts if count]
    parts += [f"NOT STOPPED: {', '.join(left)}"] * bool(left)
    receipt = {
        "role": role,
        "consumer": agent.consumer,
        "cancelled": turn.activity if turn else None,
        "processes": halted.processes,
        "apps": halted.apps,
        "remote": halted.remote,
        "left": list(left),
        "seconds": round(seconds, 4),
    }
    return Message(
        sender=role,
        content="; ".join(parts),
        kind=Kind.CONTROL,
        reply_to=order.id,
        data={"receipt": receipt},
        id=f"{order.id}-{agent.consumer}",
    )
