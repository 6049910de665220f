"""What a tool is, and the tools a role has.

A tool is a name, a schema, an effect and an async function. Modules of this package offer `tools(...)` that build
theirs around the executors they need; `worker.py` puts them in one Registry.
"""

import difflib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from agents.domain.errors import UnknownTool
from agents.domain.turn import Claim, Effect, Status, StopReason
from agents.tools.commands import Verdict
from agents.tools.material import Material


class Args(BaseModel):
    """Base of every tool's arguments: unknown names are refused, values are not coerced across types."""

    model_config = ConfigDict(extra="forbid", frozen=True)


A = TypeVar("A", bound=Args)


@dataclass(frozen=True, slots=True)
class Act:
    """The call a tool runs for: who, in which turn and step. `network` is the role's sandbox setting.

    `material` is what was assessed and approved, hashed again just now; only the gate makes it.
    """

    role: str
    claim: Claim
    step: int
    call_id: str
    timeout: float
    network: bool = False
    material: Material | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """What a tool says. `ends` ends the turn with that reason (`finish`, `ask_user`)."""

    content: str
    status: Status = Status.OK
    ends: StopReason | None = None


@dataclass(frozen=True)
class Tool(Generic[A]):
    """One thing an agent may do.

    `effect` is fixed or computed from the arguments. `text` reads what a script says it does, for tools whose sandbox
    keeps it from doing most of it. `material` gathers what would really run, quickly, and again right before it does;
    without it the arguments are all there is. `run` raises ToolError to fail; cancelling it must stop what
    it started. `description` is written for a cheap model: what it does, when to use it, one example if needed.
    """

    name: str
    description: str
    args: type[A]
    run: Callable[[A, Act], Awaitable[Output]]
    effect: Effect | Callable[[A], Effect] = Effect.READ
    timeout: float | None = None  # seconds; None: the role's limit
    text: Callable[[A], Verdict] | None = None
    material: Callable[[A], Awaitable[Material]] | None = None

    def effect_of(self, args: A) -> Effect:
        """What this call would do."""
        return self.effect(args) if callable(self.effect) else self.effect

    def schema(self) -> dict[str, Any]:
        """The tool as an OpenAI function."""
        parameters = self.args.model_json_schema()
        parameters.pop("title", None)
        parameters.pop("description", None)
        return {
            "type": "function",
            "function": {"name": self.name, "description": self.description, "parameters": parameters},
        }


class Registry:
    """Every tool of the product, by name."""

    def __init__(self, tools: Iterable[Tool[Any]]) -> None:
        self._tools: dict[str, Tool[Any]] = {}
        for tool in tools:
            if tool.name in self._tools:
                raise ValueError(f"two tools are called {tool.name}")
            self._tools[tool.name] = tool

    def names(self) -> tuple[str, ...]:
        """All tool names, sorted."""
        return tuple(sorted(self._tools))

    def find(self, name: str, allowed: Sequence[str]) -> Tool[Any]:
        """The tool, if the role has it. Raise UnknownTool naming the nearest ones the role really has."""
        if name in allowed and name in self._tools:
            return self._tools[name]
        nearest = difflib.get_close_matches(name, allowed, n=3, cutoff=0.4)
        hint = f"nearest: {', '.join(nearest)}" if nearest else f"you have: {', '.join(sorted(allowed))}"
        raise UnknownTool(f"there is no tool {name[:80]!r} for you; {hint}")

    def schemas(self, allowed: Sequence[str]) -> list[dict[str, Any]]:
        """The role's tools as OpenAI functions, in a stable order."""
        return [self._tools[name].schema() for name in sorted(allowed) if name in self._tools]
