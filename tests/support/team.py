"""Small real pieces for tests of tools and runtime: roles, an in-memory room, a claimed turn."""

from collections.abc import Sequence
from dataclasses import replace

from agents.domain.message import USER, Message
from agents.domain.mission import Check, Mission, Probe, Verdict
from agents.domain.ports import OpenRoom
from agents.domain.role import Limits, Role
from agents.domain.turn import Claim, ToolCall, ToolResult

LIMITS = Limits.model_validate({})


def role(name: str = "DevOps", tools: tuple[str, ...] = (), *, answers_user: bool = False, **limits: object) -> Role:
    """A role with the given tools and limits."""
    return Role(name, name, (), tools, "default", answers_user, Limits.model_validate(limits), "prose", f"sha-{name}")


async def claimed(opened: OpenRoom, name: str = "DevOps", text: str = "please", sender: str = USER) -> Claim:
    """A turn of the role, opened by a message of `sender`."""
    await opened.room.post(Message(sender, text, to=(name,)))
    claim = await opened.inbox(name, f"{name}-worker").claim()
    assert claim is not None
    return claim


class RecordedLog:
    """An execution log that keeps its entries."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, ToolCall, ToolResult]] = []

    def write(self, role: str, call: ToolCall, result: ToolResult) -> None:
        """Keep the entry."""
        self.entries.append((role, call, result))


class ScriptedVerifier:
    """A verifier that gives the verdict set for a check's title, else pass."""

    def __init__(self, **verdicts: Verdict) -> None:
        self.verdicts = verdicts
        self.runs = 0

    async def run(self, checks: Sequence[Check]) -> list[Check]:
        """The checks with the scripted verdicts."""
        self.runs += 1
        return [
            replace(check, verdict=self.verdicts.get(check.probe.title, Verdict.PASS), evidence="scripted")
            for check in checks
        ]


class FixedMission:
    """A mission board that holds one mission; judging and proposing change it."""

    def __init__(self, mission: Mission = Mission()) -> None:  # noqa: B008  frozen
        self.mission = mission
        self.judged: list[tuple[str, Verdict, str]] = []

    async def read(self) -> Mission:
        """The mission."""
        return self.mission

    async def propose(self, probes: Sequence[Probe]) -> Mission:
        """Add the probes."""
        checks = tuple(Check(f"c{number}", probe) for number, probe in enumerate(probes))
        self.mission = replace(self.mission, checks=(*self.mission.checks, *checks))
        return self.mission

    async def judge(self, check: str, verdict: Verdict, evidence: str) -> None:
        """Keep the verdict."""
        self.judged.append((check, verdict, evidence))

    async def waive(self, check: str, why: str) -> Check:
        """Waive the check."""
        [found] = [item for item in self.mission.checks if item.id == check]
        return replace(found, waived=why)
