"""The User's decisions: what waits for one, what would run, yes or no; and the risks the User takes."""

import time
from collections.abc import Callable

from agents.domain.approval import Approval, Decision
from agents.domain.card import Card, decided_by, pages_of, visible
from agents.domain.errors import BadInput
from agents.domain.finding import FindingStatus
from agents.domain.message import USER, Kind, Message
from agents.domain.ports import OpenRoom

Say = Callable[[str], None]


async def listing(opened: OpenRoom) -> str:
    """What waits for a decision, one a line; "" for nothing."""
    lines = [
        f"[{approval.id}] {Card.of_json(card).headline()} — decided by {decided_by(approval)}, "
        f"{max(approval.expires - time.time(), 0) / 60:.0f} minutes left"
        for approval, card in await opened.approvals.open()
    ]
    return "\n".join(lines)


async def shown(opened: OpenRoom, id: str) -> str:
    """The card and all of the material, as kept with the request. Raise BadInput naming what waits."""
    approval, body = await opened.approvals.find(_named(id, "/show"))
    await opened.approvals.seen(approval.id, USER)
    return "\n".join(pages_of(Card.of_json(body), approval))


async def decide(opened: OpenRoom, id: str, *, approve: bool, reason: str = "", digest: str = "") -> str:
    """Decide as the User; return what came of it. Raise BadInput with the objection."""
    approval, _ = await opened.approvals.find(_named(id, "/approve" if approve else "/reject"))
    if not approval.digest.startswith(digest.lower()):
        raise BadInput(f"{approval.id} has the digest {approval.digest}, not {digest[:64]}: look at it again")
    if not approve and not reason.strip():
        raise BadInput(f"say why, the team works by it: /reject {approval.id} the port is taken, use 8090")
    decision = Decision(USER, approve, approval.digest, time.time(), reason.strip())
    decided = await opened.approvals.decide(approval.id, decision, _event(approval, decision))
    if not approve:
        return f"{approval.id} rejected"
    missing = ", ".join(sorted(decided.missing))
    return f"{approval.id} approved" + (f"; still needed: {missing}" if missing else "")


async def findings(opened: OpenRoom) -> str:
    """The findings register; "" for none."""
    found = await opened.findings.list()
    return "\n".join(f"{visible(finding.line())}\n    {visible(finding.evidence)}" for finding in found)


async def accept_risk(opened: OpenRoom, id: str, why: str) -> str:
    """Take the risk of a finding, on the User's account. Raise BadInput with the objection."""
    if not why.strip():
        raise BadInput("say which finding and why: /accept-risk f1a2b3 it is only a lab; /findings lists the ids")
    known = next((one for one in await opened.findings.list() if one.id == id.strip("[]")), None)
    accepted = await opened.findings.move(
        id,
        FindingStatus.ACCEPTED,
        by=USER,
        reason=why.strip(),
        content=known.content if known else "",
        announce=lambda finding: Message(
            USER,
            f"accepts the risk of {visible(finding.line())}",
            Kind.APPROVAL,
            data={"action": "finding", "finding": finding.id, "status": finding.status.value},
        ),
    )
    return visible(accepted.line())


def _named(id: str, command: str) -> str:
    if not id.strip():
        raise BadInput(f"say which: {command} a1b2c3d; /approvals lists what waits")
    return id


def _event(approval: Approval, decision: Decision) -> Message:
    word = "approved" if decision.approve else "rejected"
    text = f"[{approval.id}] {word}" + (f": {visible(decision.reason, 2000)}" if decision.reason else "")
    data = {"action": word, "approval": approval.id, "digest": approval.digest}
    return Message(USER, text, Kind.APPROVAL, data=data)
