"""What a turn's outcome becomes in the room: who hears it, and whether it wakes anybody. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agents.domain.addressing import Roster, is_acknowledgement, normalised
from agents.domain.message import SYSTEM, USER, Kind, Message
from agents.domain.mission import Mission
from agents.domain.role import Role
from agents.domain.turn import Claim, Outcome, StopReason, unresolved

DONE_MARK = "[DONE]"
AWAITING_MARK = "[AWAITING_INPUT]"
_TROUBLE = (StopReason.ESCALATED, StopReason.STEP_LIMIT, StopReason.OVER_BUDGET, StopReason.FAILED)


@dataclass(frozen=True, slots=True)
class Ending:
    """A turn's outcome after the room's rules, and the messages that say it."""

    outcome: Outcome
    replies: tuple[Message, ...]


def ending(
    role: Role,
    roster: Roster,
    claim: Claim,
    outcome: Outcome,
    said: Sequence[Message],
    mission: Mission,
    hop_budget: int,
) -> Ending:
    """How the turn ends. `said` is the window, oldest first. Message ids are the turn's own: a retry repeats none."""
    end = _answered(role, roster, claim, outcome, said, mission, hop_budget)
    return replace(end, replies=(*end.replies, _unseen(role, claim, outcome))) if outcome.unresolved else end


def parked(claim: Claim) -> Outcome:
    """The outcome of a turn that keeps killing its workers: it isn't tried again."""
    last = claim.entries[-1] if claim.entries else None
    where = f"step {last.step}, after {last.kind.value} {last.body.get('name', '')}".strip() if last else "its start"
    asked = claim.deliveries[-1].message
    text = (
        f"This turn is parked: its worker died {claim.attempt - 1} times over it, the last time at {where}. It is "
        f"not tried again. It was about (from @{asked.sender}): {one_line(asked.content, 300)}\n"
        "Give the task in smaller pieces or in another way; the program's log says more."
    )
    steps = last.step if last else 0
    return Outcome(StopReason.FAILED, text, "parked", steps, unresolved=unresolved(claim.entries))


def _unseen(role: Role, claim: Claim, outcome: Outcome) -> Message:
    """Tells the User of calls whose end nobody saw; it wakes nobody."""
    calls = "\n".join(f"- {line}" for line in outcome.unresolved)
    return Message(
        sender=SYSTEM,
        content=f"@User nobody saw how these calls of {role.name} ended (the worker died over them), and nobody has "
        f"looked since. They may have happened, wholly or in part, or not at all:\n{calls}",
        kind=Kind.SYSTEM,
        id=f"{claim.turn}-unseen",
        turn=claim.turn,
        data={"unresolved": list(outcome.unresolved)},
    )


def _answered(
    role: Role,
    roster: Roster,
    claim: Claim,
    outcome: Outcome,
    said: Sequence[Message],
    mission: Mission,
    hop_budget: int,
) -> Ending:
    outcome = _marked(role, outcome)
    if outcome.reason in _TROUBLE:
        return _trouble(role, roster, claim, outcome)
    if not outcome.text.strip():
        return Ending(outcome, ())
    asker = claim.deliveries[-1].message.sender if claim.deliveries else None
    to = () if _ends_mission(outcome) else roster.addressees(outcome.text, role.name, asker)
    if not to and role.answers_user and outcome.reason is StopReason.REPLIED and mission.only_talk:
        outcome = replace(outcome, reason=StopReason.DONE)  # a plain question has its answer
    if is_acknowledgement(outcome.text) or _repeats(role.name, outcome.text, to, said):
        to = ()
    reply = _message(role, claim, outcome, Kind.SAY, outcome.text, to)
    if to and reply.hops > hop_budget:
        return _out_of_hops(role, claim, outcome, reply, hop_budget)
    return Ending(outcome, (reply,))


def _marked(role: Role, outcome: Outcome) -> Outcome:
    """The outcome the Architect's marks ask for; nobody else's marks count."""
    if outcome.reason is not StopReason.REPLIED or not role.answers_user:
        return outcome
    if DONE_MARK in outcome.text:
        return replace(outcome, reason=StopReason.DONE)
    if AWAITING_MARK in outcome.text:
        return replace(outcome, reason=StopReason.AWAITING_INPUT)
    return outcome


def _ends_mission(outcome: Outcome) -> bool:
    return outcome.reason in (StopReason.DONE, StopReason.AWAITING_INPUT)


def _trouble(role: Role, roster: Roster, claim: Claim, outcome: Outcome) -> Ending:
    """A turn that ended badly is reported to those who answer the User; it wakes nobody else.

    Nobody at all where money is the trouble: no query would be answered.
    """
    report = f"{role.name}'s turn ended: {outcome.reason.value.replace('_', ' ')}. {outcome.text}".strip()
    to = tuple(name for name in roster.answers_user if name != role.name)
    if role.answers_user or outcome.reason is StopReason.OVER_BUDGET:
        to = ()
    return Ending(outcome, (_message(role, claim, outcome, Kind.SYSTEM, report, to),))


def _out_of_hops(role: Role, claim: Claim, outcome: Outcome, reply: Message, budget: int) -> Ending:
    """The chain of replies is longer than allowed: say it, wake nobody, ask the User."""
    question = Message(
        sender=SYSTEM,
        content=f"@User the team answered each other {budget} times since your last message without finishing. "
        "Nobody goes on until you say something: a hint, a smaller request, or just 'go on'.",
        kind=Kind.SYSTEM,
        id=f"{claim.turn}-hops",
        turn=claim.turn,
    )
    ended = replace(outcome, reason=StopReason.AWAITING_INPUT)
    return Ending(ended, (replace(reply, to=()), question))


def _message(role: Role, claim: Claim, outcome: Outcome, kind: Kind, text: str, to: tuple[str, ...]) -> Message:
    return Message(
        sender=role.name,
        content=text,
        kind=kind,
        to=to,
        id=f"{claim.turn}-reply",
        reply_to=claim.deliveries[-1].message.id if claim.deliveries else None,
        turn=claim.turn,
        hops=claim.hops + 1,
        prompt_sha=role.sha,
        data={"outcome": outcome.reason.value, "steps": outcome.steps},
    )


def one_line(text: str, cap: int) -> str:
    """`text` on one line of at most `cap` characters."""
    line = " ".join(text.split())
    return line if len(line) <= cap else line[: cap - 1] + "…"


def _repeats(sender: str, text: str, to: tuple[str, ...], said: Sequence[Message]) -> bool:
    """Whether the sender said the same to the same since the User last spoke."""
    same = normalised(text)
    for message in reversed(said):
        if message.sender == USER:
            return False
        if message.sender == sender and message.to == to and normalised(message.content) == same:
            return True
    return False
