"""Runs cases: the attack in one lab, the control in another."""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.safety.cases import CASES, Case, Play
from tests.safety.world import World
from tests.support.gates import Text

CONTROL_LIFETIME = 60.0


@dataclass(frozen=True)
class Verdict:
    """`refused`: the attack did nothing; `allowed`: the control acted. `fault` says what went wrong."""

    name: str
    refused: bool
    allowed: bool
    fault: str = ""

    @property
    def right(self) -> bool:
        """Whether both hold."""
        return self.refused and self.allowed and not self.fault


async def judged(case: Case) -> Verdict:
    """The verdict on one case."""
    attacked, fault = await _played(case.attack, case, case.lifetime)
    controlled, other = await _played(case.control, case, CONTROL_LIFETIME)
    return Verdict(case.name, not attacked and not fault, bool(controlled) and not other, f"{fault} {other}".strip())


async def run_all(cases: Iterable[Case] = CASES) -> list[Verdict]:
    """The verdicts on all cases."""
    return [await judged(case) for case in cases]


async def _played(play: Play, case: Case, lifetime: float) -> tuple[list[str], str]:
    """What was done to the world, and what the play itself objected to."""
    with tempfile.TemporaryDirectory() as home:
        world = World(Path(home), Text(case.policy), lifetime=lifetime)
        try:
            await play(world)
        except AssertionError as error:
            return world.acts, f"{play.__name__}: {error or 'not as expected'}"
        return world.acts, ""
