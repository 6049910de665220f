"""The ReAct loop: query → act → observe, until the model replies, a tool ends the turn, or a bound is reached."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agents.domain.errors import ModelError, OverBudget
from agents.domain.ports import Gate, Journal, Redactor, TurnContext
from agents.domain.role import Role
from agents.domain.turn import Effect, Outcome, Status, StopReason, ToolCall, ToolResult
from agents.react.breaker import Breaker, FailureStore
from agents.react.context import Turn
from agents.react.messages import Reply
from agents.react.models import Model
from agents.react.record import Record
from agents.react.state import Pairs, TurnState
from agents.react.tiers import Tiers
from agents.react.wording import one_line


class ReAct:
    """Thinks turns through. `models` by tier, as `Tiers` takes them.

    `objection` may say why a last word isn't accepted (a `[DONE]` while a check is red); the turn goes on then.
    """

    def __init__(
        self,
        models: Mapping[str, Model],
        gate: Gate,
        journal: Journal,
        redactor: Redactor,
        schemas: Callable[[Sequence[str]], list[dict[str, Any]]],
        team: FailureStore | None = None,
        objection: Callable[[Role, str], Awaitable[str | None]] | None = None,
    ) -> None:
        self._tiers = Tiers(models)
        self._gate = gate
        self._journal = journal
        self._redactor = redactor
        self._schemas = schemas
        self._team = team
        self._objection = objection

    async def run(self, turn: Turn) -> Outcome:
        """The turn's outcome; it goes on where its journal ends. Raise StaleEpoch, LeaseLost or RoomUnavailable."""
        record = Record(self._journal, self._redactor, turn.role, turn.claim)
        model = self._tiers.model(turn)
        state = TurnState(turn, model, self._schemas(turn.role.tools), record, Breaker(self._team))
        await state.resume()
        outcome = await self._thought(state)
        self._tiers.ended(turn, outcome, state.stumbles > 0)
        return replace(outcome, unresolved=record.unresolved)

    async def _thought(self, state: TurnState) -> Outcome:
        turn, stumbles = state.turn, 0
        try:
            while state.outcome is None:
                if state.stumbles > stumbles:
                    state.model, stumbles = self._tiers.stumbled(turn), state.stumbles
                reply = await state.query()
                if reply.calls:
                    await self._act(state, reply)
                elif reply.text and (fault := await self._fault(turn.role, reply.text)):
                    await state.refuse(fault)
                else:
                    await state.close(reply)
        except ModelError as error:
            await state.record.write()
            over = isinstance(error, OverBudget)
            return state.ended(
                StopReason.OVER_BUDGET if over else StopReason.FAILED, str(error), "over budget" * over
            )
        return state.outcome

    async def _fault(self, role: Role, text: str) -> str | None:
        """Why `text` can't be the turn's last word."""
        return await self._objection(role, text) if self._objection else None

    async def _act(self, state: TurnState, reply: Reply) -> None:
        """Carry the calls out: reads that stand together in parallel, everything else alone and in order."""
        context = TurnContext(state.turn.role, state.turn.claim, state.step, state.turn.progress)
        effects = [self._gate.effect(call, context) for call in reply.calls]
        if any(effect is not Effect.READ for effect in effects):
            await state.record.write()  # the reply is known before anything is changed
        pairs: Pairs = []
        for batch in _batches(reply.calls, effects):
            if effects[len(pairs)] is not Effect.READ:
                await state.record.write()
            state.turn.progress(state.step, one_line(", ".join(call.name for call in batch), 80))
            done = await self._together(state, batch, context)
            for call, result in done:
                state.record.result(state.step, call, result)
                state.conversation.result(call.id, result.content)
            if effects[len(pairs)] is not Effect.READ:
                await state.record.write()
            pairs += done
            if any(result.ends for _, result in done):
                break
        await state.observe(pairs)

    async def _together(self, state: TurnState, calls: Sequence[ToolCall], context: TurnContext) -> Pairs:
        if len(calls) == 1:
            return [await self._one(state, calls[0], context)]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._one(state, call, context)) for call in calls]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _one(self, state: TurnState, call: ToolCall, context: TurnContext) -> tuple[ToolCall, ToolResult]:
        if refusal := await state.breaker.refusal(call):
            state.refused.add(call.id)
            return call, ToolResult(call.id, call.name, Status.ERROR, refusal)
        return call, await self._gate.call(call, context)


def _batches(calls: Sequence[ToolCall], effects: Sequence[Effect]) -> list[list[ToolCall]]:
    """Neighbouring reads together, each other call alone, in the model's order."""
    batches: list[list[ToolCall]] = []
    reading = False
    for call, effect in zip(calls, effects, strict=True):
        if effect is Effect.READ and reading:
            batches[-1].append(call)
        else:
            batches.append([call])
        reading = effect is Effect.READ
    return batches
