"""The message list of a turn, within a token budget, its prefix stable so that providers cache it.

Order: system · window · mission · addressed messages · the turn's own steps. The mission stands behind the window
although it must never fall out: check states change between turns, and everything behind the first changed byte is
paid in full. In front of the window it would cost the whole window each time; behind it, it costs itself, and
cheap models heed best what they read last. It is no part of what compaction may touch.

Tokens are estimated as a quarter of the characters.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from agents.domain.addressing import Roster
from agents.domain.message import Message
from agents.domain.mission import Control, Mission
from agents.domain.role import Role
from agents.domain.turn import Claim
from agents.react import wording
from agents.react.messages import content_text, estimated_tokens

WINDOW_SHARE = 0.15  # of the budget; benchmarks/corpus_cost.py says what more of it costs
BLOCK = 16  # messages the window slides by, on average
RECENT = 6  # newest messages of a turn that compaction shrinks only when nothing else is left
SHRUNK_CHARS = 400
SHRUNK_RECENT_CHARS = 4_000
AFTER_COMPACTION = 0.6  # of the budget: the next compaction, and the next cache miss, is a while away
MESSAGE_TOKENS = 4  # role and framing of each message
_SPOOLED = re.compile(r"\btmp/output/\S+")


def _quiet(step: int, activity: str) -> None:
    """Nobody follows the progress."""


@dataclass(frozen=True, slots=True)
class Turn:
    """All that a turn starts from. `window` are the last said messages; `limit` is how many there may be."""

    role: Role
    roster: Roster
    shared: str
    claim: Claim
    mission: Mission = field(default_factory=Mission)
    control: Control = field(default_factory=Control)
    window: Sequence[Message] = ()
    limit: int = 80
    progress: Callable[[int, str], None] = _quiet


def opening(turn: Turn) -> list[BaseMessage]:
    """The messages a turn starts with."""
    batch = [delivery.message for delivery in turn.claim.deliveries]
    messages: list[BaseMessage] = [SystemMessage(wording.system_prompt(turn.role, turn.roster, turn.shared))]
    if entries := _window(turn, {message.id for message in batch}):
        messages.append(HumanMessage(wording.window(entries)))
    messages.append(HumanMessage(wording.mission_text(turn.mission, turn.control)))
    messages.append(HumanMessage(wording.addressed(batch, turn.role)))
    return messages


def _window(turn: Turn, addressed: set[str]) -> list[str]:
    """The window's entries: as much as count and budget allow, cut at an anchor."""
    said = turn.window[-turn.limit :]
    budget = int(turn.role.limits.context_tokens * WINDOW_SHARE)
    entries = [(message, wording.window_entry(message)) for message in said if message.id not in addressed]
    fits, used = len(entries), 0
    while fits and (used := used + estimated_tokens(len(entries[fits - 1][1]))) <= budget:
        fits -= 1
    if fits == 0 and len(said) < turn.limit:
        return [entry for _, entry in entries]
    start = next((n for n in range(fits, len(entries)) if _anchor(entries[n][0])), fits)
    return [entry for _, entry in entries[start:]]


def _anchor(message: Message) -> bool:
    """Whether the window may begin here. By the message's own id, so that the same place is found turn after turn."""
    return hashlib.sha256(message.id.encode("utf-8", "replace")).digest()[0] % BLOCK == 0


def tokens_of(message: BaseMessage) -> int:
    """Estimated tokens of a message, its calls included."""
    chars = len(content_text(message))
    if isinstance(message, AIMessage):
        chars += sum(len(str(call["args"])) + len(call["name"] or "") for call in message.tool_calls)
        chars += sum(len(call["args"] or "") for call in message.invalid_tool_calls)
    return estimated_tokens(chars) + MESSAGE_TOKENS


class Conversation:
    """The messages of a turn as they grow. Each is counted once; none is changed, only replaced."""

    def __init__(self, opening: Sequence[BaseMessage], budget: int) -> None:
        self.messages: list[BaseMessage] = list(opening)
        self.call_ids: set[str] = set()
        self._opening = len(self.messages)
        self._tokens = sum(map(tokens_of, self.messages))
        self._budget = self._ceiling = budget
        self._left_out: list[str] = []

    def add(self, message: BaseMessage) -> None:
        """Append a message of the turn."""
        if isinstance(message, AIMessage):
            self.call_ids.update(call["id"] or "" for call in (*message.tool_calls, *message.invalid_tool_calls))
        self.messages.append(message)
        self._tokens += tokens_of(message)

    def note(self, text: str) -> None:
        """Append a word of the runtime."""
        self.add(HumanMessage(wording.NOTE + text))

    def result(self, call_id: str, content: str) -> None:
        """Append a call's result."""
        self.add(ToolMessage(content or "(no output)", tool_call_id=call_id))

    def fit(self) -> None:
        """Compact if the budget is exceeded. Only between steps: every call must have its result."""
        if self._tokens > self._ceiling:
            self.compact(int(self._budget * AFTER_COMPACTION))
            # what can't be made smaller mustn't be tried again at every step
            self._ceiling = max(self._budget, int(self._tokens * 1.25))

    def compact(self, target: int | None = None) -> None:
        """Shrink to `target` tokens, half of now if None: old results first, then old steps, then recent results."""
        target = self._tokens // 2 if target is None else target
        recent = max(self._opening, len(self.messages) - RECENT)
        self._shrink_results(self._opening, recent, SHRUNK_CHARS, target)
        if self._tokens > target:
            self._drop_steps(target)
        if self._tokens > target:
            self._shrink_results(self._opening, len(self.messages), SHRUNK_RECENT_CHARS, target)

    def _shrink_results(self, start: int, end: int, cap: int, target: int) -> None:
        for index in range(start, end):
            if self._tokens <= target:
                return
            message = self.messages[index]
            if isinstance(message, ToolMessage) and len(content_text(message)) > cap:
                short = _shrunk(content_text(message), cap)
                self._replace(index, ToolMessage(short, tool_call_id=message.tool_call_id))

    def _replace(self, index: int, message: BaseMessage) -> None:
        self._tokens += tokens_of(message) - tokens_of(self.messages[index])
        self.messages[index] = message

    def _drop_steps(self, target: int) -> None:
        """Leave whole steps out, oldest first; the newest ones stay. A note says what is missing."""
        starts = [n for n in range(self._opening, len(self.messages)) if isinstance(self.messages[n], AIMessage)]
        keep = self._opening
        tokens = self._tokens
        for start, after in pairwise(starts):
            if tokens <= target or len(self.messages) - after < RECENT // 2:
                break
            tokens -= sum(map(tokens_of, self.messages[start:after]))
            keep = after
        if keep == self._opening:
            return
        dropped = self.messages[self._opening : keep]
        self._left_out += [call["name"] for m in dropped if isinstance(m, AIMessage) for call in m.tool_calls]
        names = wording.one_line(", ".join(self._left_out), 600)
        note = f"{wording.NOTE}{len(self._left_out)} earlier calls of this turn were left out here: {names}"
        self.messages[self._opening : keep] = [HumanMessage(note)]
        self._tokens = sum(map(tokens_of, self.messages))


def _shrunk(content: str, cap: int) -> str:
    """Head and tail of a result, and where the whole of it lies."""
    short = wording.shortened(content, cap)
    paths = [path for path in dict.fromkeys(_SPOOLED.findall(content)) if path not in short]
    return short + "".join(f"\nwhole output: {path}" for path in paths)
