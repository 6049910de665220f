"""`propose_checks` and `run_checks`."""

import pytest
from pydantic import ValidationError

from agents.domain.errors import InvalidArguments
from agents.domain.mission import Check, Mission, TcpProbe, Verdict
from agents.domain.turn import Claim
from agents.tools.checks import ProposeArgs, RunArgs, tools
from agents.tools.registry import Act
from tests.support.team import FixedMission, ScriptedVerifier

ACT = Act("QA", Claim("t", "QA", "c", 1, 1, ()), 1, "call", 10)
TCP = {"type": "tcp", "title": "the port is open", "host": "127.0.0.1", "port": 8089}
CHECKS = tuple(
    Check(f"c{number}", TcpProbe(type="tcp", title=f"port {number}", host="h", port=number)) for number in (1, 2)
)


async def test_a_proposal_becomes_checks() -> None:
    board = FixedMission()
    propose, _ = tools(board, ScriptedVerifier())
    output = await propose.run(ProposeArgs.model_validate({"checks": [TCP]}), ACT)
    assert "1 checks" in output.content
    assert "the port is open (tcp): unknown" in output.content
    assert len(board.mission.checks) == 1


@pytest.mark.parametrize(
    "probe",
    [
        {**TCP, "port": 0},
        {**TCP, "type": "telnet"},
        {**TCP, "extra": 1},
        {"type": "http", "title": "x y", "url": "ftp://h"},
    ],
)
def test_a_wrong_probe_is_refused_by_its_schema(probe: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ProposeArgs.model_validate({"checks": [probe]})
    assert ProposeArgs.model_validate({"checks": [TCP]})


def test_a_probe_without_a_type_is_told_which_there_are() -> None:
    probe = {("kind" if key == "type" else key): value for key, value in TCP.items()}
    with pytest.raises(ValidationError, match="needs `type`, one of http, tcp, file, command, ansible_idempotent"):
        ProposeArgs.model_validate({"checks": [probe]})


async def test_run_says_each_verdict() -> None:
    _, run = tools(FixedMission(Mission(checks=CHECKS)), ScriptedVerifier(**{"port 2": Verdict.FAIL}))
    content = (await run.run(RunArgs(), ACT)).content
    assert content.startswith("1 of 2 checks are green.")
    assert "[c2] port 2 (tcp): fail" in content


async def test_run_takes_a_choice_and_names_an_unknown_id() -> None:
    _, run = tools(FixedMission(Mission(checks=CHECKS)), ScriptedVerifier())
    assert (await run.run(RunArgs(ids=("c2",)), ACT)).content.startswith("1 of 1")
    with pytest.raises(InvalidArguments, match=r"no check c9; the mission has: c1, c2"):
        await run.run(RunArgs(ids=("c9",)), ACT)


async def test_run_without_checks_says_who_proposes_them() -> None:
    _, run = tools(FixedMission(), ScriptedVerifier())
    assert "propose_checks" in (await run.run(RunArgs(), ACT)).content
