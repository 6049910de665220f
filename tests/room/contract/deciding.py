"""What the tests of approvals ask for and decide."""

import time

from agents.domain import approval as rules
from agents.domain.approval import SECURITY, Approval, Capsule, Decision
from agents.domain.message import USER, Kind, Message, new_id
from agents.domain.ports import OpenRoom

CARD = {"act": "apply", "blast": {"hosts": ["web1"]}, "risk": 0.5, "note": "ü"}


def wish(
    opened: OpenRoom,
    *,
    by: str = "DevOps",
    args: str = "x",
    needed: tuple[str, ...] = (USER,),
    lifetime: float = 60.0,
) -> Approval:
    """A fresh request of an act, which nobody was asked yet."""
    capsule = Capsule(opened.room.name, 0, by, "run_ansible", {"playbook": args}, ("web1",), {"tree": "aa"})
    return rules.request(new_id()[:8], capsule, needed, time.time(), lifetime)


async def asked(opened: OpenRoom, **wishes: object) -> Approval:
    """An approval that was asked for."""
    return await opened.approvals.request(wish(opened, **wishes), CARD, asking())  # type: ignore[arg-type]


def asking() -> Message:
    """The event of a request."""
    return Message("DevOps", "may I?", Kind.APPROVAL)


def word(by: str = USER) -> Message:
    """The event of a decision."""
    return Message(by, "decided", Kind.APPROVAL)


def yes(approval: Approval, by: str = USER) -> Decision:
    """Leave to do it."""
    return Decision(by, True, approval.digest, time.time())


def no(approval: Approval, by: str = USER, reason: str = "not today") -> Decision:
    """No leave."""
    return Decision(by, False, approval.digest, time.time(), reason)


async def allowed(opened: OpenRoom, **wishes: object) -> Approval:
    """An approval that everybody gave who had to."""
    approval = await asked(opened, **wishes)
    for by in sorted(approval.needed):
        approval = await opened.approvals.decide(approval.id, yes(approval, by), word(by))
    return approval


BOTH = (SECURITY, USER)
