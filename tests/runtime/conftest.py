"""Agents of an in-memory room, with prompts on disk and a scripted mind."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from agents.domain.message import USER, Message
from agents.domain.redaction import SecretMask
from agents.domain.role import ROLES, Role
from agents.domain.turn import Claim, Outcome, StopReason
from agents.room.in_memory import InMemoryRoom
from agents.runtime.listener import Agent, Limits
from agents.runtime.prompts import PromptLibrary

Mind = Callable[[Role, Claim], Awaitable[Outcome]]


class Stage:
    """An in-memory room with agents that think what `mind` says."""

    def __init__(self, prompts: PromptLibrary) -> None:
        self.opened = InMemoryRoom("room")
        self.prompts = prompts
        self.claims: list[Claim] = []
        self.tasks: list[asyncio.Task[None]] = []

    def agent(self, name: str, mind: Mind, consumer: str = "", **limits: float) -> Agent:
        """A running agent."""

        async def reason(role: Role, claim: Claim, progress: Callable[[int, str], None]) -> Outcome:
            self.claims.append(claim)
            progress(1, "thinking")
            return await mind(role, claim)

        agent = Agent(
            name,
            consumer or f"{name}-1",
            "host",
            self.opened,
            self.prompts,
            reason,
            SecretMask(["pass-phrase-1"]),
            Limits(poll=0.02, **limits),  # type: ignore[arg-type]
        )
        self.tasks.append(asyncio.create_task(agent.run()))
        return agent

    async def say(self, text: str, *to: str, sender: str = USER) -> Message:
        """Post a message."""
        return await self.opened.room.post(Message(sender, text, to=to))

    async def until(self, text: str) -> Message:
        """Wait for a said message that contains `text`."""
        async with asyncio.timeout(10):
            while True:
                for message in await self.opened.room.said(100):
                    if text in message.content:
                        return message
                await asyncio.sleep(0.01)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A stage with all six roles; its agents end with the test."""
    (tmp_path / "_shared.md").write_text("Be honest.")
    for name in ROLES:
        lead = "\nanswers_user: true" if name == "Architect" else ""
        (tmp_path / f"{name}.md").write_text(f"---\ntag: '@{name}'\ntitle: {name}{lead}\n---\nWork.\n")
    made = Stage(PromptLibrary(tmp_path))
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)


async def says(text: str, reason: StopReason = StopReason.REPLIED) -> Outcome:
    """An outcome."""
    return Outcome(reason, text)
