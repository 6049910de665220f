"""One approval, one act, once: every way to use it otherwise must fail, and the right way must work."""

import hashlib
import json
import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.domain.approval import (
    Approval,
    Capsule,
    Decision,
    State,
    canonical,
    consumed,
    decided,
    digest,
    is_usable,
    may_decide,
    objection_to_deciding,
    request,
    state_of,
)
from agents.domain.errors import BadInput

CAPSULE = Capsule(
    room="agent_channel",
    epoch=3,
    role="DevOps",
    tool="run_ansible",
    args={"playbook": "config/site.yml", "extra_vars": {"ips": ["10.0.0.1"]}, "check": False},
    targets=("web", "db"),
    material={"playbook": "ab" * 32},
)
NOW = 1_000.0


def asked(*needed: str) -> Approval:
    return request("a1", CAPSULE, needed or ("Security",), NOW, lifetime=60)


def yes(by: str, at: float = NOW + 1, of: str | None = None) -> Decision:
    return Decision(by, True, of or digest(CAPSULE), at)


def no(by: str, reason: str = "too wide", at: float = NOW + 1) -> Decision:
    return Decision(by, False, digest(CAPSULE), at, reason)


# --- the digest

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=15,
)  # fmt: skip


@given(json_values)
def test_canonical_json_survives_a_round_trip(value: Any) -> None:
    once = canonical(value)
    assert canonical(json.loads(once)) == once
    assert once.isascii()


@given(json_values, json_values)
def test_different_values_are_spelt_differently(one: Any, other: Any) -> None:
    # Python's == calls True and 1 the same; JSON doesn't, and neither may the digest
    if canonical(one) == canonical(other):
        assert one == other


@given(st.dictionaries(st.text(max_size=3), st.integers(), min_size=2, max_size=5))
def test_the_order_of_keys_means_nothing(value: dict[str, int]) -> None:
    assert canonical(value) == canonical(dict(reversed(list(value.items()))))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (60, 60.0, True),
        (0.1, 0.10, True),
        (-0.0, 0, True),
        (1, True, False),
        (1, "1", False),
        (0.1, 0.1000001, False),
        (2**53 + 1, float(2**53), False),
        (None, "null", False),
        ([1, 2], [2, 1], False),
        ((1, 2), [1, 2], True),
        ("é", unicodedata.normalize("NFD", "é"), False),  # two file names
        ("a\u200bb", "ab", False),
        ("\ud800", "?", False),
        ({"a": None}, {}, False),
        ([[], [1]], [[1], []], False),
        ({"a": {"b": 1}}, {"a.b": 1}, False),
    ],
)
def test_what_is_the_same_act(one: Any, other: Any, same: bool) -> None:
    assert (canonical(one) == canonical(other)) is same


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), -float("inf"), b"x", {1: 2}, {"a": {1, 2}}, object(), 1j, 10**5000, nested(100_000)],
    ids=lambda value: str(type(value)),
)
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    with pytest.raises(BadInput, match="capsule"):
        canonical({"args": value})
    assert canonical({"args": nested(20)})


@pytest.mark.parametrize(
    "change",
    [
        {"room": "other"},
        {"epoch": 4},
        {"role": "Coder"},
        {"tool": "run_ssh"},
        {"args": {**CAPSULE.args, "check": True}},
        {"args": {**CAPSULE.args, "extra_vars": {"ips": ["10.0.0.2"]}}},
        {"args": {"playbook": "config/site.yml "}},
        {"targets": ("web",)},
        {"targets": ("web", "db", "db2")},
        {"material": {"playbook": "ab" * 31 + "ac"}},
        {"material": {**CAPSULE.material, "inventory": "cd" * 32}},
    ],
)
def test_any_change_is_another_act(change: dict[str, Any]) -> None:
    other = replace(CAPSULE, **change)
    assert digest(other) != digest(CAPSULE)
    given_leave = decided(asked(), yes("Security"), 3)
    assert is_usable(given_leave, digest(CAPSULE), NOW + 2, 3)
    assert not is_usable(given_leave, digest(other), NOW + 2, 3)
    with pytest.raises(BadInput, match="another act"):
        consumed(given_leave, digest(other), NOW + 2, 3)


def test_the_order_of_targets_means_nothing() -> None:
    assert digest(replace(CAPSULE, targets=("db", "web", "db"))) == digest(CAPSULE)
    assert len(digest(CAPSULE)) == 64


def test_the_digest_is_no_plain_hash_of_its_json() -> None:
    assert digest(CAPSULE) != hashlib.sha256(canonical(CAPSULE.as_json())).hexdigest()


# --- deciding


