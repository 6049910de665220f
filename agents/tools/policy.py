"""Who must agree to an act: the first rule of `policy.yaml` that fits it, and a few rules no file changes."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from agents.domain.approval import SECURITY, canonical
from agents.domain.errors import BadInput
from agents.domain.finding import Severity
from agents.domain.message import USER
from agents.domain.turn import Effect
from agents.tools.policy_file import Limits, PolicyText, Rule, Then, parse_policy
from agents.tools.risk import Risk

# these roles judge others' work: what they could change, they could not judge
READ_ONLY_ROLES = frozenset((SECURITY, "QA", "Observer"))
_SHELLS = frozenset(
    "run_shell run_code run_ssh run_kubectl run_ansible run_terraform copy_to_host host_app stop_app".split()
)
_ACTS = frozenset((Effect.MUTATE, Effect.DESTROY))
_KEYS: Mapping[Then, frozenset[str]] = {
    Then.ALLOW: frozenset(),
    Then.REVIEW: frozenset((SECURITY,)),
    Then.APPROVE: frozenset((USER,)),
    Then.BOTH: frozenset((SECURITY, USER)),
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """An act somebody wants to do. `hosts` are its targets by inventory name.

    `told_by_text` is what its command's text says it does, where a sandbox makes the act itself harmless.
    """

    role: str
    tool: str
    args: Mapping[str, Any]
    risk: Risk
    hosts: tuple[str, ...] = ()
    told_by_text: Effect | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the policy says: `needed` must all agree before the act; `denied` if nobody can. `why` is for the card."""

    denied: bool
    needed: frozenset[str]
    rule: str
    why: tuple[str, ...] = ()

    @property
    def allowed(self) -> bool:
        """Whether the act may happen without asking anybody."""
        return not self.denied and not self.needed


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy in force at one level."""

    text: PolicyText
    level: str
    risk_threshold: float
    human_for_every_act: bool = False

    @classmethod
    def load(cls, text: str, tools: Collection[str] = ()) -> "Policy":
        """The policy in the text of `policy.yaml`. Raise BadInput naming the line, the rule and the fix."""
        parsed = parse_policy(text, tools)
        return cls(parsed, parsed.level, parsed.risk_threshold)

    @property
    def findings_block_from(self) -> Severity:
        """The least severity at which an open finding blocks."""
        return self.text.findings_block_from

    def adjusted(
        self,
        *,
        require_human_approval: bool | None = None,
        risk_threshold: float | None = None,
        autonomous_mode: bool | None = None,
    ) -> "Policy":
        """The policy under AGENT_REQUIRE_HUMAN_APPROVAL, AGENT_RISK_THRESHOLD and AGENT_AUTONOMOUS_MODE.

        Autonomous mode takes the level of that name; required human approval adds the User to every act and outweighs
        it, by the level `suggest`. A threshold replaces the file's. None and False change nothing. Raise BadInput.
        """
        level = self.level
        if autonomous_mode:
            level = "autonomous"
        if require_human_approval:
            level = "suggest" if level != "observe" else level
        if level not in self.text.levels:
            raise BadInput(f"policy.yaml has no level {level!r}, which a setting asks for; add it under levels")
        if risk_threshold is not None and not 0 <= risk_threshold <= 1:
            raise BadInput(f"AGENT_RISK_THRESHOLD: {risk_threshold} is not between 0 and 1")
        return replace(
            self,
            level=level,
            risk_threshold=self.risk_threshold if risk_threshold is None else risk_threshold,
            human_for_every_act=self.human_for_every_act or bool(require_human_approval),
        )

    def rule_on(self, proposal: Proposal, now: datetime) -> Ruling:
        """What holds for the act at the aware time `now`."""
        effect = proposal.risk.effect
        if objection := _read_only_objection(proposal):
            return Ruling(True, frozenset(), "read-only role", (objection,))
        rule = next((rule for rule in self.text.levels[self.level] if self._fits(rule, proposal)), None)
        if rule is None:
            return _ruled(proposal, {USER}, "no rule fits", ["no rule of the policy fits this act"])
        if rule.then is Then.DENY:
            return Ruling(True, frozenset(), rule.name, (f"the policy's rule {rule.name!r} forbids it",))
        needed, why = set(_KEYS[rule.then]), []
        for excess in _excesses(rule.limits, proposal, now, self.text.timezone):
            if rule.beyond is Then.DENY:
                return Ruling(True, frozenset(), rule.name, (excess,))
            needed |= _KEYS[rule.beyond]
            why.append(excess)
        if effect in _ACTS and self.human_for_every_act:
            needed.add(USER)
            why.append("the User wants to decide every act")
        if effect is not Effect.READ and proposal.risk.score >= self.risk_threshold:
            needed.add(USER)
            why.append(f"the risk is {proposal.risk.score:g}, and from {self.risk_threshold:g} on the User decides")
        return _ruled(proposal, needed, rule.name, why)

    def _fits(self, rule: Rule, proposal: Proposal) -> bool:
        return (
            (rule.role is None or proposal.role in rule.role)
            and (rule.tool is None or proposal.tool in rule.tool)
            and (rule.effect is None or proposal.risk.effect in rule.effect)
            and (rule.hosts is None or self._hosts_in(rule.hosts, proposal.hosts, all))
            and (rule.any_host is None or self._hosts_in(rule.any_host, proposal.hosts, any))
            and all(_arg_fits(proposal.args.get(name), pattern) for name, pattern in rule.args.items())
        )

    def _hosts_in(
        self, groups: Iterable[str], hosts: tuple[str, ...], quantifier: Callable[[Iterable[bool]], bool]
    ) -> bool:
        patterns = [pattern for group in groups for pattern in self.text.host_groups[group]]
        return bool(hosts) and quantifier(any(fnmatchcase(host, p) for p in patterns) for host in hosts)


def _read_only_objection(proposal: Proposal) -> str | None:
    """Why a role that only reads can't do this, whatever any policy says."""
    if proposal.role not in READ_ONLY_ROLES:
        return None
    effects = {proposal.risk.effect, proposal.told_by_text or Effect.READ}
    if effects & _ACTS or (proposal.tool in _SHELLS and effects != {Effect.READ}):
        reasons = "; ".join(proposal.risk.reasons[:3])
        return f"{proposal.role} only reads, and this isn't known to be a read" + (f": {reasons}" if reasons else "")
    return None


