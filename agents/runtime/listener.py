"""An agent at work: claims what is addressed to its role, one turn at a time, and answers."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import structlog

from agents.domain.errors import LeaseLost, MiniLabError, RoomUnavailable, StaleEpoch
from agents.domain.message import Message
from agents.domain.mission import Presence
from agents.domain.ports import Inbox, OpenRoom, Redactor
from agents.domain.role import Role
from agents.domain.turn import Claim, Outcome, StopReason
from agents.runtime.prompts import PromptLibrary
from agents.runtime.reply import ending

log = structlog.get_logger()
REPLY_CHARS = 40_000

Progress = Callable[[int, str], None]
"""Told of each step: its number and what goes on in it."""
Reason = Callable[[Role, Claim, Progress], Awaitable[Outcome]]
"""Thinks a turn through."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the listener needs to know of time and size. Seconds, counts."""

    lease: float = 15.0
    poll: float = 2.0  # a safety net: wake-ups normally come from the channel
    window: int = 80
    hop_budget: int = 60


class Agent:
    """One role of this process."""

    def __init__(
        self,
        name: str,
        consumer: str,
        host: str,
        opened: OpenRoom,
        prompts: PromptLibrary,
        reason: Reason,
        redactor: Redactor,
        limits: Limits,
    ) -> None:
        self.name = name
        self.consumer = consumer
        self._host = host
        self._opened = opened
        self._inbox: Inbox = opened.inbox(name, consumer)
        self._prompts = prompts
        self._reason = reason
        self._redactor = redactor
        self._limits = limits
        self._wake = asyncio.Event()
        self._turn: asyncio.Task[None] | None = None
        self._halting = False
        self._activity = "idle"
        self._step = 0

    def wake(self) -> None:
        """Something may be in the inbox."""
        self._wake.set()

    def presence(self) -> Presence:
        """The heartbeat to send."""
        return Presence(self.name, self.consumer, self._host, self._activity, self._step)

    @property
    def busy(self) -> bool:
        """Whether a turn is under way."""
        return self._turn is not None

    async def run(self) -> None:
        """Work until cancelled. Errors of the room are waited out."""
        while True:
            self._wake.clear()
            try:
                await self._work_off()
            except RoomUnavailable as error:
                log.warning("room unavailable, waiting", role=self.name, error=str(error))
                await asyncio.sleep(1)
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._limits.poll)

    async def halt(self) -> str | None:
        """Cancel the turn under way and all it started, close it as stopped; return what it did, None if idle."""
        turn, activity = self._turn, self._activity
        if turn is None:
            return None
        self._halting = True
        turn.cancel()
        await asyncio.wait([turn])
        self._halting = False
        return activity

    async def _work_off(self) -> None:
        """Claim and run turns until there is none. Cancelled, it leaves the turn open for whoever claims it next."""
        while claim := await self._inbox.claim():
            turn = asyncio.create_task(self._guarded(claim), name=f"turn {self.name}")
            self._turn = turn
            try:
                await asyncio.wait([turn])
            except asyncio.CancelledError:
                turn.cancel()
                await asyncio.wait([turn])
                raise
            finally:
                self._turn, self._activity, self._step = None, "idle", 0

    def _progress(self, step: int, activity: str) -> None:
        self._step, self._activity = step, activity

    async def _guarded(self, claim: Claim) -> None:
        """Run the turn under its lease; lose it quietly, fail loudly."""
        lease = asyncio.create_task(self._keep_lease(claim, asyncio.current_task()))
        try:
            await self._think_and_answer(claim)
        except LeaseLost:
            log.warning("turn taken over by another worker", role=self.name, turn=claim.turn)
        except asyncio.CancelledError:
            if self._halting:  # closed in here, so that nobody can claim it again in between
                await self._commit_quietly(claim, Outcome(StopReason.STOPPED, detail=self._activity))
            raise
        except StaleEpoch:
            await self._commit_quietly(claim, Outcome(StopReason.STOPPED))
        except Exception:  # the agent's boundary: whatever it was, the next message finds it listening
            log.exception("turn could not be closed", role=self.name, turn=claim.turn)
            await self._commit_quietly(claim, Outcome(StopReason.FAILED))
        finally:
            lease.cancel()

    async def _think_and_answer(self, claim: Claim) -> None:
        outcome, role = await self._outcome(claim)
        said = await self._opened.room.said(self._limits.window)
        mission = await self._opened.mission.read()
        end = ending(role, self._prompts.roster(), claim, outcome, said, mission, self._limits.hop_budget)
        replies = [self._redacted(reply) for reply in end.replies]
        await self._opened.journal.commit(claim, end.outcome, replies)

    async def _outcome(self, claim: Claim) -> tuple[Outcome, Role]:
        """The turn's outcome, whatever happened: a bug in here ends the turn, not the agent."""
        role = self._prompts.role(self.name)
        started = time.monotonic()
        self._progress(0, "reading")
        try:
            outcome = await self._reason(role, claim, self._progress)
        except (LeaseLost, StaleEpoch, RoomUnavailable):
            raise
        except MiniLabError as error:
            outcome = Outcome(StopReason.FAILED, str(error))
        except Exception as error:  # the turn's boundary: said in the room, with the trace in the log
            log.exception("turn failed", role=self.name, turn=claim.turn)
            outcome = Outcome(StopReason.FAILED, f"a fault in MiniLab itself ({type(error).__name__}); see its log")
        log.info(
            "turn ended",
            role=self.name,
            reason=outcome.reason.value,
            steps=outcome.steps,
            tokens=outcome.usage.input_tokens,
            seconds=round(time.monotonic() - started, 2),
        )
        return outcome, role

    async def _keep_lease(self, claim: Claim, turn: asyncio.Task[None] | None) -> None:
        """Renew until cancelled; a lost lease ends the turn."""
        while True:
            await asyncio.sleep(self._limits.lease / 3)
            try:
                await self._inbox.renew(claim)
            except LeaseLost:
                log.warning("lease lost, turn given up", role=self.name, turn=claim.turn)
                if turn:
                    turn.cancel()
                return
            except RoomUnavailable:
                continue

    async def _commit_quietly(self, claim: Claim, outcome: Outcome) -> None:
        with contextlib.suppress(LeaseLost, StaleEpoch):
            await self._opened.journal.commit(claim, outcome)

    def _redacted(self, message: Message) -> Message:
        text = self._redactor.text(message.content)
        if len(text) > REPLY_CHARS:
            text = f"{text[:REPLY_CHARS]}\n… {len(text) - REPLY_CHARS:,} characters of this reply were cut off"
        return replace(message, content=text)
