"""Checks run by another process: one role's reaches the hosts, the others ask it. No model and no turn is involved.

A request and its answer are signed control messages that wake nobody. The answer carries the verdicts, so that an
older one can't be taken for a fresh one; whoever runs them records them in the mission as well.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog

from agents.domain.errors import MiniLabError
from agents.domain.message import SYSTEM, Kind, Message
from agents.domain.mission import Check, Verdict
from agents.domain.ports import OpenRoom, Verifier
from agents.runtime.verifier import EVIDENCE_CHARS

log = structlog.get_logger()
CHECK, CHECKED = "check", "checked"
ANSWER_WITHIN = 100.0  # seconds: what a verifier gives a check, and the way there and back


class DelegatedVerifier:
    """The `Verifier` port: asks the process of the role `runner`, as the role `asker`.

    Who isn't there, or doesn't answer within `patience` seconds, makes every verdict unknown.
    """

    def __init__(self, opened: OpenRoom, asker: str, runner: str, patience: float = ANSWER_WITHIN) -> None:
        self._opened = opened
        self._asker = asker
        self._runner = runner
        self._patience = patience
        self._waiting: dict[str, asyncio.Future[Mapping[str, Any]]] = {}

    async def run(self, checks: Sequence[Check]) -> list[Check]:
        """The checks with fresh verdicts, which the runner has recorded in the mission."""
        if all(presence.role != self._runner for presence in await self._opened.presence.present()):
            return self._unknown(checks, "isn't in the room")
        ids = [check.id for check in checks]
        request = Message(
            self._asker,
            f"{self._asker} has {len(ids)} checks run by {self._runner}",
            Kind.CONTROL,
            data={"action": CHECK, "runner": self._runner, "checks": ids},
        )
        answer: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[request.id] = answer
        try:
            await self._opened.room.post(request)
            async with asyncio.timeout(self._patience):
                verdicts = await answer
        except TimeoutError:
            return self._unknown(checks, f"didn't answer in {self._patience:g} s")
        finally:
            del self._waiting[request.id]
        return [replace(check, **_told(verdicts.get(check.id))) for check in checks]

    def hear(self, message: Message) -> None:
        """A control message of the room: perhaps the answer."""
        answer = self._waiting.get(message.reply_to or "")
        genuine = message.sender == self._runner and message.data.get("action") == CHECKED
        if answer and genuine and not answer.done():
            verdicts = message.data.get("verdicts")
            answer.set_result(verdicts if isinstance(verdicts, Mapping) else {})

    def _unknown(self, checks: Sequence[Check], what: str) -> list[Check]:
        evidence = f"{self._runner}'s process, which runs the checks (CHECKS_BY), {what}: is it up?"
        return [replace(check, verdict=Verdict.UNKNOWN, evidence=evidence) for check in checks]


class CheckService:
    """Runs the checks that others ask the role `runner` for, with the `verifier` of this process.

    Several replicas may each run them: the probes only read, and of their answers, which share an id, the room keeps
    the first.
    """

    def __init__(self, opened: OpenRoom, runner: str, verifier: Verifier) -> None:
        self._opened = opened
        self._runner = runner
        self._verifier = verifier
        self._running: set[asyncio.Task[None]] = set()

    def hear(self, message: Message) -> None:
        """A control message of the room: perhaps a request, or a STOP that ends what runs."""
        if message.data.get("action") in ("stop", "clear") and message.data.get("role") is None:
            for task in self._running:
                task.cancel()
        elif message.data.get("action") == CHECK and message.data.get("runner") == self._runner:
            task = asyncio.create_task(self._serve(message), name="checks for others")
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _serve(self, request: Message) -> None:
        try:
            control, mission = await asyncio.gather(self._opened.control.read(), self._opened.mission.read())
            if control.epoch != request.epoch or request.sender == SYSTEM:
                return
            asked = request.data.get("checks")
            chosen = [check for check in mission.checks if isinstance(asked, Sequence) and check.id in asked]
            fresh = await self._verifier.run(chosen)
            await self._opened.room.post(self._answer(request, fresh), epoch=request.epoch)
        except MiniLabError as error:
            # the asker hears nothing and takes every verdict for unknown
            log.warning("checks for others failed", asker=request.sender, error=str(error))

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
            id=f"{request.id}-{CHECKED}",
        )


def _told(verdict: object) -> dict[str, Any]:
    """A check's fields as the answer has them; what isn't understood is unknown."""
    fields = verdict if isinstance(verdict, Mapping) else {}
    try:
        found = Verdict(fields.get("verdict", ""))
    except ValueError:
        found = Verdict.UNKNOWN
    evidence = fields.get("evidence", "the answer says nothing about it")
    return {"verdict": found, "evidence": str(evidence)[:EVIDENCE_CHARS]}
