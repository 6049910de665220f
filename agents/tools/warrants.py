"""The leave to act: what the policy says, what the findings say, and the approvals of everyone the policy names.

A turn that waits for an approval is suspended here: it costs no tokens, its lease is renewed by the listener, and if
its worker dies, the model's repeated call finds the living approval by its digest.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from agents.domain.approval import LIFETIME, Approval, State, names, state_of
from agents.domain.errors import Refused
from agents.domain.finding import blocks
from agents.domain.message import USER, Kind, Message, new_id
from agents.domain.ports import ApprovalBoard, FindingBoard, Ledger
from agents.tools.assessment import Assessment, Assessor, Wish
from agents.tools.material import Material
from agents.tools.policy import PolicyFile, Ruling

_MARGIN = 5.0


@dataclass(frozen=True, slots=True)
class Warrant:
    """Leave for one act: `digest` is what it covers, `approval` the id of what allows it (None: the policy does)."""

    assessment: Assessment
    ruling: Ruling
    digest: str = ""
    approval: str | None = None


@dataclass
class Warrants:
    """Obtains the leave for wishes. `complain` hears once of each fault of the policy file."""

    assessor: Assessor
    policy: PolicyFile
    approvals: ApprovalBoard
    findings: FindingBoard
    ledger: Ledger
    complain: Callable[[str], None] = lambda fault: None
    lifetime: float = LIFETIME
    _complaint: str | None = field(default=None, init=False)

    async def obtain(self, wish: Wish) -> Warrant:
        """The leave to act, after everyone agreed. Raise Refused with the reason; StaleEpoch after a STOP."""
        assessment = await self.assessor.assess(wish)
        ruling = self._ruled(assessment)
        if not assessment.acts and ruling.allowed:
            return Warrant(assessment, ruling)
        digest = self.assessor.digest(wish, assessment.material, ruling)
        self._decided(assessment, ruling, digest)
        if ruling.denied:
            raise Refused(f"{wish.tool.name} is not allowed: {'; '.join(ruling.why) or ruling.rule}")
        await self._unblocked(assessment)
        if ruling.allowed:
            return Warrant(assessment, ruling, digest)
        return Warrant(assessment, ruling, digest, await self._leave(assessment, ruling, digest))

    async def verified(self, warrant: Warrant) -> Material:
        """The material as it is right before the act. Raise Refused where it, policy or findings changed since."""
        wish = warrant.assessment.wish
        if warrant.approval:
            fresh, _ = await asyncio.gather(self.assessor.material(wish), self._unblocked(warrant.assessment))
        else:
            fresh = await self.assessor.material(wish)
        if self.assessor.digest(wish, fresh, warrant.ruling) != warrant.digest:
            raise Refused(
                f"what {wish.tool.name} would run has changed since it was "
                f"{'approved' if warrant.approval else 'assessed'}: nothing was done; call it again"
            )
        now = self._ruled(warrant.assessment)
        if now.denied or not now.needed <= warrant.ruling.needed:
            raise Refused("the policy has changed meanwhile and asks for more: nothing was done; call it again")
        return fresh

    def _ruled(self, assessment: Assessment) -> Ruling:
        policy, complaint = self.policy.current()
        if complaint and complaint != self._complaint:
            self.complain(complaint)
        self._complaint = complaint
        return policy.rule_on(assessment.proposal(), datetime.now(UTC))

    def _decided(self, assessment: Assessment, ruling: Ruling, digest: str) -> None:
        """One line of the ledger for what the policy said."""
        verdict = "denied" if ruling.denied else "allowed" if ruling.allowed else "asked"
        self.ledger.append(
            "decision",
            {
                **assessment.wish.fields(),
                "effect": assessment.risk.effect.value,
                "targets": list(assessment.material.targets),
                "digest": digest,
                "status": verdict,
                "why": "; ".join([ruling.rule, *ruling.why]),
                "needed": sorted(ruling.needed),
                "score": assessment.risk.score,
            },
        )

    async def _unblocked(self, assessment: Assessment) -> None:
        """Raise Refused where an open finding stands in the way."""
        targets = (*assessment.material.targets, *assessment.proposal().hosts)
        if not targets or not assessment.acts:
            return
        policy, _ = self.policy.current()
        if found := blocks(await self.findings.list(), targets, policy.findings_block_from):
            lines = "; ".join(finding.line() for finding in found[:5])
            raise Refused(
                f"open findings stand in the way: {lines}. Mend what they name and let Security resolve them, "
                f"or let the User decide: /accept-risk {found[0].id} why"
            )

    async def _leave(self, assessment: Assessment, ruling: Ruling, digest: str) -> str:
        """The id of the approval, once everyone agreed. Raise Refused where somebody didn't."""
        wish = assessment.wish
        claim = wish.turn.claim
        card = self.assessor.card(assessment, ruling, digest)
        asked = _approval(self.assessor.room, wish, ruling, digest, self.lifetime)
        living = await self.approvals.request(asked, card.as_json(), _event(asked, card.text(asked), wish))
        decided, state = await self._until_decided(wish, living, known=living.id != asked.id)
        facts = {**wish.fields(), "approval": living.id, "digest": digest, "turn": claim.turn}
        if state is State.APPROVED:
            self.ledger.append("decision", {**facts, "status": "approved", "by": sorted(decided.needed)})
            return living.id
        why = _refusal(decided, state, self.lifetime)
        self.ledger.note("decision", {**facts, "status": state.value, "why": why})
        raise Refused(why)

    async def _until_decided(self, wish: Wish, living: Approval, *, known: bool) -> tuple[Approval, State]:
        """The approval once it is decided, and where it stands. One that was `known` may be decided already.

        That is told by our own clock, to save a question: `begin_effect` looks by the room's.
        """
        state = state_of(living, time.time(), wish.turn.claim.epoch)
        if known and state in (State.APPROVED, State.REJECTED):
            return living, state
        wish.turn.progress(wish.turn.step, f"awaiting approval {living.id}")
        decided = await self.approvals.until_decided(living, self.lifetime + _MARGIN)
        wish.turn.progress(wish.turn.step, wish.tool.name)
        return decided, await self.approvals.state(decided)


