"""A governed model: reserve, ask, settle, whatever happens; a 429 slows everybody."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from langchain_core.messages import BaseMessage, HumanMessage

from agents.domain.budget import Ask, Budget, Price, Prices, Spent
from agents.domain.errors import ModelRejected, OverBudget
from agents.domain.turn import StopReason, Usage
from agents.react.governed import OUTPUT_GUESS, GovernedModel, SharedPace, Sizes
from agents.react.messages import Reply
from agents.room.in_memory_governor import InMemoryGovernor, Ledger
from tests.react.doubles import ScriptedModel, Stage, says, turn

PRICES = Prices(Price(1, 0.1, 10), {"scripted": Price(2, 0.2, 20)})
PROMPT = [HumanMessage("x" * 400)]


@dataclass
class Bell:
    rung: list[str] = field(default_factory=list)

    async def high(self) -> None:
        self.rung.append("high")

    async def over(self, why: str) -> None:
        self.rung.append(why)


class Desk:
    """A governed model over a governor in memory."""

    def __init__(self, model: Any, budget: Budget | None = None) -> None:
        self.governor = InMemoryGovernor(Ledger(), "room", budget)
        self.bell = Bell()
        self.model = GovernedModel(model, self.governor, "Coder", PRICES, self.bell)

    async def total(self) -> Spent:
        return (await self.governor.spent()).total


def used(given: int, answered: int = 0, cached: int = 0, *, estimated: bool = False) -> Reply:
    return replace(says("ok"), usage=Usage(given, answered, cached, estimated))


async def test_what_the_model_used_is_booked_at_its_price() -> None:
    desk = Desk(ScriptedModel([used(1000, 10, 600)]))
    await desk.model.query(PROMPT, [])
    assert (await desk.governor.spent()).by_role == {
        "Coder": Spent(1, 1000, 600, 10, 1000 * (400 * 2 + 10 * 20) + 600 * 200, 0)
    }


async def test_estimated_usage_is_marked() -> None:
    desk = Desk(ScriptedModel([used(1000, 0, estimated=True)]))
    await desk.model.query(PROMPT, [])
    assert (await desk.total()).guessed == 2_000_000
    assert "(estimated: $0.002 of it)" in (await desk.total()).line()


class Watched(ScriptedModel):
    """Looks at what is reserved while it is asked."""

    ledger: Ledger
    seen: Ask

    async def query(self, messages: Sequence[BaseMessage], schemas: Sequence[dict[str, Any]]) -> Reply:
        (reservation,) = self.ledger.accounts["room"].open.values()
        self.seen = reservation.ask
        return await super().query(messages, schemas)


async def test_prompt_tools_and_a_guess_of_the_answer_are_reserved() -> None:
    model = Watched([says("ok")])
    desk = Desk(model)
    model.ledger = desk.governor._ledger
    await desk.model.query(PROMPT, [{"name": "look"}])
    prompt = Sizes().of(PROMPT, [{"name": "look"}])
    assert prompt > Sizes().of(PROMPT, []) > 100
    assert (model.seen.role, model.seen.tokens) == ("Coder", prompt + OUTPUT_GUESS)
    assert model.seen.nano == 1000 * (prompt * 2 + OUTPUT_GUESS * 20)  # the dearest of the models


async def test_a_failed_query_costs_nothing_and_is_not_in_flight() -> None:
    desk = Desk(ScriptedModel([ModelRejected("no such model")]))
    with pytest.raises(ModelRejected):
        await desk.model.query(PROMPT, [])
    assert await desk.total() == Spent()
    assert not desk.governor._ledger.accounts["room"].open


class Slow:
    async def query(self, messages: Sequence[BaseMessage], schemas: Sequence[dict[str, Any]]) -> Reply:
        await asyncio.sleep(3600)
        raise AssertionError("cancelled before")


async def test_a_cancelled_query_is_charged_for_its_prompt() -> None:
    desk = Desk(Slow())
    task = asyncio.create_task(desk.model.query(PROMPT, []))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    total = await desk.total()
    assert (total.calls, total.output, total.guessed) == (1, 0, total.nano)
    assert total.input == Sizes().of(PROMPT, [])
    assert not desk.governor._ledger.accounts["room"].open


async def test_the_alarm_rings_at_80_percent_and_when_a_query_is_refused() -> None:
    desk = Desk(ScriptedModel([used(45_000), used(5000)]), Budget(usd=0.1))
    await desk.model.query(PROMPT, [])
    assert desk.bell.rung == ["high"]
    await desk.model.query(PROMPT, [])
    with pytest.raises(OverBudget, match="is spent"):
        await desk.model.query(PROMPT, [])
    assert len(desk.bell.rung) == 3
    assert "is spent" in desk.bell.rung[-1]


async def test_a_refused_query_ends_the_turn_over_budget() -> None:
    stage = Stage(OverBudget("the room's budget is spent"))
    outcome = await stage.play(turn())
    assert (outcome.reason, outcome.text) == (StopReason.OVER_BUDGET, "the room's budget is spent")


async def test_sizes_follow_what_is_replaced() -> None:
    sizes, schemas = Sizes(), [{"name": "look"}]
    messages: list[BaseMessage] = [HumanMessage("x" * 4000), HumanMessage("y" * 40)]
    before = sizes.of(messages, schemas)
    assert sizes.of(messages, schemas) == before
    messages[0] = HumanMessage("x")
    assert sizes.of(messages, schemas) < before - 900
    del messages[1]
    assert len(sizes._known) == 1


async def test_the_shared_pace_is_the_governors() -> None:
    governor = InMemoryGovernor(Ledger(), "room")
    said: list[float] = []
    pace = SharedPace(governor, said.append)
    await pace.ready()
    await pace.slow(30)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(pace.ready(), 0.05)
    assert said == [30]
