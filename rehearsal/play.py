"""Which rule answers a conversation, and what it says. Pure: the same request gets the same line, always."""

import re
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rehearsal.conversation import Answered, Conversation
from rehearsal.scenario import Call, CallPattern, Result, Rule, Scenario

_SHOWN = 100  # characters of a text quoted in an error: clients show little of an error


class NoLine(Exception):
    """No rule fits: says for whom, which rule came nearest, and what kept it from answering."""


@dataclass(frozen=True, slots=True)
class Said:
    """A tool call of a line. `arguments` is None where `raw` is to be sent as it stands."""

    tool: str
    arguments: Mapping[str, Any] | None
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """What a role answers."""

    rule: Rule
    text: str
    calls: tuple[Said, ...]


@dataclass(frozen=True, slots=True)
class _Trial:
    """How a rule fared: `met` conditions held, then `obstacle`; no obstacle means it fits."""

    rule: Rule
    met: int
    obstacle: str | None
    groups: Mapping[str, str]


def line_for(scenario: Scenario, conversation: Conversation) -> Line:
    """The line of the first rule that fits. Raise NoLine."""
    trials = []
    for rule in scenario.rules:
        if rule.role != conversation.role:
            continue
        trial = _try(rule, conversation)
        if trial.obstacle is None:
            return _spoken(scenario, rule, conversation, trial.groups)
        trials.append(trial)
    raise NoLine(_complaint(scenario, conversation, trials))


def _complaint(scenario: Scenario, conversation: Conversation, trials: list[_Trial]) -> str:
    plays = f"The rehearsal '{scenario.name}' only plays: {scenario.plays}"
    if not trials:
        return f"no line for {conversation.role}: the scenario has no rule for this role. {plays}"
    nearest = max(trials, key=lambda trial: trial.met)
    return f"no line for {conversation.role}: nearest rule '{nearest.rule.id}': {nearest.obstacle}. {plays}"


def _try(rule: Rule, conversation: Conversation) -> _Trial:
    groups: dict[str, str] = {}
    met = 0
    for obstacle in _obstacles(rule, conversation, groups):
        if obstacle:
            return _Trial(rule, met, obstacle, groups)
        met += 1
    return _Trial(rule, met, None, groups)


def _obstacles(rule: Rule, conversation: Conversation, groups: dict[str, str]) -> Iterable[str | None]:
    """For each condition in turn, what stands against it; named groups are collected on the way."""
    when = rule.when
    if when.heard is not None:
        yield _mismatch("the message that woke the turn", when.heard, conversation.heard, groups)
    if when.unheard is not None:
        found = re.search(when.unheard, conversation.heard)
        yield f"the message that woke the turn matches /{when.unheard}/" if found else None
    for wanted in when.after:
        yield _result_obstacle(wanted, conversation.results, groups)
    for call in when.before:
        made = _meant(call, conversation.results)
        yield f"{_named(call)} was called in this turn already" if made else None
    if when.step is not None:
        yield f"this is step {conversation.step}, not {when.step}" if conversation.step != when.step else None


def _result_obstacle(wanted: Result, results: Iterable[Answered], groups: dict[str, str]) -> str | None:
    meant = _meant(wanted, results)
    if not meant:
        return f"{_named(wanted)} was not called in this turn"
    last = meant[-1].content
    if wanted.lacks is not None and re.search(wanted.lacks, last):
        return f"the result of {wanted.tool} matches /{wanted.lacks}/: {_quoted(last)}"
    if wanted.says is not None:
        return _mismatch(f"the result of {wanted.tool}", wanted.says, last, groups)
    return None


def _meant(call: CallPattern, results: Iterable[Answered]) -> list[Answered]:
    return [
        result
        for result in results
        if result.tool == call.tool
        and all(re.search(pattern, str(result.args.get(name, ""))) for name, pattern in call.args.items())
    ]


def _named(call: CallPattern) -> str:
    return call.tool + "".join(f" with {name} like /{pattern}/" for name, pattern in call.args.items())


def _mismatch(what: str, pattern: str, text: str, groups: dict[str, str]) -> str | None:
    match = re.search(pattern, text)
    if not match:
        return f"{what} does not match /{pattern}/: {_quoted(text)}"
    groups.update({name: value for name, value in match.groupdict().items() if value is not None})
    return None


def _quoted(text: str) -> str:
    flat = " ".join(text.split())
    return repr(flat if len(flat) <= _SHOWN else flat[:_SHOWN] + "…")


def _spoken(scenario: Scenario, rule: Rule, conversation: Conversation, groups: Mapping[str, str]) -> Line:
    values: dict[str, str | int] = dict(groups)
    for name in rule.placeholders() - values.keys():
        values[name] = _fact(scenario, rule, conversation, name)
    think = f"<think>{_filled(rule.think, values).strip()}</think>\n" if rule.think else ""
    return Line(
        rule=rule,
        text=think + (_filled(rule.say, values).strip() if rule.say else ""),
        calls=tuple(_call(call, values) for call in rule.call),
    )


def _fact(scenario: Scenario, rule: Rule, conversation: Conversation, name: str) -> str | int:
    fact = scenario.facts.get(name)
    for text in (conversation.heard, *conversation.earlier) if fact else ():
        if fact and (found := re.findall(fact.pattern, text)):
            return int(found[-1]) if fact.type == "integer" else str(found[-1])
    raise NoLine(
        f"no line for {conversation.role}: rule '{rule.id}' fits but needs '{name}', which nobody has named. "
        f"The rehearsal '{scenario.name}' only plays: {scenario.plays}"
    )


def _call(call: Call, values: Mapping[str, str | int]) -> Said:
    if call.raw is not None:
        return Said(call.tool, None, _filled(call.raw, values))
    return Said(call.tool, {name: _value(value, values) for name, value in call.args.items()})


def _value(value: Any, values: Mapping[str, str | int]) -> Any:
    """The value filled in; one that is a placeholder and nothing else keeps the fact's type."""
    if isinstance(value, str):
        whole = re.fullmatch(r"\$\{(\w+)\}", value)
        return values[whole[1]] if whole else _filled(value, values)
    if isinstance(value, Mapping):
        return {name: _value(item, values) for name, item in value.items()}
    if isinstance(value, list):
        return [_value(item, values) for item in value]
    return value


def _filled(text: str, values: Mapping[str, str | int]) -> str:
    return string.Template(text).substitute(values)