def _approval(room: str, wish: Wish, ruling: Ruling, digest: str, lifetime: float) -> Approval:
    now = time.time()
    needed = frozenset(ruling.needed)
    if wish.role in needed:  # the policy replaces such a key by the User's: this is the last line
        raise Refused(f"{wish.role} can't decide on its own act")
    epoch = wish.turn.claim.epoch
    return Approval(f"a{new_id()[:7]}", room, epoch, wish.role, digest, needed, now, now + lifetime)


def _event(asked: Approval, text: str, wish: Wish) -> Message:
    """The request as the room sees it; it wakes the deciding roles."""
    hint = f"Read it with show_approval({asked.id!r}), then approve or reject it." if asked.needed - {USER} else ""
    user = (
        f"User: /show {asked.id}, then /approve {asked.id} or /reject {asked.id} why." if USER in asked.needed else ""
    )
    return Message(
        sender=wish.role,
        content="\n".join(filter(None, [text, hint, user])),
        kind=Kind.APPROVAL,
        to=tuple(sorted(asked.needed - {USER})),
        turn=wish.turn.claim.turn,
        hops=wish.turn.claim.hops + 1,
        data={"action": "request", "approval": asked.id, "digest": asked.digest, "needed": sorted(asked.needed)},
    )


def _refusal(decided: Approval, state: State, lifetime: float) -> str:
    if (rejection := decided.rejection()) is not None:
        return (
            f"{rejection.by} rejected {decided.id}: {rejection.reason}. The same act unchanged stays refused; "
            "change what would run as the reason says, or report it"
        )
    if state in (State.PENDING, State.EXPIRED):
        waiting = names(decided.missing)
        return (
            f"{decided.id} expired: {waiting} didn't decide within {lifetime / 60:g} minutes. Nothing was done; "
            "report that it waits for them, or call again to ask again"
        )
    return f"{decided.id} is {state.value}: nothing was done"
