"""The gate: the one way from a model's wish to an act.

understood → assessed, ruled on, approved (`warrants`) → leased, looked at once more, on record, run (`acting`) →
redacted, capped, written to the execution log. A ToolError becomes a result the model can read; a bug is not
caught here.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from agents.domain.errors import InvalidArguments, Refused, ToolError, ToolTimeout
from agents.domain.ports import ExecutionLog, Journal, LeaseBoard, Redactor, TurnContext
from agents.domain.turn import Effect, Status, ToolCall, ToolResult
from agents.tools.acting import LEASE_WAIT, Acting
from agents.tools.assessment import Wish
from agents.tools.material import Material
from agents.tools.registry import Act, Output, Registry, Tool
from agents.tools.warrants import Warrants


@dataclass(frozen=True, slots=True)
class Books:
    """Where the gate writes. `cap` shortens (text, name) to what a model may see."""

    journal: Journal
    log: ExecutionLog
    redactor: Redactor
    cap: Callable[[str, str], str]


class ToolGate:
    """Implements the `Gate` port over a registry of tools."""

    def __init__(
        self,
        registry: Registry,
        books: Books,
        warrants: Warrants,
        leases: LeaseBoard,
        *,
        lease_wait: float = LEASE_WAIT,
    ) -> None:
        self._registry = registry
        self._books = books
        self._warrants = warrants
        self._acting = Acting(warrants, books.journal, leases, warrants.ledger, books.redactor, _run, lease_wait)

    def effect(self, call: ToolCall, turn: TurnContext) -> Effect:
        """What the call would do; an unknown tool or invalid arguments do nothing (read)."""
        try:
            return self._understood(call, turn).effect
        except ToolError:
            return Effect.READ

    async def call(self, call: ToolCall, turn: TurnContext) -> ToolResult:
        """Do it, or say why not."""
        started = time.monotonic()
        effect = Effect.READ
        try:
            wish = self._understood(call, turn)
            effect = wish.effect
            warrant = await self._warrants.obtain(wish)
            effect = warrant.assessment.risk.effect
            output = await self._acting.carry_out(warrant)
        except ToolError as error:
            output = Output(str(error), _status_of(error))
        except asyncio.CancelledError:
            self._write(turn, call, Output("cancelled", Status.CANCELLED), effect, started)
            raise
        return self._write(turn, call, output, effect, started)

    def _understood(self, call: ToolCall, turn: TurnContext) -> Wish:
        """The call with its tool and validated arguments. Raise UnknownTool or InvalidArguments."""
        tool = self._registry.find(call.name, turn.role.tools)
        if call.args is None:
            raise InvalidArguments(f"the arguments of {call.name} are not a JSON object: {call.raw[:200]!r}")
        try:
            return Wish.of(tool, tool.args.model_validate(dict(call.args)), call, turn)
        except ValidationError as error:
            raise InvalidArguments(f"{call.name}: {complaint(error, tool)}") from None

    def _write(self, turn: TurnContext, call: ToolCall, output: Output, effect: Effect, started: float) -> ToolResult:
        """The redacted, capped result, written to the role's execution log."""
        text = self._books.redactor.text(output.content)
        content = self._books.cap(text, f"{turn.claim.turn[:8]}-{turn.step}-{call.name}")
        seconds = time.monotonic() - started
        result = ToolResult(call.id, call.name, output.status, content, effect, seconds, output.ends)
        self._books.log.write(turn.role.name, call, result)
        return result


async def _run(wish: Wish, material: Material | None) -> Output:
    """Run the tool under its timeout."""
    tool, turn = wish.tool, wish.turn
    limits = turn.role.limits
    timeout = tool.timeout or limits.tool_timeout
    act = Act(turn.role.name, turn.claim, turn.step, wish.call.id, timeout, limits.network, material)
    try:
        async with asyncio.timeout(timeout):
            return await tool.run(wish.args, act)
    except TimeoutError:
        raise ToolTimeout(f"{tool.name} was stopped after {timeout:g} s without an end") from None


def _status_of(error: ToolError) -> Status:
    if isinstance(error, ToolTimeout):
        return Status.TIMEOUT
    return Status.DENIED if isinstance(error, Refused) else Status.ERROR


def complaint(error: ValidationError, tool: Tool[Any]) -> str:
    """What the schema says is wrong, and which arguments there are."""
    faults = "; ".join(
        f"{'.'.join(str(part) for part in fault['loc']) or 'arguments'}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_input=False)[:5]
    )
    fields = ", ".join(
        name if field.is_required() else f"{name} (optional)" for name, field in tool.args.model_fields.items()
    )
    return f"{faults}. Arguments: {fields}"
