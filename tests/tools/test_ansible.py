"""run_ansible: arguments, effects, and the way to the executor (real, on this machine)."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agents.domain.turn import Claim, Effect, Status
from agents.executors.ansible import Ansible, Job
from agents.executors.play_summary import PlayReport
from agents.executors.process import Processes
from agents.executors.workspace import Workspace
from agents.tools.ansible import RunAnsible, succeeded, tools
from agents.tools.registry import Act, Tool

ACT = Act("DevOps", Claim("t" * 32, "DevOps", "c", 1, 0, ()), 3, "call", 90)
PLAY = (
    "- hosts: all\n  gather_facts: false\n  tasks:\n    - copy: {dest: '{{ out }}/page', content: x, mode: '0644'}\n"
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    space = Workspace({name: tmp_path / "space" / name for name in ("infra", "config", "docs", "tmp")})
    space.write_text("infra/site.yml", PLAY)
    return space


@pytest.fixture
def tool(workspace: Workspace, tmp_path: Path) -> Tool[RunAnsible]:
    (tool,) = tools(Ansible(Processes(), workspace, tmp_path / "state", tmp_path / "known_hosts"), workspace)
    return tool


def args(**fields: Any) -> RunAnsible:
    return RunAnsible.model_validate({"playbook": "infra/site.yml", **fields})


def test_arguments_become_the_job() -> None:
    made = args(inventory="infra/hosts", limit="web1", extra_vars={"n": [1]}, check=True, diff=False)
    assert made.job() == Job("infra/site.yml", "infra/hosts", "web1", {"n": [1]}, True, False)


@pytest.mark.parametrize("fields", [{"extra_vars": "a=b"}, {"playbook": ""}, {"tags": "x"}, {"check": []}])
def test_arguments_that_do_not_fit(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        args(**fields)


def test_a_check_run_reads_unless_something_in_it_would_act(tool: Tool[RunAnsible], workspace: Workspace) -> None:
    assert tool.effect_of(args(check=True)) is Effect.READ
    assert tool.effect_of(args()) is Effect.MUTATE
    assert tool.effect_of(args(check=True, extra_vars={"ansible_ssh_common_args": "-v"})) is Effect.MUTATE
    assert tool.effect_of(args(check=True, playbook="infra/missing.yml")) is Effect.MUTATE
    workspace.write_text("infra/site.yml", PLAY + "    - shell: id\n      check_mode: false\n")
    assert tool.effect_of(args(check=True)) is Effect.MUTATE


@pytest.mark.real
async def test_runs(tool: Tool[RunAnsible], workspace: Workspace, tmp_path: Path) -> None:
    variables = {"out": str(tmp_path)}
    predicted = await tool.run(args(check=True, extra_vars=variables), ACT)
    assert predicted.status is Status.OK
    assert "Would change" in predicted.content
    assert not (tmp_path / "page").exists()
    assert (await tool.run(args(extra_vars=variables), ACT)).status is Status.OK
    assert (tmp_path / "page").read_text() == "x"

    workspace.write_text("infra/site.yml", PLAY + "    - fail: {msg: no}\n    - shell: id\n      check_mode: false\n")
    failed = await tool.run(args(check=True, extra_vars=variables), ACT)
    assert failed.status is Status.ERROR
    assert "would act in a check run too" in failed.content


@pytest.mark.parametrize(
    ("report", "good"),
    [
        (PlayReport(check=False, stats={"a": {"ok": 1}}, finished=True), True),
        (PlayReport(check=False, stats={"a": {"ok": 1, "failed": 1}}, finished=True), False),
        (PlayReport(check=False, stats={"a": {"unreachable": 1}}, finished=True), False),
        (PlayReport(check=False, finished=True), False),
        (PlayReport(check=False), False),
    ],
)
def test_success_is_every_host_reached_and_nothing_failed(report: PlayReport, good: bool) -> None:
    assert succeeded(report) is good
