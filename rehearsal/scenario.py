"""A scenario: the lines a rehearsal plays, read from YAML.

Rules are tried from top to bottom; the first whose role and conditions fit answers. Texts and arguments may name
`${placeholders}`: facts of the scenario, or named groups of the rule's own patterns. `$$` is a plain dollar sign.
"""

import re
import string
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where it is there: ten times as fast
SCENARIOS = Path(__file__).parent / "scenarios"


class ScenarioError(Exception):
    """A scenario that can't be played: names the file, the place in it and the fault."""


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    return text


Pattern = Annotated[str, AfterValidator(_pattern)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FaultKind(StrEnum):
    """How an answer can go wrong."""

    RATE_LIMIT = "429"
    SERVER_ERROR = "500"
    UNAUTHORIZED = "401"
    TRUNCATED = "truncated"
    GARBAGE = "garbage"
    HTML = "html"
    HANG = "hang"


class Fault(_Part):
    """The first `times` answers go wrong in this way; None is for ever. `retry_after` (seconds) is for 429."""

    kind: FaultKind
    times: int | None = Field(1, ge=1)
    retry_after: float = Field(1, ge=0)


class Fact(_Part):
    """Something the conversation says, such as the port: group 1 of the pattern, newest mention first."""

    pattern: Pattern
    type: Literal["string", "integer"] = "string"

    @model_validator(mode="after")
    def _has_group(self) -> "Fact":
        if re.compile(self.pattern).groups != 1:
            raise ValueError("a fact's pattern has exactly one group: the value")
        return self


class CallPattern(_Part):
    """Which calls of a tool are meant: those whose arguments match."""

    tool: str = Field(min_length=1)
    args: dict[str, Pattern] = {}


Called = Annotated[CallPattern, BeforeValidator(lambda value: {"tool": value} if isinstance(value, str) else value)]


class Result(CallPattern):
    """A tool result in this turn. `says` must match its text and `lacks` must not; the last call meant counts."""

    says: Pattern | None = None
    lacks: Pattern | None = None


class When(_Part):
    """What must hold. `heard` is matched against the messages that woke the turn; `step` counts from 1."""

    heard: Pattern | None = None
    unheard: Pattern | None = None
    step: int | None = Field(None, ge=1)
    after: tuple[Result, ...] = ()
    before: tuple[Called, ...] = Field((), description="calls not made in this turn so far; a name is any call of it")


class Call(_Part):
    """A tool call. `raw` replaces `args` to send arguments that are not what a tool expects, or no JSON at all."""

    tool: str = Field(min_length=1)
    args: dict[str, Any] = {}
    raw: str | None = None


class Rule(_Part):
    """One line of one role."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    role: str = Field(pattern=r"^[A-Za-z]\w*$")
    when: When = When()
    think: str | None = None
    say: str | None = None
    call: tuple[Call, ...] = ()
    fault: Fault | None = None

    @model_validator(mode="after")
    def _answers(self) -> "Rule":
        if not self.say and not self.call:
            raise ValueError("a rule answers with 'say', 'call' or both")
        return self

    def patterns(self) -> Iterable[str]:
        """The patterns whose named groups are placeholders."""
        if self.when.heard:
            yield self.when.heard
        yield from (result.says for result in self.when.after if result.says)

    def placeholders(self) -> set[str]:
        """Every `${name}` in the rule's texts and arguments."""
        texts = [self.think or "", self.say or "", *(call.raw or "" for call in self.call)]
        texts += (text for call in self.call for text in _texts(call.args))
        return {name for text in texts for name in placeholders(text)}


class Scenario(_Part):
    """A whole scenario. `plays` is an example of the User's words it answers to."""

    name: str
    plays: str
    facts: dict[str, Fact] = {}
    rules: tuple[Rule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> "Scenario":
        twice = [name for name, count in Counter(rule.id for rule in self.rules).items() if count > 1]
        if twice:
            raise ValueError(f"two rules are called {twice[0]!r}")
        for rule in self.rules:
            known = set(self.facts).union(*(re.compile(pattern).groupindex for pattern in rule.patterns()))
            unknown = sorted(rule.placeholders() - known)
            if unknown:
                raise ValueError(
                    f"rule {rule.id!r} uses ${{{unknown[0]}}}, which is no fact and no named group of its patterns"
                )
        return self


def placeholders(text: str) -> set[str]:
    """The names of the `${placeholders}` in `text`. Raise ValueError for a stray dollar sign."""
    template = string.Template(text)
    if not template.is_valid():
        raise ValueError(f"a stray '$' in {text[:60]!r}; write '$$' for a plain one")
    return set(template.get_identifiers())


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def load(name: str) -> Scenario:
    """The scenario called `name`, or in the file of that path. Raise ScenarioError."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else SCENARIOS / f"{name}.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        known = ", ".join(sorted(found.stem for found in SCENARIOS.glob("*.yaml")))
        raise ScenarioError(f"no scenario {name!r}; there is {known}, or give the path of a .yaml file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: {error}") from None
    return parse(text, path.name)


def parse(text: str, source: str) -> Scenario:
    """The scenario in `text`. Raise ScenarioError naming `source`, the place and the fault."""
    try:
        body = yaml.load(text, Loader=_LOADER)  # noqa: S506  both are safe loaders
    except yaml.YAMLError as error:
        raise ScenarioError(f"{source}: no YAML: {' '.join(str(error).split())}") from None
    try:
        return Scenario.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        raise ScenarioError(f"{source}: {_place(body, first['loc'])}: {message}") from None


def _place(body: Any, loc: tuple[int | str, ...]) -> str:
    """Where the fault is, with the rule's id beside its number."""
    place = ""
    for part in loc:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else part
        body = _inside(body, part)
        if isinstance(part, int) and isinstance(body, dict) and "id" in body:
            place += f" ({body['id']})"
    return place or "scenario"


def _inside(body: Any, part: int | str) -> Any:
    try:
        return body[part]
    except (KeyError, IndexError, TypeError):
        return None
