"""A finding: something Security holds against a target, said once, decided once."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum

from agents.domain.approval import SECURITY
from agents.domain.errors import BadInput
from agents.domain.message import SYSTEM, USER


class Severity(IntEnum):
    """How grave a finding is."""

    INFO = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    @classmethod
    def named(cls, name: str) -> "Severity":
        """The severity of that name. Raise BadInput listing the names."""
        try:
            return cls[name.strip().upper()]
        except KeyError:
            raise BadInput(f"severity {name[:40]!r}: one of {', '.join(s.name.lower() for s in cls)}") from None


class FindingStatus(StrEnum):
    """Where a finding stands."""

    OPEN = "open"
    MITIGATED = "mitigated"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    STALE = "stale"


# (from, to) → who may do it
TRANSITIONS: Mapping[tuple[FindingStatus, FindingStatus], frozenset[str]] = {
    (FindingStatus.OPEN, FindingStatus.MITIGATED): frozenset((SECURITY, USER)),
    (FindingStatus.OPEN, FindingStatus.ACCEPTED): frozenset((USER,)),
    (FindingStatus.OPEN, FindingStatus.REJECTED): frozenset((SECURITY, USER)),
    (FindingStatus.OPEN, FindingStatus.STALE): frozenset((SYSTEM,)),  # its target is gone
    (FindingStatus.STALE, FindingStatus.OPEN): frozenset((SYSTEM,)),  # its target is back
    (FindingStatus.ACCEPTED, FindingStatus.OPEN): frozenset(
        (USER,)
    ),  # the User's decision is the User's to take back
    (FindingStatus.REJECTED, FindingStatus.OPEN): frozenset((USER,)),
    (FindingStatus.MITIGATED, FindingStatus.OPEN): frozenset((USER,)),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `content` is the hash of its target's content when it was raised or last decided ("" if none)."""

    id: str
    fingerprint: str
    rule: str
    target: str
    severity: Severity
    evidence: str
    raised_by: str
    content: str = ""
    status: FindingStatus = FindingStatus.OPEN
    decided_by: str = ""
    reason: str = ""
    raised: int = 1  # times, counting those with changed content

    def line(self) -> str:
        """One line for people and prompts."""
        why = f" ({self.reason})" if self.reason else ""
        return f"[{self.id}] {self.severity.name.lower()} {self.rule} at {self.target}: {self.status.value}{why}"


def fingerprint(rule: str, target: str) -> str:
    """What makes it the same finding again, in whatever words: the rule and the target. 16 hex digits.

    The evidence is left out on purpose: a model words it anew each time.
    """
    body = json.dumps([normalised_rule(rule), normalised_target(target)], ensure_ascii=True)
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def normalised_rule(rule: str) -> str:
    """The rule's name as lower-case words joined by dashes. Raise BadInput for none."""
    words = re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", rule).casefold())
    if not words:
        raise BadInput(f"rule {rule[:40]!r}: name it in a few words, like no-plaintext-secrets")
    return "-".join(words)


def normalised_target(target: str) -> str:
    """The target's path without doubled, leading or trailing slashes and dots. Raise BadInput for none."""
    parts = [part for part in target.strip().replace("\\", "/").split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise BadInput(f"target {target[:80]!r}: name the file, module or host the finding is about")
    return "/".join(parts)


def raised(
    rule: str, target: str, severity: Severity, evidence: str, by: str, content: str, known: Finding | None
) -> Finding:
    """The finding as raised now, new or open again. Raise BadInput where `may_raise` objects."""
    mark = fingerprint(rule, target)
    if objection := may_raise(known, content):
        raise BadInput(objection)
    times = known.raised + 1 if known else 1
    return Finding(
        id=f"f{mark[:6]}",
        fingerprint=mark,
        rule=normalised_rule(rule),
        target=normalised_target(target),
        severity=severity,
        evidence=evidence,
        raised_by=by,
        content=content,
        raised=times,
    )


def may_raise(known: Finding | None, content: str) -> str | None:
    """Why the finding of this fingerprint can't be raised (again), or None. `content`: the target's hash now."""
    if known is None:
        return None
    if known.status is FindingStatus.OPEN:
        return f"{known.id} is open already: point to it instead of raising it again"
    if known.content == content:
        by = f" by {known.decided_by}" if known.decided_by else ""
        return (
            f"{known.id} was {known.status.value}{by}, and {known.target} has not changed since: the decision stands"
        )
    return None


def moved(finding: Finding, to: FindingStatus, by: str, reason: str, content: str) -> Finding:
    """The finding with its new status; `content` is its target's hash at the decision.

    Raise BadInput for a step that isn't in `TRANSITIONS`, that isn't `by`'s to take, or that lacks a reason.
    """
    deciders = TRANSITIONS.get((finding.status, to))
    if deciders is None:
        raise BadInput(f"{finding.id} is {finding.status.value}: it can't become {to.value}")
    if by not in deciders:
        raise BadInput(f"only {' or '.join(sorted(deciders))} can make {finding.id} {to.value}, not {by}")
    if not reason.strip():
        raise BadInput(f"making {finding.id} {to.value} needs a reason")
    return replace(finding, status=to, decided_by=by, reason=reason.strip(), content=content)


def blocks(findings: Iterable[Finding], targets: Iterable[str], threshold: Severity) -> tuple[Finding, ...]:
    """The open findings of at least this severity that stand in the way of an act on these targets, gravest first.

    A finding touches its own target, what lies under it, and what it lies under; nothing else.
    """
    named = [normalised_target(target) for target in targets]
    standing = (
        finding
        for finding in findings
        if finding.status is FindingStatus.OPEN
        and finding.severity >= threshold
        and any(_touch(finding.target, target) for target in named)
    )
    return tuple(sorted(standing, key=lambda finding: -finding.severity))


def _touch(one: str, other: str) -> bool:
    return one == other or one.startswith(other + "/") or other.startswith(one + "/")
