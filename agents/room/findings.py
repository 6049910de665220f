"""The findings register: the `FindingBoard` port over a shelf, on Redis and in memory alike."""

import builtins
from collections.abc import Callable
from dataclasses import asdict

from pydantic import TypeAdapter, ValidationError

from agents.domain.errors import BadInput
from agents.domain.finding import Finding, FindingStatus, Severity, fingerprint, moved, raised
from agents.domain.message import Message
from agents.room.shelf import Change, Shelf, tries
from agents.room.signatures import Signatures
from agents.room.wire import delivered_to, dumped, sendable

_FINDING = TypeAdapter(Finding)
Announce = Callable[[Finding], Message]


class Findings:
    """The `FindingBoard` port: a field per fingerprint."""

    def __init__(self, shelf: Shelf, signatures: Signatures) -> None:
        self._shelf = shelf
        self._signatures = signatures

    async def raise_(
        self,
        rule: str,
        target: str,
        severity: Severity,
        evidence: str,
        *,
        by: str,
        content: str,
        announce: Announce | None = None,
    ) -> Finding:
        """See the port."""
        mark = fingerprint(rule, target)
        for _ in tries():
            text = (await self._shelf.look(mark)).texts.get(mark, "")
            known = _finding(text) if text else None
            finding = raised(rule, target, severity, evidence, by, content, known)
            if await self._put(text, finding, announce):
                return finding
        raise AssertionError

    async def move(
        self,
        id: str,
        to: FindingStatus,
        *,
        by: str,
        reason: str,
        content: str,
        announce: Announce | None = None,
    ) -> Finding:
        """See the port."""
        for _ in tries():
            texts = (await self._shelf.look()).texts
            known = _named(id.strip().strip("[]"), [found for found in map(_finding, texts.values()) if found])
            finding = moved(known, to, by, reason, content)
            if await self._put(texts[known.fingerprint], finding, announce):
                return finding
        raise AssertionError

    async def list(self) -> builtins.list[Finding]:
        """See the port."""
        found = map(_finding, (await self._shelf.look()).texts.values())
        return sorted(filter(None, found), key=lambda finding: (-finding.severity, finding.id))

    async def _put(self, old: str, finding: Finding, announce: Announce | None) -> bool:
        event = self._signatures.signed(sendable(announce(finding))) if announce else None
        change = Change(finding.fingerprint, old, _text(finding))
        return await self._shelf.swap([change], event, to=delivered_to(event) if event else ())


def _named(id: str, findings: list[Finding]) -> Finding:
    """The finding of this id, or of the only one that starts so."""
    exact = [finding for finding in findings if id in (finding.id, finding.fingerprint)]
    starts = exact or [finding for finding in findings if id and finding.id.startswith(id)]
    if len(starts) != 1:
        there = ", ".join(sorted(finding.id for finding in starts or findings)[:20]) or "none"
        raise BadInput(f"{'several findings' if starts else 'no finding'} {id[:40]!r}; there: {there}")
    return starts[0]


def _text(finding: Finding) -> str:
    return dumped({**asdict(finding), "severity": int(finding.severity), "status": finding.status.value})


def _finding(text: str) -> Finding | None:
    """The finding of its text; None of what isn't one: anybody with Redis' password may have written it."""
    try:
        return _FINDING.validate_json(text)
    except ValidationError:
        return None
