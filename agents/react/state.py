"""A turn under way: its conversation, its bounds, and how it ends."""

import json
from collections.abc import Sequence
from typing import Any

from agents.domain.errors import ContextTooLong
from agents.domain.turn import Outcome, Status, StopReason, ToolCall, ToolResult, Usage
from agents.react import wording
from agents.react.breaker import Breaker
from agents.react.context import Conversation, Turn, opening
from agents.react.messages import Reply, estimated_tokens, with_unique_ids
from agents.react.models import Model
from agents.react.record import Record
from agents.react.resume import rebuild

WARNED_STEPS = 3
REFUSALS = 3
NUDGE = "Your answer was empty. Call a tool, or reply with what is done and what is open."
_UNSEEN = (Status.CANCELLED, Status.UNKNOWN)  # how an interrupted call reads: nobody's failure

Pairs = list[tuple[ToolCall, ToolResult]]


class TurnState:
    """What changes in a turn. `outcome` is set once it is over; `refused` are calls the breaker held back.

    `stumbles` counts the mechanical failures, which are worth a stronger `model`: the breaker opened, a check was red
    where the mission was to end.
    """

    def __init__(
        self, turn: Turn, model: Model, schemas: list[dict[str, Any]], record: Record, breaker: Breaker
    ) -> None:
        self.turn = turn
        self.record = record
        self.breaker = breaker
        self.conversation = Conversation(opening(turn), _budget(turn, schemas))
        self.outcome: Outcome | None = None
        self.step = 0
        self.refused: set[str] = set()
        self.model = model
        self.stumbles = 0
        self._schemas = schemas
        self._usage = Usage()
        self._empty = 0
        self._refusals = 0
        self._failed: Pairs = []
        self._failed_steps = 0
        self._cut = False

    async def resume(self) -> None:
        """Take over what the journal holds of an earlier try."""
        resumed = rebuild(self.turn.claim.entries)
        for message in resumed.messages:
            self.conversation.add(message)
        self.step, self._usage, self._empty = resumed.step, resumed.usage, resumed.empty
        for pairs in resumed.done:
            await self._weigh(pairs, live=False)
        self.outcome = resumed.outcome or self.outcome
        self._bound()

    async def query(self) -> Reply:
        """The next step's answer, journaled with the step's results. Raise ModelError."""
        limit = self.turn.role.limits.steps
        self.step += 1
        if (left := limit - self.step + 1) <= WARNED_STEPS:
            self.note(wording.last_steps(left))
        self.conversation.fit()
        self.turn.progress(self.step, "thinking")
        try:
            reply = await self.model.query(self.conversation.messages, self._schemas)
        except ContextTooLong:
            self.conversation.compact()
            reply = await self.model.query(self.conversation.messages, self._schemas)
        reply = with_unique_ids(reply, self.conversation.call_ids)
        self._usage += reply.usage
        self._cut = reply.cut
        message = self.record.reply(self.step, reply)
        if reply.text or reply.calls:
            self.conversation.add(message)
        return reply

    async def observe(self, pairs: Pairs) -> None:
        """Judge a step's results and write the step down."""
        await self._weigh(pairs, live=True)
        if self._cut:
            self.note(wording.cut_off())
        self._bound()
        await self.record.write()

    async def close(self, reply: Reply) -> None:
        """A reply without calls is the turn's last word; an empty one is nudged once."""
        if reply.text:
            mark = "\n(cut off at the model's output limit)" if self._cut else ""
            self.outcome = self.ended(StopReason.REPLIED, reply.text + mark)
        elif self._empty:
            self.outcome = self.ended(StopReason.FAILED, f"the model {reply.model} answered twice with nothing")
        else:
            self._empty += 1
            self.note(NUDGE)
            self._bound()
        await self.record.write()

    async def refuse(self, fault: str) -> None:
        """The reply isn't accepted as the last word: the turn goes on, until it was refused too often."""
        self._refusals += 1
        self.stumbles += 1
        if self._refusals > REFUSALS:
            self.outcome = self.ended(StopReason.FAILED, f"its last word was refused {self._refusals} times. {fault}")
        else:
            self.note(fault)
            self._bound()
        await self.record.write()

    def note(self, text: str) -> None:
        """Tell the model something, and the journal."""
        self.conversation.note(text)
        self.record.note(self.step, text)

    def ended(self, reason: StopReason, text: str, detail: str = "") -> Outcome:
        """The outcome of the turn as it stands."""
        return Outcome(reason, text, detail, self.step, self._usage)

    def _bound(self) -> None:
        """End the turn at its step limit."""
        limit = self.turn.role.limits.steps
        if self.outcome is None and self.step >= limit:
            self.outcome = self.ended(StopReason.STEP_LIMIT, f"{limit} steps were not enough. The log: {self._log}.")

    async def _weigh(self, pairs: Pairs, *, live: bool) -> None:
        """What a step's results mean: the breaker, failures in a row, an end.

        Calls of one step were made without seeing each other's errors: together they count as one failure.
        """
        failed: Pairs = []
        for call, result in pairs:
            if result.ends:
                self.outcome = self.ended(result.ends, result.content)
            if result.status in _UNSEEN:
                continue
            if call.id not in self.refused:
                warning = await self.breaker.saw(call, result, live=live)
                if warning and live:
                    self.stumbles += 1
                    self.note(warning)
            self.stumbles += live and result.name == "finish" and result.status is Status.DENIED
            if result.status is Status.OK:
                failed, self._failed, self._failed_steps = [], [], 0
            else:
                failed.append((call, result))
        if failed:
            self._failed += failed
            self._failed_steps += 1
        if self._failed_steps >= self.turn.role.limits.tool_errors and self.outcome is None:
            self.outcome = self._escalated()

    def _escalated(self) -> Outcome:
        limit = self.turn.role.limits.tool_errors
        last = _lines(self._failed[-limit:])
        text = f"Calls failed {limit} times in a row; somebody else must look. The log: {self._log}.\n{last}"
        return self.ended(StopReason.ESCALATED, text, detail=last)

    @property
    def _log(self) -> str:
        return f"docs/execution_log_{self.turn.role.name}.md"


def _budget(turn: Turn, schemas: Sequence[dict[str, Any]]) -> int:
    """Tokens for messages: the role's budget less what its tools take, but half of it at least."""
    limit = turn.role.limits.context_tokens
    return max(limit // 2, limit - estimated_tokens(len(json.dumps(schemas))))


def _lines(pairs: Sequence[tuple[ToolCall, ToolResult]]) -> str:
    return "\n".join(
        f"- {wording.one_line(result.name, 80)} {result.status.value}: {wording.one_line(result.content, 300)}"
        for _, result in pairs
    )
