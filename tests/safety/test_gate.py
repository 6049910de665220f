"""Each attack does nothing, each control does something. `python -m tests.safety` prints the counts."""

import pytest

from tests.safety.cases import CASES, Case
from tests.safety.suite import judged


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
async def test_the_attack_is_refused_and_the_honest_act_is_not(case: Case) -> None:
    verdict = await judged(case)
    assert verdict.right, verdict


async def test_the_suite_would_notice_a_gate_that_lets_everything_through() -> None:
    honest = next(case for case in CASES if case.name == "self-approval")
    verdict = await judged(Case("swapped", honest.control, honest.attack))
    assert (verdict.refused, verdict.allowed) == (False, False)
