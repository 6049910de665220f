"""Checks run by another process: one role's reaches the hosts, the others ask it. No model and no turn is involved.

A request and its answer are signed control messages that wake nobody. The answer carries the verdicts, so that an
older one can't be taken for a fresh one; whoever runs them records them in the mission as well.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog

from agents.domain.effect import Lease
from agents.domain.errors import MiniLabError, RoomError, StaleEpoch
from agents.domain.message import SYSTEM, Kind, Message, new_id
from agents.domain.mission import Check, Verdict
from agents.domain.ports import OpenRoom, Verifier
from agents.runtime.control import CLEAR, STOP
from agents.runtime.verifier import EVIDENCE_CHARS

log = structlog.get_logger()
CHECK, CHECKED = "check", "checked"
_LAST_WORD_SECONDS = 2.0
_STOPPED = "was interrupted: the room was stopped or cleared"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds: until the request must be taken, and until it must be answered.

    `answer` is what a verifier gives a check, and the way there and back.
    """

    taken: float = 5.0
    answer: float = 100.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A request's epoch, and the verdicts to come: None where STOP or CLEAR comes first."""

    epoch: int
    answer: asyncio.Future[Mapping[str, Any] | None]


class _NoAnswer(Exception):
    """Why there are no verdicts: what the runner did instead."""


class DelegatedVerifier:
    """The `Verifier` port: asks the process of the role `runner`, as the role `asker`.

    Who isn't there, doesn't take the request or doesn't answer in time makes every verdict unknown.
    """

    def __init__(self, opened: OpenRoom, asker: str, runner: str, bounds: Bounds = Bounds()) -> None:
        self._opened = opened
        self._asker = asker
        self._runner = runner
        self._bounds = bounds
        self._waiting: dict[str, _Waiting] = {}

    async def run(self, checks: Sequence[Check]) -> list[Check]:
        """The checks with fresh verdicts, which the runner has recorded in the mission."""
        try:
            verdicts = await self._asked([check.id for check in checks])
        except _NoAnswer as error:
            evidence = f"the process of {self._runner}, which runs the checks (CHECKS_BY), {error}"
            return [replace(check, verdict=Verdict.UNKNOWN, evidence=evidence) for check in checks]
        return [replace(check, **_told(verdicts.get(check.id))) for check in checks]

    def hear(self, message: Message) -> None:
        """A control message of the room: perhaps the answer, or a STOP."""
        if _stops(message):
            for waiting in self._waiting.values():
                if waiting.epoch < message.epoch and not waiting.answer.done():
                    waiting.answer.set_result(None)
            return
        asked = self._waiting.get(message.reply_to or "")
        genuine = message.sender == self._runner and message.data.get("action") == CHECKED
        if asked and genuine and not asked.answer.done():
            verdicts = message.data.get("verdicts")
            asked.answer.set_result(verdicts if isinstance(verdicts, Mapping) else {})

    async def _asked(self, ids: list[str]) -> Mapping[str, Any]:
        """What the runner answers. Raise _NoAnswer."""
        control, present = await asyncio.gather(self._opened.control.read(), self._opened.presence.present())
        if all(presence.role != self._runner for presence in present):
            raise _NoAnswer("isn't in the room: is it up?")
        request = Message(
            self._asker,
            f"{self._asker} has {len(ids)} checks run by {self._runner}",
            Kind.CONTROL,
            data={"action": CHECK, "runner": self._runner, "checks": ids},
        )
        waiting = _Waiting(control.epoch, asyncio.get_running_loop().create_future())
        self._waiting[request.id] = waiting
        try:
            await self._opened.room.post(request, epoch=control.epoch)
            verdicts = await self._answered(request.id, waiting.answer)
        except StaleEpoch:
            verdicts = None
        finally:
            del self._waiting[request.id]
        if verdicts is None:
            raise _NoAnswer(_STOPPED)
        return verdicts

    async def _answered(
        self, request: str, answer: asyncio.Future[Mapping[str, Any] | None]
    ) -> Mapping[str, Any] | None:
        bounds = self._bounds
        await asyncio.wait([answer], timeout=bounds.taken)
        if not answer.done():
            await self._look_whether_taken(request, answer)
            await asyncio.wait([answer], timeout=bounds.answer - bounds.taken)
        if not answer.done():
            raise _NoAnswer(f"didn't answer in {bounds.answer:g} s: is it up?")
        return answer.result()

    async def _look_whether_taken(self, request: str, answer: asyncio.Future[Mapping[str, Any] | None]) -> None:
        """Raise _NoAnswer if nobody runs it, by taking it from them."""
        bounds = self._bounds
        lease = await self._opened.leases.acquire([_claim(request)], self._asker, 2 * bounds.taken)
        if isinstance(lease, str):
            return
        try:
            await asyncio.wait([answer], timeout=bounds.taken)  # one that has just ended is on its way
        finally:
            await _given_back(self._opened, lease)
        if not answer.done():
            seconds = 2 * bounds.taken
            raise _NoAnswer(f"isn't at it after {seconds:g} s: is it up, with CHECKS_BY set? Its log says more")


