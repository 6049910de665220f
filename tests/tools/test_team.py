"""`finish` and `ask_user`: done is what the checks say, questions have a budget."""

import pytest

from agents.domain.errors import Refused
from agents.domain.mission import Check, Mission, Request, TcpProbe, Verdict
from agents.domain.turn import Claim, StopReason
from agents.tools.registry import Act
from agents.tools.team import AskArgs, FinishArgs, FinishLine, Questions, tools
from tests.support.team import FixedMission, ScriptedVerifier

ACT = Act("Architect", Claim("t", "Architect", "c", 1, 1, ()), 1, "call", 10)
GREEN = Check("c1", TcpProbe(type="tcp", title="port", host="h", port=1), Verdict.PASS, "it answered")


def finish_line(mission: Mission, **verdicts: Verdict) -> FinishLine:
    return FinishLine(FixedMission(mission), ScriptedVerifier(**verdicts))


async def test_a_green_mission_may_end() -> None:
    assert await finish_line(Mission(checks=(GREEN,), acts=3)).objection() is None


@pytest.mark.parametrize("fresh", [Verdict.FAIL, Verdict.UNKNOWN])
async def test_yesterday_s_green_proves_nothing(fresh: Verdict) -> None:
    objection = await finish_line(Mission(checks=(GREEN,)), port=fresh).objection()
    assert objection is not None
    assert "1 of 1 checks are not green" in objection
    assert "[c1] port" in objection


async def test_a_waived_check_stands_in_nobody_s_way() -> None:
    waived = Check("c1", GREEN.probe, waived="the User lives with it")
    assert await finish_line(Mission(checks=(waived,)), port=Verdict.FAIL).objection() is None


async def test_a_changed_world_needs_a_check_and_a_question_doesn_t() -> None:
    objection = await finish_line(Mission(acts=1)).objection()
    assert objection is not None
    assert "propose_checks" in objection
    assert await finish_line(Mission(acts=0)).objection() is None


async def test_finish_ends_the_turn_or_is_refused() -> None:
    finish, _ = tools(finish_line(Mission(checks=(GREEN,))), Questions(FixedMission()))
    output = await finish.run(FinishArgs(summary="proven"), ACT)
    assert (output.content, output.ends) == ("proven", StopReason.DONE)
    finish, _ = tools(finish_line(Mission(checks=(GREEN,)), port=Verdict.FAIL), Questions(FixedMission()))
    with pytest.raises(Refused, match="not green"):
        await finish.run(FinishArgs(summary="proven"), ACT)


async def test_a_question_carries_its_default_and_ends_the_turn() -> None:
    _, ask = tools(finish_line(Mission()), Questions(FixedMission()))
    args = AskArgs(question="Which port?", default="8089", options=("8089", "80"), timeout_minutes=5)
    output = await ask.run(args, ACT)
    assert output.ends is StopReason.AWAITING_INPUT
    assert output.content == (
        "@User Which port?\nOptions: 8089 | 80\nDefault, taken in 5 minutes if you don't answer: 8089"
    )


async def test_questions_have_a_budget_per_mission() -> None:
    board = FixedMission(Mission((Request.of("m1", "first", "now"),)))
    questions = Questions(board, limit=2)
    args = AskArgs(question="Which port?", default="8089", timeout_minutes=1)
    await questions.ask(args)
    await questions.ask(args)
    with pytest.raises(Refused, match="asked 2 times"):
        await questions.ask(args)
    board.mission = Mission((Request.of("m2", "second", "now"),))
    assert "Which port?" in await questions.ask(args)