@pytest.mark.parametrize("order", [("Security", "User"), ("User", "Security")])
def test_two_keys_in_any_order(order: tuple[str, str]) -> None:
    approval = asked("Security", "User")
    assert state_of(approval, NOW, 3) is State.PENDING
    approval = decided(approval, yes(order[0]), 3)
    assert state_of(approval, NOW, 3) is State.PENDING
    assert approval.missing == {order[1]}
    with pytest.raises(BadInput, match=f"pending, waiting for .*{order[1]}"):
        consumed(approval, approval.digest, NOW + 2, 3)
    approval = decided(approval, yes(order[1]), 3)
    assert state_of(approval, NOW, 3) is State.APPROVED


@pytest.mark.parametrize(
    ("decision", "epoch", "why"),
    [
        (yes("DevOps"), 3, "nobody approves their own"),
        (yes("Coder"), 3, "is decided by Security, not by Coder"),
        (yes("User"), 3, "is decided by Security, not by User"),
        (yes("security"), 3, "not by security"),
        (yes("Security", of="00" * 32), 3, "digest"),
        (yes("Security", at=NOW + 60), 3, "expired"),
        (yes("Security", at=NOW - 1), 3, "expired"),
        (yes("Security", at=float("nan")), 3, "expired"),
        (yes("Security"), 4, "stale"),
        (no("Security", " "), 3, "reason"),
    ],
)
def test_a_decision_that_does_not_count(decision: Decision, epoch: int, why: str) -> None:
    objection = objection_to_deciding(asked(), decision, epoch)
    assert objection is not None
    assert why in objection
    with pytest.raises(BadInput):
        decided(asked(), decision, epoch)
    assert objection_to_deciding(asked(), yes("Security"), 3) is None


def test_approving_twice_is_refused_and_changes_nothing() -> None:
    approval = decided(asked("Security", "User"), yes("Security"), 3)
    with pytest.raises(BadInput, match="already"):
        decided(approval, yes("Security"), 3)
    assert approval.missing == {"User"}


def test_one_rejection_ends_it() -> None:
    approval = decided(decided(asked("Security", "User"), yes("Security"), 3), no("User"), 3)
    assert state_of(approval, NOW + 2, 3) is State.REJECTED
    assert approval.rejection() == no("User")
    with pytest.raises(BadInput, match="rejected"):
        decided(approval, yes("User"), 3)


def test_leave_can_be_withdrawn_until_its_use() -> None:
    approval = decided(decided(asked(), yes("Security"), 3), no("Security", "the plan is old"), 3)
    assert not is_usable(approval, approval.digest, NOW + 2, 3)
    used = consumed(decided(asked(), yes("Security"), 3), asked().digest, NOW + 2, 3)
    with pytest.raises(BadInput, match="consumed"):
        decided(used, no("Security"), 3)


def test_who_may_decide() -> None:
    approval = asked("Security", "User")
    assert may_decide(approval, "User")
    assert may_decide(approval, "Security")
    assert not may_decide(approval, "DevOps")
    assert not may_decide(approval, "QA")
    assert not may_decide(replace(approval, needed=frozenset({"DevOps"})), "DevOps")


@pytest.mark.parametrize("needed", [(), ("DevOps",), ("Security", "DevOps")])
def test_a_request_nobody_else_could_decide_is_refused(needed: tuple[str, ...]) -> None:
    with pytest.raises(BadInput, match="somebody else"):
        request("a1", CAPSULE, needed, NOW)
    assert request("a1", CAPSULE, ("User",), NOW).needed == {"User"}


@pytest.mark.parametrize("lifetime", [0, -1, float("inf"), float("nan")])
def test_an_approval_always_expires(lifetime: float) -> None:
    with pytest.raises(BadInput, match="finite"):
        request("a1", CAPSULE, ("User",), NOW, lifetime)
    with pytest.raises(BadInput, match="finite"):
        request("a1", CAPSULE, ("User",), float("nan"))


# --- using


def test_used_once() -> None:
    approval = decided(asked(), yes("Security"), 3)
    used = consumed(approval, approval.digest, NOW + 2, 3)
    assert state_of(used, NOW + 2, 3) is State.CONSUMED
    with pytest.raises(BadInput, match="consumed"):
        consumed(used, approval.digest, NOW + 3, 3)
    assert not is_usable(used, approval.digest, NOW + 3, 3)


@pytest.mark.parametrize(
    ("now", "epoch", "usable"),
    [
        (NOW + 2, 3, True),
        (NOW + 59.9, 3, True),
        (NOW + 60, 3, False),
        (NOW + 1e9, 3, False),
        (NOW - 1, 3, False),
        (float("nan"), 3, False),
        (NOW + 2, 2, False),
        (NOW + 2, 4, False),
    ],
)
def test_only_in_its_time_and_epoch(now: float, epoch: int, usable: bool) -> None:
    approval = decided(asked(), yes("Security"), 3)
    assert is_usable(approval, approval.digest, now, epoch) is usable


def test_an_approval_without_deciders_is_never_usable() -> None:
    assert not is_usable(replace(asked(), needed=frozenset()), asked().digest, NOW, 3)