class CheckService:
    """Runs the checks that others ask the role `runner` for, with the `verifier` of this process.

    Of several replicas one runs them: whoever leases the request. If that one dies, nobody answers.
    """

    def __init__(self, opened: OpenRoom, runner: str, verifier: Verifier, bounds: Bounds = Bounds()) -> None:
        self._opened = opened
        self._runner = runner
        self._verifier = verifier
        self._bounds = bounds
        self._me = f"{runner}-{new_id()}"
        self._running: dict[asyncio.Task[None], int] = {}

    def hear(self, message: Message) -> None:
        """A control message of the room: perhaps a request, or a STOP that ends what runs."""
        if _stops(message):
            for task, epoch in self._running.items():
                if epoch < message.epoch:
                    task.cancel()
        elif message.data.get("action") == CHECK and message.data.get("runner") == self._runner:
            task = asyncio.create_task(self._serve(message), name="checks for others")
            self._running[task] = message.epoch
            task.add_done_callback(self._ended)

    async def end(self) -> None:
        """Let go of what runs: the process ends."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """The asker hears nothing of a failure, and takes every verdict for unknown."""
        del self._running[task]
        if not task.cancelled() and (error := task.exception()):
            known = isinstance(error, MiniLabError)
            log.error("checks for others failed", error=str(error), exc_info=None if known else error)

    async def _serve(self, request: Message) -> None:
        if request.sender == SYSTEM or (await self._opened.control.read()).epoch != request.epoch:
            return
        lease = await self._opened.leases.acquire([_claim(request.id)], self._me, self._bounds.answer)
        if isinstance(lease, str):
            return
        try:
            fresh = await self._verifier.run(await self._chosen(request.data.get("checks")))
            await self._opened.room.post(self._answer(request, fresh), epoch=request.epoch)
        finally:
            await _given_back(self._opened, lease)

    async def _chosen(self, ids: object) -> list[Check]:
        """The mission's checks of these ids."""
        mission = await self._opened.mission.read()
        return [check for check in mission.checks if isinstance(ids, list) and check.id in ids]

    def _answer(self, request: Message, fresh: Sequence[Check]) -> Message:
        green = sum(check.green for check in fresh)
        return Message(
            self._runner,
            f"{self._runner} ran the checks for {request.sender}: {green} of {len(fresh)} are green",
            Kind.CONTROL,
            reply_to=request.id,
            data={
                "action": CHECKED,
                "verdicts": {check.id: {"verdict": check.verdict, "evidence": check.evidence} for check in fresh},
            },
            id=f"{request.id}-{CHECKED}",  # a replica that hears of it late may run it again, and isn't heard
        )


async def _given_back(opened: OpenRoom, lease: Lease) -> None:
    """Release the lease, unless Redis is away: then it ends by itself."""
    with contextlib.suppress(RoomError, TimeoutError):
        async with asyncio.timeout(_LAST_WORD_SECONDS):
            await opened.leases.release(lease)


def _claim(request: str) -> str:
    """The name under which a request is leased."""
    return f"checks:{request}"


def _stops(message: Message) -> bool:
    """Whether it is a STOP or CLEAR of the whole room."""
    return message.data.get("action") in (STOP, CLEAR) and message.data.get("role") is None


def _told(verdict: object) -> dict[str, Any]:
    """A check's fields as the answer has them; what isn't understood is unknown."""
    fields = verdict if isinstance(verdict, Mapping) else {}
    try:
        found = Verdict(fields.get("verdict", ""))
    except ValueError:
        found = Verdict.UNKNOWN
    evidence = fields.get("evidence", "the answer says nothing about it")
    return {"verdict": found, "evidence": str(evidence)[:EVIDENCE_CHARS]}
