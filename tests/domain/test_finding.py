"""Findings: the same thing is raised once, decided once, and blocks what it touches and nothing else."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.domain.errors import BadInput
from agents.domain.finding import (
    TRANSITIONS,
    Finding,
    FindingStatus,
    Severity,
    blocks,
    fingerprint,
    may_raise,
    moved,
    normalised_target,
    raised,
)


def finding(
    target: str = "infra/site/main.tf", severity: Severity = Severity.HIGH, status: FindingStatus = FindingStatus.OPEN
) -> Finding:
    fresh = raised("no plaintext secrets", target, severity, "line 3: password = …", "Security", "sha-1", None)
    return replace(fresh, status=status)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("no-plaintext-secrets", "infra/a"), ("No plaintext secrets", "infra/a/"), True),
        (("no_plaintext_secrets", "./infra//a"), ("NO-PLAINTEXT-SECRETS.", "/infra/a"), True),
        (("no-plaintext-secrets", "infra/a"), ("no-plaintext-secrets", "infra/b"), False),
        (("no-plaintext-secrets", "infra/a"), ("open-port", "infra/a"), False),
        (("a-b", "c"), ("a", "b/c"), False),
    ],
)
def test_the_same_finding_in_other_words(one: tuple[str, str], other: tuple[str, str], same: bool) -> None:
    assert (fingerprint(*one) == fingerprint(*other)) is same


@pytest.mark.parametrize(
    ("rule", "target"), [("", "x"), ("—", "x"), ("r", ""), ("r", "/"), ("r", "a/../b"), ("r", " ")]
)
def test_a_finding_without_rule_or_target_is_refused(rule: str, target: str) -> None:
    with pytest.raises(BadInput):
        fingerprint(rule, target)
    assert fingerprint("r", "x")


@given(st.text(), st.text())
def test_any_text_has_a_fingerprint_or_a_complaint(rule: str, target: str) -> None:
    try:
        mark = fingerprint(rule, target)
    except BadInput:
        return
    assert len(mark) == 16
    assert normalised_target(normalised_target(target)) == normalised_target(target)


def test_an_open_finding_is_not_raised_again() -> None:
    objection = may_raise(finding(), "sha-2")
    assert objection is not None
    assert "open already" in objection
    with pytest.raises(BadInput, match="open already"):
        raised("no plaintext secrets", "infra/site/main.tf", Severity.HIGH, "again", "Security", "sha-2", finding())


@pytest.mark.parametrize("status", [FindingStatus.MITIGATED, FindingStatus.ACCEPTED, FindingStatus.REJECTED])
def test_a_decided_finding_stands_until_its_target_changes(status: FindingStatus) -> None:
    done = moved(finding(), status, "User", "it is a lab", "sha-2")
    objection = may_raise(done, "sha-2")
    assert objection is not None
    assert "the decision stands" in objection
    assert may_raise(done, "sha-3") is None
    again = raised(done.rule, done.target, Severity.LOW, "other evidence", "Security", "sha-3", done)
    assert (again.status, again.raised, again.id) == (FindingStatus.OPEN, 2, done.id)


@pytest.mark.parametrize(
    ("start", "end", "by"), [(a, b, who) for a, b in itertools.product(FindingStatus, repeat=2)
                             for who in ("User", "Security", "System", "DevOps", "Coder", "Architect")]
)  # fmt: skip
def test_transitions(start: FindingStatus, end: FindingStatus, by: str) -> None:
    before = finding(status=start)
    if by in TRANSITIONS.get((start, end), ()):
        after = moved(before, end, by, " because ", "sha-9")
        assert (after.status, after.decided_by, after.reason, after.content) == (end, by, "because", "sha-9")
    else:
        with pytest.raises(BadInput):
            moved(before, end, by, "because", "sha-9")


def test_only_the_user_accepts_a_risk_and_takes_it_back() -> None:
    accepters = {who for (_, end), whose in TRANSITIONS.items() if end is FindingStatus.ACCEPTED for who in whose}
    assert accepters == {"User"}
    assert TRANSITIONS[FindingStatus.ACCEPTED, FindingStatus.OPEN] == {"User"}


def test_a_decision_needs_a_reason() -> None:
    with pytest.raises(BadInput, match="reason"):
        moved(finding(), FindingStatus.ACCEPTED, "User", "  ", "")


@pytest.mark.parametrize(
    ("target", "touched"),
    [
        ("infra/site/main.tf", True),
        ("infra/site", True),
        ("infra", True),
        ("infra/site/main.tf/x", True),
        ("./infra/site/", True),
        ("infra/site/main.tfvars", False),
        ("infra/sit", False),
        ("infra/site2", False),
        ("config/site/main.tf", False),
        ("web-01", False),
    ],
)
def test_it_blocks_what_it_touches_and_nothing_else(target: str, touched: bool) -> None:
    assert bool(blocks([finding()], [target], Severity.HIGH)) is touched


def test_only_open_and_grave_findings_block() -> None:
    for status in FindingStatus:
        blocking = blocks([finding(status=status)], ["infra"], Severity.LOW)
        assert bool(blocking) is (status is FindingStatus.OPEN)
    assert not blocks([finding(severity=Severity.MEDIUM)], ["infra"], Severity.HIGH)
    low, critical = finding("infra/a", Severity.LOW), finding("infra/b", Severity.CRITICAL)
    assert blocks([low, critical], ["infra"], Severity.LOW) == (critical, low)
    assert not blocks([critical], [], Severity.LOW)


def test_severities_have_names() -> None:
    assert Severity.named(" High ") is Severity.HIGH
    with pytest.raises(BadInput, match="one of info, low, medium, high, critical"):
        Severity.named("catastrophic")


def test_a_line_for_people() -> None:
    assert finding().line().endswith("high no-plaintext-secrets at infra/site/main.tf: open")
    accepted = moved(finding(), FindingStatus.ACCEPTED, "User", "a lab", "")
    assert accepted.line().endswith("accepted (a lab)")
