"""The text of `policy.yaml`: its schema, and complaints that name the line and the rule."""

import difflib
import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from agents.domain.errors import BadInput
from agents.domain.finding import Severity
from agents.domain.role import ROLES
from agents.domain.turn import Effect

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|24:00)")


class Then(StrEnum):
    """What a rule says of an act: who must agree, or that nobody can."""

    ALLOW = "allow"
    REVIEW = "review"
    APPROVE = "approve"
    BOTH = "both"
    DENY = "deny"


def zone_named(name: str) -> tzinfo:
    """The time zone; UTC needs no database on the machine."""
    return UTC if name == "UTC" else ZoneInfo(name)


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _pattern(value: object) -> object:
    """A pattern as text; checked here, so that a broken one is told at load."""
    if isinstance(value, str):
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"{value!r} is no regular expression: {error}") from None
    return value


def _zone(value: object) -> object:
    if isinstance(value, str):
        try:
            zone_named(value)
        except (KeyError, ValueError, OSError):  # KeyError: no such zone; the others: no name a zone could have
            raise ValueError(f"{value!r} is no time zone; write one like UTC or Europe/Berlin") from None
    return value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Pattern = Annotated[str, BeforeValidator(_pattern)]
Zone = Annotated[str, BeforeValidator(_zone)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Part):
    """How far a rule reaches. `hours` may run past midnight: the day is the one they began on."""

    max_deletes: int | None = Field(None, ge=0)
    max_changes: int | None = Field(None, ge=0)
    max_hosts: int | None = Field(None, ge=0)
    max_score: float | None = Field(None, ge=0, le=1)
    hours: str | None = None
    days: Annotated[tuple[Literal[DAYS], ...], BeforeValidator(_listed)] | None = None  # type: ignore[valid-type]
    timezone: Zone | None = None

    @field_validator("hours")
    @classmethod
    def _check_hours(cls, value: str | None) -> str | None:
        if value is not None and (not (match := _HOURS.fullmatch(value)) or match[0][:5] == match[0][6:]):
            raise ValueError(f"{value!r}: write two different times like 08:00-22:00")
        return value

    def in_window(self, now: datetime, zone: str) -> bool:
        """Whether the aware time `now` lies in the hours and days; `zone` counts where the limits name none."""
        local = now.astimezone(zone_named(self.timezone or zone))
        day = local
        if self.hours is not None:
            start, end = (int(time[:2]) * 60 + int(time[3:]) for time in self.hours.split("-"))
            minute = local.hour * 60 + local.minute
            if start < end:
                inside = start <= minute < end
            else:
                inside = minute >= start or minute < end
                day = local - timedelta(days=1) if minute < end else local
            if not inside:
                return False
        return self.days is None or DAYS[day.weekday()] in self.days


class Rule(_Part):
    """One rule: what it fits, and what it says."""

    name: str = Field(min_length=1, max_length=200)
    role: Names | None = None
    tool: Names | None = None
    effect: Annotated[tuple[Effect, ...], BeforeValidator(_listed)] | None = None
    hosts: Names | None = None
    any_host: Names | None = None
    args: dict[str, Pattern] = Field(default_factory=dict)
    then: Then
    limits: Limits = Limits.model_validate({})
    beyond: Literal[Then.REVIEW, Then.APPROVE, Then.BOTH, Then.DENY] = Then.APPROVE

    @model_validator(mode="after")
    def _check(self) -> "Rule":
        if self.then is Then.ALLOW and self.effect is None:
            raise ValueError("a rule that allows must name its effect, or it would allow the irreversible too")
        for name in ("role", "tool", "effect", "hosts", "any_host"):
            if getattr(self, name) == ():
                raise ValueError(f"{name} is empty, so the rule never fits; leave it out to fit any")
        for role in self.role or ():
            if role not in ROLES:
                raise ValueError(f"there is no role {role!r}{_nearest(role, ROLES)}")
        return self


class PolicyText(_Part):
    """The whole file."""

    version: Literal[1]
    level: str
    levels: dict[str, tuple[Rule, ...]]
    timezone: Zone = "UTC"
    risk_threshold: float = Field(0.8, ge=0, le=1)
    findings_block_from: Annotated[Severity, BeforeValidator(lambda v: _severity(v))] = Severity.HIGH
    host_groups: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> "PolicyText":
        if self.level not in self.levels:
            raise ValueError(f"level {self.level!r} is not among levels{_nearest(self.level, self.levels)}")
        return self


def parse_policy(text: str, tools: Collection[str] = ()) -> PolicyText:
    """The policy in the text. Raise BadInput naming the line, the rule and the fix.

    With `tools`, a rule for a tool that isn't among them is refused: it would silently never fit.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        body = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise BadInput(f"policy.yaml is no YAML: {' '.join(str(error).split())[:300]}") from None
    if root is None or not isinstance(body, dict):
        raise BadInput("policy.yaml is empty or no mapping; it needs version, level and levels")
    for line, key in _repeated(root):
        raise BadInput(f"policy.yaml line {line}: {key!r} is given twice; keep one")
    try:
        policy = PolicyText.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise _complaint(root, first["loc"], first["msg"].removeprefix("Value error, ")) from None
    for loc, fault in _faults(policy, tools):
        raise _complaint(root, loc, fault)
    return policy


def _faults(policy: PolicyText, tools: Collection[str]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What is wrong between the parts of the file."""
    for level, rules in policy.levels.items():
        for at, rule in enumerate(rules):
            loc = ("levels", level, at)
            for field in ("hosts", "any_host"):
                for group in getattr(rule, field) or ():
                    if group not in policy.host_groups:
                        hint = _nearest(group, policy.host_groups)
                        yield (*loc, field), f"there is no host group {group!r}{hint}"
            for tool in rule.tool or ():
                if tools and tool not in tools:
                    yield (*loc, "tool"), f"there is no tool {tool!r}{_nearest(tool, tools)}"


def _severity(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return Severity.named(value)
    except BadInput as error:
        raise ValueError(str(error)) from None


def _nearest(name: str, names: Collection[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; there is {', '.join(sorted(names)) or 'none'}"


def _complaint(root: yaml.Node, loc: tuple[str | int, ...], fault: str) -> BadInput:
    """The fault with the line it is on and the rule it is in."""
    node, rule, path = root, "", []
    for part in loc:
        found = _child(node, part)
        if found is None:
            path.append(str(part))
            break
        node = found
        path.append(str(part))
        if isinstance(name := _child(node, "name"), yaml.ScalarNode):
            rule = f" rule {name.value!r}"
    where = f" {'.'.join(path)}:" if path else ""
    return BadInput(f"policy.yaml line {node.start_mark.line + 1}:{rule}{where} {fault}")


def _child(node: yaml.Node, part: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if str(key.value) == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part]  # type: ignore[no-any-return]
    return None


def _repeated(root: yaml.Node) -> Iterator[tuple[int, str]]:
    """Lines and names of keys given twice in one mapping: YAML would silently keep the last."""
    stack, seen_nodes = [root], set()
    while stack:
        node = stack.pop()
        if id(node) in seen_nodes:
            continue
        seen_nodes.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            stack.extend(node.value)
        elif isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in seen:
                        yield key.start_mark.line + 1, key.value
                    seen.add(key.value)
                stack.append(value)
