"""What an outcome becomes in the room."""

from dataclasses import replace
from typing import Any

import pytest

from agents.domain.addressing import Roster
from agents.domain.message import USER, Kind, Message
from agents.domain.mission import PROBE, Check, Mission
from agents.domain.role import Limits, Role
from agents.domain.turn import Claim, Delivery, Outcome, StopReason
from agents.runtime.reply import Ending, ending

LIMITS = Limits.model_validate({})


def role(name: str, answers_user: bool = False) -> Role:
    return Role(name, name, (), (), "default", answers_user, LIMITS, "prose", "sha-" + name)


ARCHITECT, CODER, QA = role("Architect", answers_user=True), role("Coder"), role("QA")
ROSTER = Roster.of([ARCHITECT, CODER, QA])
BUSY = Mission(acts=1)


def claim(sender: str = "Architect", to: str = "Coder", hops: int = 0) -> Claim:
    message = Message(sender, f"@{to} please", to=(to,), hops=hops, id="m1")
    return Claim("t1", to, "c", 1, 1, (Delivery("1-0", message),))


def end(who: Role, text: str, reason: StopReason = StopReason.REPLIED, **changes: Any) -> Ending:
    given: dict[str, Any] = {"claim": claim(to=who.name), "said": [], "mission": BUSY, "hop_budget": 60} | changes
    return ending(
        who, ROSTER, given["claim"], Outcome(reason, text), given["said"], given["mission"], given["hop_budget"]
    )


def test_a_tagged_reply_wakes_the_tagged() -> None:
    [reply] = end(CODER, "@QA the page is in config/site").replies
    assert reply.to == ("QA",)
    assert (reply.sender, reply.kind, reply.turn, reply.reply_to, reply.hops) == ("Coder", Kind.SAY, "t1", "m1", 1)
    assert reply.prompt_sha == "sha-Coder"


def test_an_untagged_answer_goes_back_to_the_asker() -> None:
    assert end(CODER, "The page is in config/site.").replies[0].to == ("Architect",)


def test_an_untagged_answer_to_the_user_wakes_nobody() -> None:
    assert end(CODER, "It is 42.", claim=claim(USER, "Coder")).replies[0].to == ()


@pytest.mark.parametrize("text", ["@QA thanks, noted.", "@QA Acknowledged!"])
def test_an_acknowledgement_wakes_nobody(text: str) -> None:
    assert end(CODER, text).replies[0].to == ()
    assert end(CODER, text + " Now probe port 80.").replies[0].to == ("QA",)


def test_a_repeat_wakes_nobody_until_the_user_speaks_again() -> None:
    first = end(CODER, "@QA probe it").replies[0]
    assert end(CODER, "@QA  PROBE it", said=[first]).replies[0].to == ()
    assert end(CODER, "@QA probe it again", said=[first]).replies[0].to == ("QA",)
    assert end(CODER, "@QA probe it", said=[first, Message(USER, "go on")]).replies[0].to == ("QA",)
    assert end(CODER, "@QA probe it", said=[replace(first, to=("Architect",))]).replies[0].to == ("QA",)


@pytest.mark.parametrize(
    ("mark", "reason"), [("[DONE]", StopReason.DONE), ("[AWAITING_INPUT]", StopReason.AWAITING_INPUT)]
)
def test_only_the_architect_s_marks_count(mark: str, reason: StopReason) -> None:
    by_architect = end(ARCHITECT, f"All green. {mark} @Coder", claim=claim("QA", "Architect"))
    assert by_architect.outcome.reason is reason
    assert by_architect.replies[0].to == ()
    assert end(CODER, f"I am finished {mark}").outcome.reason is StopReason.REPLIED


def test_a_plain_answer_to_a_question_ends_the_mission() -> None:
    asked = claim(USER, "Architect")
    assert end(ARCHITECT, "Two nodes.", claim=asked, mission=Mission()).outcome.reason is StopReason.DONE
    assert end(ARCHITECT, "Two nodes.", claim=asked, mission=BUSY).outcome.reason is StopReason.REPLIED
    check = Check("c1", PROBE.validate_python({"type": "tcp", "title": "port", "host": "h", "port": 1}))
    checked = Mission(checks=(check,))
    assert end(ARCHITECT, "Two nodes.", claim=asked, mission=checked).outcome.reason is StopReason.REPLIED
    assert end(ARCHITECT, "@Coder count", claim=asked, mission=Mission()).outcome.reason is StopReason.REPLIED


@pytest.mark.parametrize("reason", [StopReason.ESCALATED, StopReason.FAILED, StopReason.STEP_LIMIT])
def test_trouble_reaches_the_architect_and_nobody_else(reason: StopReason) -> None:
    [report] = end(CODER, "@QA @Coder broken", reason).replies
    assert (report.kind, report.to) == (Kind.SYSTEM, ("Architect",))
    assert reason.value.replace("_", " ") in report.content
    [own] = end(ARCHITECT, "@Coder broken", reason, claim=claim("QA", "Architect")).replies
    assert own.to == ()


def test_the_hop_budget_ends_a_runaway_chain_with_a_question() -> None:
    within = end(CODER, "@QA go", claim=claim(hops=58), hop_budget=59)
    assert within.replies[0].to == ("QA",)
    over = end(CODER, "@QA go", claim=claim(hops=59), hop_budget=59)
    reply, question = over.replies
    assert reply.to == ()
    assert question.content.startswith("@User")
    assert over.outcome.reason is StopReason.AWAITING_INPUT
    # nobody is woken any more: the budget is for chains, not for last words
    assert len(end(CODER, "@User all done", claim=claim(hops=99), hop_budget=59).replies) == 1


def test_nothing_to_say_says_nothing() -> None:
    assert end(CODER, "  ").replies == ()
