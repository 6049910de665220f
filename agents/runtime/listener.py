"""An agent at work: claims what is addressed to its role, one turn at a time, and answers."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import structlog

from agents.domain.errors import LeaseLost, MiniLabError, RoomError, RoomUnavailable, StaleEpoch
from agents.domain.message import Message
from agents.domain.mission import Presence
from agents.domain.ports import Inbox, OpenRoom, Redactor
from agents.domain.role import Role
from agents.domain.turn import Claim, Outcome, StopReason, unresolved
from agents.runtime.prompts import PromptLibrary
from agents.runtime.reply import ending, parked

log = structlog.get_logger()
REPLY_CHARS = 40_000
HALT_SECONDS = 4.0  # a turn that takes longer to end is reported as not stopped; the console waits five
RELEASE_SECONDS = 1.0

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
    deaths: int = 3  # a turn that killed so many workers is parked


@dataclass(frozen=True, slots=True)
class Halt:
    """A turn that was stopped: what went on in it, and whether it is over."""

    activity: str
    over: bool = True


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
        self._claim: Claim | None = None
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

    async def halt(self, before: int | None = None) -> Halt | None:
        """Cancel the turn under way and all it started, close it as stopped. Return None if there is none to stop.

        `before`: only a turn of an epoch before that one; None: only a turn that was taken from us.
        """
        turn, claim, activity = self._turn, self._claim, self._activity
        if turn is None or claim is None or not await self._is_stopped(claim, before):
            return None
        self._halting = True
        turn.cancel()
        _, still = await asyncio.wait([turn], timeout=HALT_SECONDS)
        self._halting = bool(still)  # it is closed as stopped whenever it ends
        return Halt(activity, not still)

    async def _is_stopped(self, claim: Claim, before: int | None) -> bool:
        if before is not None:
            return claim.epoch < before
        try:
            await self._inbox.renew(claim)
        except LeaseLost:
            return True
        return False

    async def _work_off(self) -> None:
        """Claim and run turns until there is none. Cancelled, it hands the turn back to whoever claims it next."""
        while claim := await self._inbox.claim():
            turn = asyncio.create_task(self._guarded(claim), name=f"turn {self.name}")
            self._turn, self._claim = turn, claim
            try:
                await asyncio.wait([turn])
            except asyncio.CancelledError:
                turn.cancel()
                await asyncio.wait([turn])
                await self._hand_back(claim)
                raise
            finally:
                self._turn, self._claim, self._activity, self._step = None, None, "idle", 0
                self._halting = False

    async def _hand_back(self, claim: Claim) -> None:
        """An orderly end is no death: nobody has to wait for the lease. Where the room is away, it runs out."""
        with contextlib.suppress(RoomError, TimeoutError):
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._inbox.release(claim)

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
        if claim.attempt > self._limits.deaths:
            log.error("turn parked: it killed its workers", role=self.name, turn=claim.turn, deaths=claim.attempt - 1)
            return parked(claim), role
        try:
            outcome = await self._reason(role, claim, self._progress)
        except (LeaseLost, StaleEpoch, RoomUnavailable):
            raise
        except MiniLabError as error:
            outcome = Outcome(StopReason.FAILED, str(error), unresolved=unresolved(claim.entries))
        except Exception as error:  # the turn's boundary: said in the room, with the trace in the log
            log.exception("turn failed", role=self.name, turn=claim.turn)
            text = f"a fault in MiniLab itself ({type(error).__name__}); see its log"
            outcome = Outcome(StopReason.FAILED, text, unresolved=unresolved(claim.entries))
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
