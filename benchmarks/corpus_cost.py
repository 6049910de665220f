"""What prompts cost by our context rule. `python -m benchmarks.corpus_cost [FOLDER]`

Part one needs no data: 80 messages among 4 agents, each answering the last one that was addressed to it (goal: at
most 90,000 prompt tokens in all). Part two replays recorded sessions, `FOLDER/*.jsonl`, one event a line:
{"say": sender, "text"}, {"turn": role, "from"}, {"step": role, "n"}, {"tool": role, "name", "args", "result", "ok"}.
Each recorded step is asked once by our rule and once by the rule the record was made under: the system prompt, one
message with the last 80 said messages and the current one, then every call and whole result of the turn. Both have
the same system prompt and tools. Goals: at most 1/5 of the dollars, no prompt over 24,000 tokens.

A token is four bytes of the request. Cached is the prefix shared with the role's request before, in blocks of 128
from 1,024 on. Dollars per million tokens: 0.25, cached 0.025.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from agents.domain.addressing import Roster
from agents.domain.budget import Price, dollars
from agents.domain.message import USER, Message
from agents.domain.mission import Control, Mission, Request, RoomState
from agents.domain.redaction import SecretMask
from agents.domain.role import Limits, Role
from agents.domain.turn import Claim, Delivery, ToolCall, Usage
from agents.react import wording
from agents.react.chat import Fragments
from agents.react.context import Conversation, Turn, opening
from agents.react.messages import arguments, history_message
from agents.react.state import _budget
from agents.room.in_memory import InMemoryRoom
from agents.runtime.prompts import PromptLibrary
from agents.settings import HOME, Settings
from agents.telemetry.ledger import Ledger
from agents.toolbox import Toolbox

WINDOW = 80
PRICE = Price(0.25, 0.025, 0.0)
BLOCK, FIRST_BLOCK = 128, 1024
NAMES = {"Architect_Zero": "Architect", "DevOps_Builder": "DevOps", "Security_Sentinel": "Security"}
GOAL_CHAT, GOAL_PEAK, GOAL_SHARE = 90_000, 24_000, 0.2


@dataclass
class Account:
    """What a rule's requests add up to, tokens."""

    requests: int = 0
    input: int = 0
    cached: int = 0
    peak: int = 0
    _before: dict[str, list[bytes]] = field(default_factory=dict)
    _fragments: Fragments = field(default_factory=Fragments)

    def ask(self, role: str, messages: Sequence[BaseMessage], tools: Sequence[dict[str, Any]] = ()) -> None:
        """One request."""
        # providers put the tools in front of the messages
        request = [self._fragments.tools(tools), *self._fragments.of(messages)]
        tokens = sum(map(len, request)) // 4
        shared = _shared(self._before.get(role, []), request) // 4
        self._before[role] = request
        self.requests += 1
        self.input += tokens
        self.cached += shared - shared % BLOCK if shared >= FIRST_BLOCK else 0
        self.peak = max(self.peak, tokens)

    @property
    def nano(self) -> int:
        """Nano-dollars."""
        return PRICE.of(Usage(self.input, 0, self.cached))

    def line(self, name: str) -> str:
        """One line of the table."""
        share = self.cached / self.input if self.input else 0
        return f"{name:34} {self.requests:>6} {self.input:>12,} {share:>7.0%} {self.peak:>8,} {dollars(self.nano):>9}"


HEAD = f"{'':34} {'asked':>6} {'tokens in':>12} {'cached':>7} {'peak':>8} {'dollars':>9}"


def _shared(one: Sequence[bytes], other: Sequence[bytes]) -> int:
    """Bytes of the longest common prefix."""
    length = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine == theirs:
            length += len(mine)
            continue
        return length + next((at for at, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), 0)
    return length


def turn_of(
    role: Role, roster: Roster, shared: str, said: Sequence[Message], mission: Mission, batch: int = 1
) -> Turn:
    """A turn of `role` woken by the last `batch` said messages."""
    woken = tuple(Delivery(str(n), message) for n, message in enumerate(said[-batch:]))
    claim = Claim("turn", role.name, "bench", 1, 0, woken)
    control = Control(0, RoomState.RUNNING)
    return Turn(role, roster, shared, claim, mission, control, list(said[-WINDOW:]), WINDOW)


# --- part one


