"""run_terraform: typed actions on a module, applied only from a saved plan."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from agents.domain.errors import ToolError
from agents.domain.turn import Effect, Status
from agents.executors.terraform import Answer, Terraform
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


def tools(terraform: Terraform, keep: Keep) -> list[Tool[Any]]:
    """run_terraform. `keep` stores a plan's full text (text, name), redacted, and returns its workspace path."""

    async def run(args: RunTerraform, act: Act) -> Output:
        answer = await _ACTIONS[args.action](terraform, args, act.role, max(1.0, act.timeout - _MARGIN))
        text = answer.text
        if args.action in _PLANS and answer.raw:
            path = keep(answer.raw, f"{act.claim.turn[:8]}-{act.step}-terraform-{args.action}")
            text += f"\nTerraform's own text: {path}"
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

    return [Tool("run_terraform", _DESCRIPTION, RunTerraform, run, effect, SECONDS)]


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


_ACTIONS: dict[Action, _Run] = {
    "init": lambda tf, args, role, timeout: tf.init(args.module, holder=role, timeout=timeout),
    "validate": lambda tf, args, role, timeout: tf.validate(args.module, timeout=timeout),
    "fmt": lambda tf, args, role, timeout: tf.fmt(args.module, timeout=timeout),
    "plan": _plan,
    "destroy_plan": _plan,
    "show": lambda tf, args, role, timeout: tf.show(args.module, timeout=timeout),
    "apply": lambda tf, args, role, timeout: tf.apply(args.module, holder=role, timeout=timeout),
    "output": lambda tf, args, role, timeout: tf.output(args.module, args.output_name, timeout=timeout),
    "state_list": lambda tf, args, role, timeout: tf.state_list(args.module, timeout=timeout),
    "state_show": lambda tf, args, role, timeout: tf.state_show(args.module, args.targets[0], timeout=timeout),
    "providers": lambda tf, args, role, timeout: tf.providers(args.module, timeout=timeout),
}
