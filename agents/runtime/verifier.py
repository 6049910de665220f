"""Runs the mission's checks, without any model, and records what they said."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agents.domain.errors import ToolError
from agents.domain.mission import Check, Verdict
from agents.domain.ports import MissionBoard, Redactor

Prober = Callable[[Any], Awaitable[tuple[Verdict, str]]]
EVIDENCE_CHARS = 500


class MissionVerifier:
    """Implements the `Verifier` port. `probers` maps a probe's type to the function that runs it.

    A prober that can't tell (it raised ToolError, or took over `timeout` seconds) makes the verdict unknown.
    """

    def __init__(
        self, mission: MissionBoard, probers: Mapping[str, Prober], redactor: Redactor, timeout: float = 90
    ) -> None:
        self._mission = mission
        self._probers = probers
        self._redactor = redactor
        self._timeout = timeout

    async def run(self, checks: Sequence[Check]) -> list[Check]:
        """The checks with fresh verdicts, recorded in the mission too."""
        return list(await asyncio.gather(*(self._run(check) for check in checks)))

    async def _run(self, check: Check) -> Check:
        verdict, evidence = await self._verdict(check)
        evidence = self._redactor.text(evidence)[:EVIDENCE_CHARS]
        await self._mission.judge(check.id, verdict, evidence)
        return replace(check, verdict=verdict, evidence=evidence)

    async def _verdict(self, check: Check) -> tuple[Verdict, str]:
        prober = self._probers.get(check.probe.type)
        if prober is None:
            return Verdict.UNKNOWN, f"nothing here can run a {check.probe.type} probe"
        try:
            async with asyncio.timeout(self._timeout):
                return await prober(check.probe)
        except ToolError as error:
            return Verdict.UNKNOWN, str(error)
        except TimeoutError:
            return Verdict.UNKNOWN, f"no verdict in {self._timeout:g} s"