def chat(count: int) -> Account:
    """`count` messages among an architect and three workers, 400 characters each; short roles, no tools."""
    names = ("Architect", "Coder", "DevOps", "QA")
    prose = "You are a member of a small infrastructure team. Do your part, and answer in a few sentences."
    roles = {
        name: Role(name, name, (), (), "default", name == "Architect", Limits.model_validate({}), prose, "sha")
        for name in names
    }
    roster = Roster.of(roles.values())
    task = Message(USER, "Publish a status page on the web server and prove that it answers.", to=("Architect",))
    mission = Mission((Request.of(task.id, task.content, task.timestamp),))
    said, account = [task], Account()
    for number in range(count):
        worker = names[1 + number // 2 % 3]
        who, to = ("Architect", worker) if number % 2 == 0 else (worker, "Architect")
        account.ask(who, opening(turn_of(roles[who], roster, "", said, mission)))
        text = f"@{to} {number}: " + "the next thing to do is this and that, " * 12
        said.append(Message(who, text[:400], to=(to,), id=f"m{number}"))
    return account


# --- part two


@dataclass
class Thinking:
    """A recorded turn under way, by both rules."""

    ours: Conversation
    theirs: list[BaseMessage]
    calls: list[tuple[ToolCall, str]] = field(default_factory=list)


class Replay:
    """One recorded session."""

    def __init__(self, prompts: PromptLibrary, toolbox: Toolbox) -> None:
        self.ours, self.theirs = Account(), Account()
        self._prompts = prompts
        self._roster = prompts.roster()
        self._shared = prompts.shared()
        self._schemas = {
            name: toolbox.registry.schemas(
                [tool for tool in prompts.role(name).tools if tool in toolbox.registry.names()]
            )
            for name in NAMES.values()
        }
        self._said: list[Message] = []
        self._mission = Mission()
        self._turns: dict[str, Thinking] = {}

    def play(self, events: Iterator[dict[str, Any]]) -> None:
        """Take the events in order."""
        for number, event in enumerate(events):
            if "say" in event:
                self._say(event, number)
            elif (name := NAMES.get(event.get("turn") or event.get("step") or event.get("tool", ""))) is None:
                continue
            elif "turn" in event:
                self._turns[name] = self._begun(name)
            elif "step" in event:
                self._step(name)
            elif thinking := self._turns.get(name):
                # a record may be cut in the middle of its arguments: then the text as it stands
                args = arguments(event["args"]) or {"text": event["args"]}
                call = ToolCall(f"call_{number}", event["name"], args)
                thinking.calls.append((call, event["result"]))

    def _say(self, event: dict[str, Any], number: int) -> None:
        sender = NAMES.get(event["say"], event["say"])
        message = Message(sender, event["text"], id=f"m{number}", timestamp="2026-01-01T00:00:00.000+00:00")
        self._said.append(message)
        if sender == USER:
            request = Request.of(message.id, message.content, message.timestamp)
            self._mission = Mission((*self._mission.requests, request))

    def _begun(self, name: str) -> Thinking:
        role = self._prompts.role(name)
        turn = turn_of(role, self._roster, self._shared, self._said, self._mission)
        window = "\n".join(f"[{message.sender}]: {message.content}" for message in self._said[-WINDOW:])
        system = SystemMessage(wording.system_prompt(role, self._roster, self._shared))
        return Thinking(
            Conversation(opening(turn), _budget(turn, self._schemas[name])), [system, HumanMessage(window)]
        )

    def _step(self, name: str) -> None:
        thinking = self._turns.get(name) or self._begun(name)
        self._turns[name] = thinking
        if thinking.calls:
            message = history_message("", [call for call, _ in thinking.calls])
            for add in (thinking.ours.add, thinking.theirs.append):
                add(message)
            for call, result in thinking.calls:
                thinking.ours.result(call.id, result)
                thinking.theirs.append(thinking.ours.messages[-1])
            thinking.calls = []
        thinking.ours.fit()
        self.ours.ask(name, thinking.ours.messages, self._schemas[name])
        self.theirs.ask(name, thinking.theirs, self._schemas[name])


def events_of(path: Path) -> Iterator[dict[str, Any]]:
    """The events of a recorded session."""
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def replay(folder: Path) -> tuple[Account, Account]:
    """Print a line per session and rule; return the sums (ours, theirs)."""
    sums = Account(), Account()
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(minilab_home=Path(home), _env_file=None)
        toolbox = Toolbox(
            settings, InMemoryRoom("bench"), SecretMask(), Ledger(Path(home), "bench", SecretMask(), print)
        )
        print(HEAD)
        for path in sorted(folder.glob("*.jsonl")):
            session = Replay(PromptLibrary(HOME / "prompts"), toolbox)
            session.play(events_of(path))
            for total, part, rule in zip(
                sums, (session.ours, session.theirs), ("ours", "recorded rule"), strict=True
            ):
                print(part.line(f"{path.stem} {rule}"))
                total.requests, total.input = total.requests + part.requests, total.input + part.input
                total.cached, total.peak = total.cached + part.cached, max(total.peak, part.peak)
    return sums


def verdict(name: str, met: bool) -> int:
    """Print whether a goal is met; 1 if it isn't."""
    print(f"{name}: {'met' if met else 'MISSED'}")
    return 0 if met else 1


def main() -> int:
    """Measure and print; exit code 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="recorded sessions")
    folder = parser.parse_args().folder
    print(HEAD)
    for count in (20, 40, 80):
        account = chat(count)
        print(account.line(f"4 agents, {count} messages"))
    missed = verdict(f"≤ {GOAL_CHAT:,} prompt tokens at 80 messages", account.input <= GOAL_CHAT)
    if folder is None:
        return missed
    ours, theirs = replay(folder)
    print(ours.line("all sessions, ours"))
    print(theirs.line("all sessions, recorded rule"))
    share = ours.nano / theirs.nano if theirs.nano else 1.0
    missed += verdict(f"{share:.3f} of the dollars (goal ≤ {GOAL_SHARE:g})", share <= GOAL_SHARE)
    return missed + verdict(f"peak of {ours.peak:,} tokens (goal ≤ {GOAL_PEAK:,})", ours.peak <= GOAL_PEAK)


if __name__ == "__main__":
    sys.exit(min(main(), 1))
