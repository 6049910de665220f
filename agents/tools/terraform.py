"""run_terraform: typed actions on a module, applied only from a saved plan."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from agents.domain.card import Page
from agents.domain.errors import Refused, ToolError
from agents.domain.turn import Effect, Status
from agents.executors.snapshot import snapshot
from agents.executors.terraform import Answer, Terraform
from agents.executors.terraform_modules import SavedPlan
from agents.executors.workspace import Workspace
from agents.tools.material import Foreseen, Material, files_as_pages
from agents.tools.registry import Act, Args, Output, Tool

SECONDS = 900.0  # one action may take
_MARGIN = 5.0  # seconds kept for killing and telling, before the gate cuts in

Action = Literal[
    "init",
    "validate",
    "fmt",
    "plan",
    "destroy_plan",
    "show",
    "apply",
    "output",
    "state_list",
    "state_show",
    "providers",
]
Keep = Callable[[str, str], str]

_DESCRIPTION = (
    "Run Terraform in a module (a folder under infra/ with .tf files). Order: init → validate → plan → apply. plan "
    "saves the plan and returns what it would add, change, replace and delete; apply takes that saved plan and "
    "nothing else, once. To destroy: destroy_plan, then apply. state_show takes the address in targets; output "
    'takes an output_name or none for all. Example: {"action": "plan", "module": "infra/site", '
    '"var_file": "infra/site/prod.tfvars"}'
)
_HERE = ("localhost",)
_PLANS = ("plan", "destroy_plan")
_READS = frozenset(("validate", "show", "output", "state_list", "state_show", "providers"))


class RunTerraform(Args):
    """Arguments of run_terraform."""

    action: Action
    module: str = Field(min_length=1, description="folder under infra/ that holds the .tf files")
    targets: list[str] = Field(default_factory=list, max_length=50, description="resource addresses, for plans")
    var_file: str | None = Field(None, min_length=1, description="path of a .tfvars file, for plans")
    output_name: str | None = Field(None, min_length=1, description="one output's name, for output")

    @model_validator(mode="after")
    def _fits_action(self) -> Self:
        """An argument the action would ignore is a misunderstanding: say so."""
        if self.action == "state_show" and len(self.targets) != 1:
            raise ValueError("state_show needs exactly one address in targets")
        if self.targets and self.action not in (*_PLANS, "state_show"):
            raise ValueError(f"targets belong to a plan; {self.action} takes none")
        if self.var_file is not None and self.action not in _PLANS:
            raise ValueError(f"var_file belongs to a plan; {self.action} takes none")
        if self.output_name is not None and self.action != "output":
            raise ValueError(f"output_name belongs to action output; {self.action} takes none")
        return self


def tools(terraform: Terraform, keep: Keep, workspace: Workspace) -> list[Tool[Any]]:
    """run_terraform. `keep` stores a plan's full text (text, name), redacted, and returns its workspace path."""

    async def run(args: RunTerraform, act: Act) -> Output:
        timeout = max(1.0, act.timeout - _MARGIN)
        if args.action == "apply":
            approved = act.material.identity["plan"] if act.material else None
            answer = await terraform.apply(args.module, holder=act.role, timeout=timeout, identity=approved)
        else:
            answer = await _ACTIONS[args.action](terraform, args, act.role, timeout)
        text = answer.text
        if args.action in _PLANS and answer.raw:
            path = keep(answer.raw, f"{act.claim.turn[:8]}-{act.step}-terraform-{args.action}")
            text += f"\nTerraform's own text, {path}"
        return Output(text, Status.OK if answer.ok else Status.ERROR)

    def effect(args: RunTerraform) -> Effect:
        """Apply changes the world, and destroys if the saved plan deletes or replaces; a plan may run programs."""
        if args.action in _READS:
            return Effect.READ
        try:
            if args.action in _PLANS:
                return Effect.MUTATE if terraform.hazards(args.module) else Effect.WRITE
            if args.action == "apply":
                saved = terraform.saved(args.module)
                return Effect.DESTROY if saved and saved.destroys else Effect.MUTATE
        except (ToolError, OSError):  # the run itself will say what is wrong
            return Effect.MUTATE
        return Effect.WRITE

    def material(args: RunTerraform) -> Awaitable[Material]:
        return _material(terraform, workspace, args)

    return [Tool("run_terraform", _DESCRIPTION, RunTerraform, run, effect, SECONDS, material=material)]


async def _material(terraform: Terraform, workspace: Workspace, args: RunTerraform) -> Material:
    module = terraform.shown(args.module)
    if args.action == "apply":
        return _apply_material(module, terraform.saved(module))
    if args.action in _PLANS and (found := await asyncio.to_thread(terraform.hazards, module)):
        # all modules, for they may use each other, and the variables
        paths = ["infra", *([workspace.shown(args.var_file)] if args.var_file else [])]
        shot = await asyncio.to_thread(snapshot, workspace, paths)
        return Material({"tree": shot.sha}, (module,), _HERE, pages=files_as_pages(shot), foresee=_runs(found))
    return Material(targets=(module,))


def _apply_material(module: str, saved: SavedPlan | None) -> Material:
    """The saved plan. Raise Refused where there is none."""
    if saved is None:
        raise Refused(f"there is no saved plan for {module}: run action plan first, then apply")
    commands = [f"a command is run where a resource is made or destroyed: {line}" for line in saved.provisioners]

    async def foresee() -> Foreseen:
        return Foreseen(plan=saved.facts, blind_spots=tuple(commands), summary=saved.text)

    pages = (Page("the plan in short", saved.text), Page("the plan in Terraform's words", saved.told))
    return Material({"plan": saved.identity}, (module,), (), (f"module:{module}",), pages, foresee=foresee)


def _runs(found: Sequence[str]) -> Callable[[], Awaitable[Foreseen]]:
    async def foresee() -> Foreseen:
        return Foreseen(Effect.MUTATE, blind_spots=tuple(f"planning runs programs named in {file}" for file in found))

    return foresee


_Run = Callable[[Terraform, RunTerraform, str, float], Awaitable[Answer]]


def _plan(terraform: Terraform, args: RunTerraform, role: str, timeout: float) -> Awaitable[Answer]:
    return terraform.plan(
        args.module,
        holder=role,
        timeout=timeout,
        destroy=args.action == "destroy_plan",
        targets=args.targets,
        var_file=args.var_file,
    )


_ACTIONS: Mapping[str, _Run] = {
    "init": lambda tf, args, role, timeout: tf.init(args.module, holder=role, timeout=timeout),
    "validate": lambda tf, args, role, timeout: tf.validate(args.module, timeout=timeout),
    "fmt": lambda tf, args, role, timeout: tf.fmt(args.module, timeout=timeout),
    "plan": _plan,
    "destroy_plan": _plan,
    "show": lambda tf, args, role, timeout: tf.show(args.module, timeout=timeout),
    "output": lambda tf, args, role, timeout: tf.output(args.module, args.output_name, timeout=timeout),
    "state_list": lambda tf, args, role, timeout: tf.state_list(args.module, timeout=timeout),
    "state_show": lambda tf, args, role, timeout: tf.state_show(args.module, args.targets[0], timeout=timeout),
    "providers": lambda tf, args, role, timeout: tf.providers(args.module, timeout=timeout),
}
