"""Any sequence of queries leaves the same account on Redis as in memory."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.domain.budget import Ask, Budget, Spending, Spent
from agents.domain.errors import OverBudget
from agents.domain.message import new_id
from agents.domain.ports import Governor
from tests.room.offices import Office
from tests.support.redis_cluster import left
from tests.support.redis_server import RedisServer

BUDGET = Budget(usd=0.000_05, tokens=5000)
AMOUNTS = st.integers(0, 20_000)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("query"), st.sampled_from(["Coder", "QA", "ü : #"]), AMOUNTS, st.integers(0, 900)),
        st.tuples(st.just("release"), st.sampled_from(["Coder", "QA"]), AMOUNTS, st.integers(0, 900)),
        st.tuples(st.just("cap"), st.just(""), st.integers(1, 100_000), st.integers(1, 9000)),
        st.tuples(st.just("told"), st.just(""), st.just(0), st.just(0)),
    ),
    max_size=12,
)

pytestmark = pytest.mark.real


async def played(governor: Governor, steps: list[tuple[str, str, int, int]]) -> tuple[list[object], Spending]:
    """What each step answered, and what is spent in the end."""
    answers: list[object] = []
    for what, role, nano, tokens in steps:
        if what == "cap":
            await governor.set_cap(nano, tokens)
            continue
        if what == "told":
            await governor.told()
            continue
        ask = Ask(new_id(), role, tokens, nano)
        try:
            await governor.reserve(ask)
        except OverBudget as error:
            answers.append(str(error))
            continue
        if what == "release":
            await governor.release(ask)
        else:
            answers.append(await governor.settle(ask, Spent(1, tokens, 0, 0, nano, nano // 2)))
    return answers, await governor.spent()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_both_governors_agree(redis_server: RedisServer, steps: list[tuple[str, str, int, int]]) -> None:
    async def compare() -> None:
        real, memory = Office(redis_server.url), Office(None)
        try:
            there, here = await played(real.governor(BUDGET), steps), await played(memory.governor(BUDGET), steps)
        finally:
            await real.close()
            left(redis_server.url)  # other tests use that server, and look for what they left themselves
        assert there == here

    asyncio.run(compare())


def test_the_account_survives_a_kill_of_redis(own_server: RedisServer) -> None:
    async def spend_and_look(spend: bool) -> int:
        office = Office(own_server.url)
        office.room = "lasting"
        governor = office.governor(BUDGET)
        if spend:
            ask = Ask(new_id(), "Coder", 100, 700)
            await governor.reserve(ask)
            await governor.settle(ask, Spent(1, 100, 0, 0, 700))
        total = (await governor.spent()).total
        await office.close()
        return total.nano

    assert asyncio.run(spend_and_look(spend=True)) == 700
    own_server.kill()
    own_server.start()
    assert asyncio.run(spend_and_look(spend=False)) == 700
