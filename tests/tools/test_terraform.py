"""run_terraform: arguments, effects, and the way to the executor (real, on `terraform_data`)."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agents.domain.errors import Refused
from agents.domain.turn import Claim, Effect, Status
from agents.executors.process import Processes
from agents.executors.terraform import Terraform
from agents.executors.workspace import Workspace
from agents.tools.registry import Act, Output, Tool
from agents.tools.terraform import RunTerraform, tools

MODULE = "infra/site"
ACT = Act("DevOps", Claim("t" * 32, "DevOps", "c", 1, 0, ()), 3, "call", 60)


class Kept:
    """Remembers what was kept, as the spool would."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def __call__(self, text: str, name: str) -> str:
        self.texts[name] = text
        return f"tmp/output/{name}.txt"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    space = Workspace({name: tmp_path / "space" / name for name in ("infra", "config", "docs", "tmp")})
    space.write_text("infra/site/main.tf", main(1))
    return space


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def tool(workspace: Workspace, tmp_path: Path, kept: Kept) -> Tool[RunTerraform]:
    (tool,) = tools(Terraform(Processes(), workspace, tmp_path / "state"), kept, workspace)
    return tool


def main(version: int) -> str:
    return (
        f'resource "terraform_data" "a" {{\n  input            = {version}\n  triggers_replace = {version}\n}}\n'
        'output "number" {\n  value = terraform_data.a.input\n}\n'
    )


def args(action: str, **more: Any) -> RunTerraform:
    return RunTerraform.model_validate({"action": action, "module": MODULE, **more})


@pytest.mark.parametrize(
    ("action", "effect"),
    [
        ("init", Effect.WRITE),
        ("fmt", Effect.WRITE),
        ("plan", Effect.WRITE),
        ("destroy_plan", Effect.WRITE),
        ("validate", Effect.READ),
        ("show", Effect.READ),
        ("output", Effect.READ),
        ("state_list", Effect.READ),
        ("providers", Effect.READ),
        ("apply", Effect.MUTATE),
    ],
)
def test_effects(tool: Tool[RunTerraform], action: str, effect: Effect) -> None:
    assert tool.effect_of(args(action)) is effect


@pytest.mark.parametrize("action", ["apply", "plan"])
def test_the_effect_of_what_cannot_be_done_is_the_cautious_one(tool: Tool[RunTerraform], action: str) -> None:
    assert tool.effect_of(args(action, module="../outside")) is Effect.MUTATE


def test_a_plan_that_may_run_programs_changes_the_world(tool: Tool[RunTerraform], workspace: Workspace) -> None:
    workspace.write_text("infra/site/more.tf", 'data "external" "x" {\n  program = ["id"]\n}\n')
    assert tool.effect_of(args("plan")) is Effect.MUTATE
    assert tool.effect_of(args("init")) is Effect.WRITE


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "apply", "targets": ["terraform_data.a"]},
        {"action": "apply", "var_file": "infra/x.tfvars"},
        {"action": "show", "output_name": "x"},
        {"action": "state_show"},
        {"action": "state_show", "targets": ["a.b", "c.d"]},
        {"action": "destroy"},
        {"action": "plan", "module": ""},
        {"action": "plan", "targets": "terraform_data.a"},
        {"action": "plan", "auto_approve": True},
    ],
)
def test_arguments_that_do_not_fit_the_action(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RunTerraform.model_validate({"module": MODULE, **fields})
    assert args("state_show", targets=["a.b"]).targets == ["a.b"]  # the control


@pytest.mark.real
@pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not installed")
async def test_every_action(tool: Tool[RunTerraform], workspace: Workspace, kept: Kept) -> None:
    async def do(action: str, **more: Any) -> Output:
        return await tool.run(args(action, **more), ACT)

    assert "initialised" in (await do("init")).content
    assert (await do("validate")).status is Status.OK
    assert "canonical" in (await do("fmt")).content
    planned = await do("plan")
    assert "1 to add" in planned.content
    assert "tmp/output/tttttttt-3-terraform-plan.txt" in planned.content
    assert "Terraform will perform" in kept.texts["tttttttt-3-terraform-plan"]
    assert tool.effect_of(args("apply")) is Effect.MUTATE
    assert "1 added" in (await do("apply")).content
    assert "number = 1" in (await do("output", output_name="number")).content
    assert "terraform_data.a" in (await do("state_list")).content
    assert '"input": 1' in (await do("state_show", targets=["terraform_data.a"])).content
    assert '"input": 1' in (await do("show")).content
    assert "builtin" in (await do("providers")).content

    workspace.write_text("infra/site/main.tf", main(2))
    await do("plan")
    assert tool.effect_of(args("apply")) is Effect.DESTROY  # a replacement
    assert "1 to delete" in (await do("destroy_plan")).content
    assert tool.effect_of(args("apply")) is Effect.DESTROY
    await do("apply")
    assert "empty" in (await do("state_list")).content
    with pytest.raises(Refused, match="plan first"):
        await do("apply")

    workspace.write_text("infra/site/main.tf", 'resource "terraform_data" "a" {\n  inpt = 1\n}\n')
    assert (await do("validate")).status is Status.ERROR
