"""The room hears of its spending, once; a team without money rests."""

from agents.domain.addressing import Roster
from agents.domain.budget import Ask, Budget, Spent
from agents.domain.errors import OverBudget
from agents.domain.message import SYSTEM, USER, Message
from agents.domain.mission import Mission, RoomState
from agents.domain.turn import Outcome, StopReason
from agents.room.in_memory import InMemoryRoom
from agents.runtime.budget import BudgetAlarm
from agents.runtime.convergence import Convergence
from agents.runtime.reply import ending
from tests.react.doubles import claim, role
from tests.runtime.conftest import Stage

CENT = 10_000_000


async def poor_room(spent: int) -> tuple[InMemoryRoom, BudgetAlarm]:
    opened = InMemoryRoom("room")
    governor = opened.governor(Budget(usd=0.10))
    ask = Ask("one", "Coder", 10, CENT)
    await governor.reserve(ask)
    await governor.settle(ask, Spent(1, 10, 0, 0, spent))
    return opened, BudgetAlarm(opened, governor, "Architect")


async def test_the_lead_is_told_of_80_percent_once() -> None:
    opened, alarm = await poor_room(8 * CENT)
    for _ in range(3):
        await alarm.high()
    (message,) = await opened.room.events()
    assert (message.sender, message.to) == (SYSTEM, ("Architect",))
    assert "80 % of this room's budget of $0.10" in message.content
    assert "$0.080" in message.content
    assert await opened.inbox("Architect", "a").pending() == 1
    ask = Ask("two", "Coder", 10, CENT)
    governor = opened.governor(Budget(usd=0.10))
    await governor.reserve(ask)
    assert not await governor.settle(ask, Spent())  # told


async def test_a_room_without_a_lead_is_told_too() -> None:
    opened, _ = await poor_room(8 * CENT)
    await BudgetAlarm(opened, opened.governor(), None).high()
    assert [message.to for message in await opened.room.events()] == [()]


async def test_a_spent_budget_puts_the_room_to_rest_with_one_report() -> None:
    opened, alarm = await poor_room(10 * CENT)
    for _ in range(3):
        await alarm.over("the budget is spent")
    control = await opened.control.read()
    assert (control.state, control.reason) == (RoomState.AWAITING_INPUT, "over budget")
    (message,) = await opened.room.events()
    assert message.to == ()
    assert "- Coder: 1 model calls, 10 tokens in" in message.content
    assert await Convergence(opened, "Architect").look() is None  # nobody is nudged, no default is taken


async def test_an_open_question_does_not_wake_a_team_without_money() -> None:
    opened, alarm = await poor_room(10 * CENT)
    text = "@User which?\nDefault, taken in 0 minutes if you don't answer: the first"
    await opened.room.post(Message("Architect", text, data={"outcome": StopReason.AWAITING_INPUT.value}))
    await opened.control.set_state(RoomState.AWAITING_INPUT)
    watch = Convergence(opened, "Architect")
    await alarm.over("the budget is spent")
    assert await watch.look() is None
    await opened.room.post(Message("Architect", text, data={"outcome": StopReason.AWAITING_INPUT.value}))
    assert await watch.look() is not None  # the control: asked after that, its default is taken


def test_an_over_budget_turn_wakes_nobody_another_failure_the_lead() -> None:
    me, lead = role("Coder"), role("Architect")
    roster = Roster(("Coder", "Architect"), {}, ("Architect",))
    assert lead.name in roster.names
    for reason, to in ((StopReason.OVER_BUDGET, ()), (StopReason.FAILED, ("Architect",))):
        end = ending(me, roster, claim(), Outcome(reason, "why"), [], Mission(), 60)
        assert [reply.to for reply in end.replies] == [to]


async def test_every_agent_stops_until_the_user_raises_the_cap(stage: Stage) -> None:
    governor = stage.opened.governor(Budget(usd=0.01))
    first = Ask("one", "Coder", 10, CENT)
    await governor.reserve(first)
    await governor.settle(first, Spent(1, 10, 0, 0, CENT))
    asked = iter(range(100))

    async def mind(role: object, claim: object) -> Outcome:
        try:
            await governor.reserve(Ask(f"ask {next(asked)}", "Coder", 10, CENT))
        except OverBudget as error:
            return Outcome(StopReason.OVER_BUDGET, str(error), "over budget")
        return Outcome(StopReason.REPLIED, "@User went on")

    stage.agent("Architect", mind)
    stage.agent("Coder", mind)
    woken = await stage.say("build it", "Coder", "Architect")
    await stage.until("Coder's turn ended: over budget")
    await stage.until("Architect's turn ended: over budget")
    assert len(stage.claims) == 2  # nobody woke anybody
    assert woken.sender == USER
    assert (await stage.opened.control.read()).state is RoomState.AWAITING_INPUT
    await stage.opened.governor().set_cap(nano=5 * CENT)
    await stage.say("go on", "Coder")
    await stage.until("went on")
