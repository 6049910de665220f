"""An approval binds one act: its digest covers all that would really run, and nothing else may use it.

Canonical JSON here: keys sorted by code point, no blanks, ASCII with \\u escapes, whole floats as integers, no NaN.
Text is not Unicode-normalised: two spellings of a file name are two files, so they must be two digests.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from agents.domain.errors import BadInput
from agents.domain.message import USER

SECURITY = "Security"
LIFETIME = 3600.0  # seconds an approval waits for decisions and use
_DOMAIN = b"minilab-capsule-1\n"  # keeps the digest from being taken for a hash of anything else
_EXACT_FLOAT = 2**53
_LONGEST_INTEGER = 4096  # bits


def canonical(value: Any) -> bytes:
    """The one spelling of a JSON value. Raise BadInput for what JSON can't say."""
    try:
        plain = _canonical_value(value, "capsule")
        return json.dumps(plain, sort_keys=True, allow_nan=False, separators=(",", ":")).encode("ascii")
    except RecursionError:
        raise BadInput("capsule: nested too deep; pass a file's path instead of its content") from None


def _canonical_value(value: Any, where: str) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        if value.bit_length() > _LONGEST_INTEGER:
            raise BadInput(f"{where}: an integer of {value.bit_length():,} bits; pass it as text")
        return int(value)
    if isinstance(value, float):
        return _canonical_float(value, where)
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise BadInput(f"{where}: a key that is no text; JSON objects have text keys")
        return {str(key): _canonical_value(item, f"{where}.{key}"[:200]) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical_value(item, f"{where}[{at}]"[:200]) for at, item in enumerate(value)]
    raise BadInput(
        f"{where}: a {type(value).__name__} has no canonical form; give it as text, number, list or object"
    )


def _canonical_float(value: float, where: str) -> float | int:
    if not math.isfinite(value):
        raise BadInput(f"{where}: {value} is not a number JSON knows")
    # 60 and 60.0 mean the same timeout, whichever the model wrote
    return int(value) if value.is_integer() and abs(value) <= _EXACT_FLOAT else value


@dataclass(frozen=True, slots=True)
class Capsule:
    """One act, whole: who does what to which targets, and the hashes of what would really run (`material`)."""

    room: str
    epoch: int
    role: str
    tool: str
    args: Mapping[str, Any]
    targets: tuple[str, ...] = ()
    material: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The capsule as a JSON object. Targets are a set: their order means nothing."""
        return {
            "room": self.room,
            "epoch": self.epoch,
            "role": self.role,
            "tool": self.tool,
            "args": dict(self.args),
            "targets": sorted(set(self.targets)),
            "material": dict(self.material),
        }


def digest(capsule: Capsule) -> str:
    """The SHA-256 (hex) that an approval of this act names."""
    return hashlib.sha256(_DOMAIN + canonical(capsule.as_json())).hexdigest()


class State(StrEnum):
    """Where an approval stands."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    STALE = "stale"  # the room's epoch moved on
    CONSUMED = "consumed"


@dataclass(frozen=True, slots=True)
class Decision:
    """One decider's word on one digest; `at` in Unix seconds, `sig` the decider's signature."""

    by: str
    approve: bool
    digest: str
    at: float
    reason: str = ""
    sig: str = ""


@dataclass(frozen=True, slots=True)
class Approval:
    """A request to do one act, once, before `expires` (Unix seconds), by leave of everyone in `needed`.

    `sig` is the requester's signature of all but the times, which are the room's, and of the card.
    """

    id: str
    room: str
    epoch: int
    requester: str
    digest: str
    needed: frozenset[str]
    requested: float
    expires: float
    decisions: tuple[Decision, ...] = ()
    consumed: bool = False
    sig: str = ""

    @property
    def missing(self) -> frozenset[str]:
        """The deciders who have not approved yet."""
        return self.needed - {decision.by for decision in self.decisions if decision.approve}

    def rejection(self) -> Decision | None:
        """The decision that ended it, or None. One rejection is enough."""
        return next((decision for decision in self.decisions if not decision.approve), None)


def request(id: str, capsule: Capsule, needed: Iterable[str], now: float, lifetime: float = LIFETIME) -> Approval:
    """A fresh approval of the act. Raise BadInput where nobody could ever decide it."""
    keys = frozenset(needed)
    if not keys or capsule.role in keys:
        named = ", ".join(sorted(keys)) or "nobody"
        raise BadInput(
            f"{capsule.role} needs somebody else's leave for {capsule.tool}, and {named} is named to give it"
        )
    if not math.isfinite(now) or not 0 < lifetime < math.inf:
        raise BadInput(f"an approval lives for a finite time, not {lifetime} s from {now}")
    return Approval(id, capsule.room, capsule.epoch, capsule.role, digest(capsule), keys, now, now + lifetime)


def state_of(approval: Approval, now: float, epoch: int) -> State:
    """Where it stands at this time and epoch. A state that ends it wins over one that doesn't."""
    if approval.consumed:
        return State.CONSUMED
    if approval.rejection():
        return State.REJECTED
    if approval.epoch != epoch:
        return State.STALE
    # not (now < expires): a time that is no number expires it
    if not approval.requested <= now < approval.expires:
        return State.EXPIRED
    return State.PENDING if not approval.needed or approval.missing else State.APPROVED


def objection_to_deciding(approval: Approval, decision: Decision, epoch: int) -> str | None:
    """Why this decision doesn't count, or None."""
    if decision.by == approval.requester:
        return f"{decision.by} asked for {approval.id}: nobody approves their own act"
    if decision.by not in approval.needed:
        return f"{approval.id} is decided by {names(approval.needed)}, not by {decision.by}"
    if decision.digest != approval.digest:
        return f"the digest is not that of {approval.id}: look at it again before deciding"
    state = state_of(approval, decision.at, epoch)
    if state not in (State.PENDING, State.APPROVED):
        return f"{approval.id} is {state.value}"
    if decision.approve and decision.by not in approval.missing:
        return f"{decision.by} approved {approval.id} already"
    if not decision.approve and not decision.reason.strip():
        return f"a rejection of {approval.id} needs its reason"
    return None


def may_decide(approval: Approval, who: str) -> bool:
    """Whether `who` is one of the keys this act needs: never the one who asked for it."""
    return who in approval.needed and who != approval.requester


def decided(approval: Approval, decision: Decision, epoch: int) -> Approval:
    """The approval with the decision; leave may be withdrawn until its use. Raise BadInput with the objection."""
    if objection := objection_to_deciding(approval, decision, epoch):
        raise BadInput(objection)
    return replace(approval, decisions=(*approval.decisions, decision))


def is_usable(approval: Approval, act_digest: str, now: float, epoch: int) -> bool:
    """Whether exactly this act may start now."""
    return act_digest == approval.digest and state_of(approval, now, epoch) is State.APPROVED


def consumed(approval: Approval, act_digest: str, now: float, epoch: int) -> Approval:
    """The approval, used up. Raise BadInput saying why it can't be used."""
    if act_digest != approval.digest:
        raise BadInput(f"{approval.id} was given for another act: what would run has changed since")
    state = state_of(approval, now, epoch)
    if state is not State.APPROVED:
        waiting = f", waiting for {names(approval.missing)}" if state is State.PENDING else ""
        raise BadInput(f"{approval.id} is {state.value}{waiting}")
    return replace(approval, consumed=True)


def names(who: Iterable[str]) -> str:
    """Deciders, for people."""
    return " and ".join("the User" if name == USER else name for name in sorted(who))