def _ruled(proposal: Proposal, needed: Iterable[str], rule: str, why: Iterable[str]) -> Ruling:
    """The ruling, where nobody is asked about their own act: the User decides instead."""
    keys = {USER if key == proposal.role else key for key in needed}
    return Ruling(False, frozenset(keys), rule, tuple(why))


def _arg_fits(value: Any, pattern: str) -> bool:
    if value is None:
        return False
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        value = " ".join(value)
    text = value if isinstance(value, str) else canonical(value).decode()
    return re.fullmatch(pattern, text) is not None


def _excesses(limits: Limits, proposal: Proposal, now: datetime, zone: str) -> list[str]:
    """What of the act lies beyond the limits."""
    blast = proposal.risk.blast
    deletes = blast.deletes + blast.replaces
    counted = (
        ("deletes or replacements", deletes, limits.max_deletes),
        ("changes", blast.creates + blast.changes + deletes, limits.max_changes),
        ("hosts", max(blast.hosts, len(set(proposal.hosts))), limits.max_hosts),
        ("risk", proposal.risk.score, limits.max_score),
    )
    found = [
        f"{count:g} {name}: the limit is {most:g}"
        for name, count, most in counted
        if most is not None and count > most
    ]
    if not limits.in_window(now, zone):
        window = " ".join(filter(None, [limits.hours, ", ".join(limits.days or ())]))
        found.append(f"now is outside the window {window} ({limits.timezone or zone})")
    return found


@dataclass(slots=True)
class PolicyFile:
    """`policy.yaml`, read again at most every `every` seconds; a broken text keeps the last good policy in force.

    `read` returns the text or raises OSError; `clock` counts seconds; `adjust` applies the settings.
    """

    read: Callable[[], str]
    clock: Callable[[], float]
    adjust: Callable[[Policy], Policy] = lambda policy: policy
    tools: Collection[str] = ()
    every: float = 2.0
    _policy: Policy = field(init=False)
    _text: str = field(init=False)
    _looked: float = field(init=False)
    _complaint: str | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Read it the first time. Raise BadInput: without any good policy nothing may start."""
        try:
            self._text = self.read()
        except (OSError, UnicodeError) as error:
            raise BadInput(f"policy.yaml can't be read: {error}") from None
        self._policy = self.adjust(Policy.load(self._text, self.tools))
        self._looked = self.clock()

    def current(self) -> tuple[Policy, str | None]:
        """The policy in force, and what is wrong with the file now (None: nothing)."""
        now = self.clock()
        if now - self._looked >= self.every:
            self._looked = now
            self._look()
        return self._policy, self._complaint

    def _look(self) -> None:
        try:
            text = self.read()
            if text == self._text:
                return
            self._text = text
            self._policy = self.adjust(Policy.load(text, self.tools))
            self._complaint = None
        except (OSError, UnicodeError) as error:
            self._complaint = f"policy.yaml can't be read: {error}; the last good policy stays in force"
            self._text = ""  # so that it counts as new when it is back
        except BadInput as error:
            self._complaint = f"{error}; the last good policy stays in force"
