"""The gate: the one way from a model's wish to an act.

known? → arguments valid? → effect → intent journaled (epoch and fence checked there) → run under a timeout →
redact → cap → execution log. A ToolError becomes a result the model can read; a bug is not caught here.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from agents.domain.errors import InvalidArguments, Refused, ToolError, ToolTimeout
from agents.domain.ports import ExecutionLog, Journal, Redactor, TurnContext
from agents.domain.turn import Effect, EntryKind, JournalEntry, Status, ToolCall, ToolResult
from agents.tools.registry import Act, Args, Output, Registry, Tool


class ToolGate:
    """Implements the `Gate` port over a registry of tools. `cap` shortens (text, name) to what a model may see."""

    def __init__(
        self,
        registry: Registry,
        journal: Journal,
        redactor: Redactor,
        log: ExecutionLog,
        cap: Callable[[str, str], str],
    ) -> None:
        self._registry = registry
        self._journal = journal
        self._redactor = redactor
        self._log = log
        self._cap = cap

    def effect(self, call: ToolCall, turn: TurnContext) -> Effect:
        """What the call would do; an unknown tool or invalid arguments do nothing (read)."""
        try:
            tool, args = self._understood(call, turn)
        except ToolError:
            return Effect.READ
        return tool.effect_of(args)

    async def call(self, call: ToolCall, turn: TurnContext) -> ToolResult:
        """Do it, or say why not."""
        started = time.monotonic()
        effect = Effect.READ
        try:
            tool, args = self._understood(call, turn)
            effect = tool.effect_of(args)
            if effect is not Effect.READ:
                await self._journal.record(turn.claim, [self._intent(call, turn, effect)])
            output = await self._run(tool, args, call, turn)
        except ToolError as error:
            output = Output(str(error), _STATUS_OF.get(type(error), Status.ERROR))
        except asyncio.CancelledError:
            self._write(turn, call, Output("cancelled", Status.CANCELLED), effect, started)
            raise
        return self._write(turn, call, output, effect, started)

    def _understood(self, call: ToolCall, turn: TurnContext) -> tuple[Tool[Any], Args]:
        """The tool and its validated arguments. Raise UnknownTool or InvalidArguments."""
        tool = self._registry.find(call.name, turn.role.tools)
        if call.args is None:
            raise InvalidArguments(f"the arguments of {call.name} are not a JSON object: {call.raw[:200]!r}")
        try:
            return tool, tool.args.model_validate(dict(call.args))
        except ValidationError as error:
            raise InvalidArguments(f"{call.name}: {complaint(error, tool)}") from None

    async def _run(self, tool: Tool[Any], args: Args, call: ToolCall, turn: TurnContext) -> Output:
        limits = turn.role.limits
        timeout = tool.timeout or limits.tool_timeout
        act = Act(turn.role.name, turn.claim, turn.step, call.id, timeout, limits.network)
        try:
            async with asyncio.timeout(timeout):
                return await tool.run(args, act)
        except TimeoutError:
            raise ToolTimeout(f"{tool.name} was stopped after {timeout:g} s without an end") from None

    def _intent(self, call: ToolCall, turn: TurnContext, effect: Effect) -> JournalEntry:
        body = {"name": call.name, "args": self._redactor.value(call.args)}
        return JournalEntry(EntryKind.INTENT, turn.step, body, call.id, effect)

    def _write(self, turn: TurnContext, call: ToolCall, output: Output, effect: Effect, started: float) -> ToolResult:
        """The redacted, capped result, written to the role's execution log."""
        content = self._cap(self._redactor.text(output.content), f"{turn.claim.turn[:8]}-{turn.step}-{call.name}")
        seconds = time.monotonic() - started
        result = ToolResult(call.id, call.name, output.status, content, effect, seconds, output.ends)
        self._log.write(turn.role.name, call, result)
        return result


_STATUS_OF: dict[type[ToolError], Status] = {ToolTimeout: Status.TIMEOUT, Refused: Status.DENIED}


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
