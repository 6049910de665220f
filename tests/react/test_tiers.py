"""A stronger model after what failed mechanically, the role's own again after success."""

from dataclasses import replace

import pytest

from agents.domain.mission import Mission, Request
from agents.domain.turn import Status, StopReason, ToolCall, ToolResult
from agents.react.context import Turn
from agents.react.tiers import Tiers, after_turn, stronger
from tests.react.doubles import ScriptedModel, Stage, call, calls, failed, ok, says, turn

FAST, DEFAULT, STRONG = "fast", "default", "strong"


@pytest.mark.parametrize(("tier", "then"), [(FAST, DEFAULT), (DEFAULT, STRONG), (STRONG, STRONG)])
def test_stronger(tier: str, then: str) -> None:
    assert stronger(tier) == then


@pytest.mark.parametrize(
    ("home", "tier", "reason", "stumbled", "then"),
    [
        (FAST, FAST, StopReason.REPLIED, False, FAST),
        (FAST, FAST, StopReason.ESCALATED, False, DEFAULT),
        (FAST, DEFAULT, StopReason.STEP_LIMIT, False, STRONG),
        (FAST, STRONG, StopReason.ESCALATED, False, STRONG),
        (FAST, STRONG, StopReason.REPLIED, False, FAST),
        (DEFAULT, STRONG, StopReason.DONE, False, DEFAULT),
        (DEFAULT, STRONG, StopReason.REPLIED, True, STRONG),  # it rose in this very turn: not proven yet
        (DEFAULT, STRONG, StopReason.ESCALATED, True, STRONG),
        (FAST, DEFAULT, StopReason.ESCALATED, True, DEFAULT),  # risen once already for this turn's failures
        (FAST, DEFAULT, StopReason.STOPPED, False, DEFAULT),
        (FAST, DEFAULT, StopReason.OVER_BUDGET, False, DEFAULT),
        (FAST, DEFAULT, StopReason.FAILED, False, DEFAULT),
    ],
)
def test_after_turn(home: str, tier: str, reason: StopReason, stumbled: bool, then: str) -> None:
    assert after_turn(home, tier, reason, stumbled) == then


def of_mission(number: int, tier: str = FAST) -> Turn:
    given = turn()
    requests = (Request.of(f"m{number}", "publish it", "now"),)
    return replace(given, role=replace(given.role, tier=tier), mission=Mission(requests))


def test_a_new_mission_and_another_role_start_at_their_own_tier() -> None:
    tiers = Tiers({})
    first = of_mission(1)
    tiers._keep(first, STRONG)
    assert tiers.tier(first) == STRONG
    assert tiers.tier(of_mission(2)) == FAST
    assert tiers.tier(replace(first, role=replace(first.role, name="QA"))) == FAST


async def test_an_escalated_turn_is_followed_by_a_stronger_model_and_a_good_one_by_the_own() -> None:
    default = ScriptedModel([says("done by default")])
    stage = Stage(tiers={FAST: ScriptedModel([calls(call("1")), says("done fast")]), DEFAULT: default}, act=failed)
    given = of_mission(1)
    given = replace(given, role=replace(given.role, limits=given.role.limits.model_copy(update={"tool_errors": 1})))
    assert (await stage.play(given)).reason is StopReason.ESCALATED
    assert (await stage.play(given)).text == "done by default"
    assert (await stage.play(given)).text == "done fast"


async def test_an_opened_breaker_brings_a_stronger_model_within_the_turn() -> None:
    same = [calls(call(str(n), path="a")) for n in range(3)]
    strong = ScriptedModel([says("by strong")])
    stage = Stage(*same, tiers={STRONG: strong}, act=failed)
    given = of_mission(1, DEFAULT)
    given = replace(given, role=replace(given.role, limits=given.role.limits.model_copy(update={"tool_errors": 9})))
    assert (await stage.play(given)).text == "by strong"


async def test_a_finish_refused_for_a_red_check_brings_a_stronger_model() -> None:
    def act(wanted: ToolCall) -> ToolResult:
        return replace(ok(wanted, "Not done: 1 of 2 checks"), status=Status.DENIED)

    stage = Stage(calls(call("1", "finish")), tiers={STRONG: ScriptedModel([says("by strong")])}, act=act)
    assert (await stage.play(of_mission(1, DEFAULT))).text == "by strong"


async def test_a_done_that_the_checks_do_not_back_brings_a_stronger_model() -> None:
    strong = ScriptedModel([says("[DONE] now it is")])
    stage = Stage(says("[DONE]"), tiers={STRONG: strong}, objections=["Not done: red", None])
    assert (await stage.play(of_mission(1, DEFAULT))).text == "[DONE] now it is"


async def test_a_refusal_of_another_tool_changes_no_model() -> None:
    def act(wanted: ToolCall) -> ToolResult:
        return replace(ok(wanted, "no"), status=Status.DENIED)

    stage = Stage(calls(call("1")), says("by default"), tiers={STRONG: ScriptedModel([])}, act=act)
    assert (await stage.play(of_mission(1, DEFAULT))).text == "by default"
