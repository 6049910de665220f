"""The `Governor` port."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from agents.domain.budget import NANO, Budget, Spending, Spent
from agents.domain.errors import OverBudget
from agents.domain.ports import Governor
from tests.room.offices import CENT, Office, ask, spend, took
from tests.support.redis_cluster import left

PARAMS = [
    "memory",
    pytest.param("redis_server", marks=pytest.mark.real),
    pytest.param("oldest_server", marks=pytest.mark.real),
    pytest.param("cluster", marks=pytest.mark.real),
    "stand_in",
]
SOON = 10.0  # seconds; protection against hanging, no claim of speed


@pytest.fixture(params=PARAMS)
async def office(request: pytest.FixtureRequest) -> AsyncIterator[Office]:
    place = Office(None if request.param == "memory" else request.getfixturevalue(request.param).url)
    yield place
    await place.close()
    if place.url:
        assert [key for key in left(place.url) if not key.startswith("{minilab}:budget:")] == []


async def granted(governor: Governor, role: str = "Coder") -> asyncio.Task[None]:
    """A reservation under way: done when it is granted."""
    task = asyncio.create_task(governor.reserve(ask(role)))
    await asyncio.wait([task], timeout=0.4)
    return task


async def ended(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_nothing_is_spent_in_a_new_room(office: Office) -> None:
    assert await office.governor(Budget(usd=2, tokens=9)).spent() == Spending({}, 2 * NANO, 9)


async def test_a_query_is_booked_to_its_role(office: Office) -> None:
    governor = office.governor()
    first, second = ask("Coder"), ask("QA")
    await governor.reserve(first)
    await governor.reserve(second)
    await governor.settle(first, Spent(1, 100, 60, 20, 5000, 0))
    await governor.settle(second, Spent(1, 7, 0, 2, 900, 900))
    spending = await governor.spent()
    assert spending.by_role == {"Coder": Spent(1, 100, 60, 20, 5000), "QA": Spent(1, 7, 0, 2, 900, 900)}
    assert spending.total == Spent(2, 107, 60, 22, 5900, 900)


async def test_repeating_changes_nothing(office: Office) -> None:
    governor = office.governor(Budget(rpm=2))
    wish = ask()
    await governor.reserve(wish)
    await governor.reserve(wish)
    await governor.reserve(ask())  # the repeated one took one place only
    for _ in range(2):
        await governor.settle(wish, took())
    assert (await governor.spent()).total == took()


async def test_a_spent_cap_refuses_and_says_how_to_go_on(office: Office) -> None:
    governor = office.governor(Budget(usd=0.02))
    await spend(governor)
    await spend(governor)
    with pytest.raises(OverBudget, match=r"budget of \$0\.02 is spent.*/budget 0\.04"):
        await governor.reserve(ask())
    assert (await governor.spent()).total.nano == 2 * CENT


async def test_a_cap_of_tokens_refuses(office: Office) -> None:
    governor = office.governor(Budget(usd=None, tokens=2000))
    await spend(governor)
    await spend(governor)
    with pytest.raises(OverBudget, match=r"2,000 tokens is spent.*/budget 4000 tokens"):
        await governor.reserve(ask())


async def test_what_is_in_flight_counts_until_its_bill_is_there(office: Office) -> None:
    governor = office.governor(Budget(usd=0.02))
    first, second = ask(), ask()
    await governor.reserve(first)
    await governor.reserve(second)
    third = await granted(governor)
    assert not third.done()
    await governor.settle(first, took(CENT // 10))
    await asyncio.wait_for(third, SOON)


async def test_those_who_wait_are_refused_once_the_money_is_gone(office: Office) -> None:
    governor = office.governor(Budget(usd=0.02))
    first, second = ask(), ask()
    await governor.reserve(first)
    await governor.reserve(second)
    third = await granted(governor)
    await governor.settle(first, took())
    await governor.settle(second, took())
    with pytest.raises(OverBudget):
        await asyncio.wait_for(third, SOON)


async def test_a_restart_keeps_what_is_spent(office: Office) -> None:
    await spend(office.governor(Budget(usd=0.01)))
    with pytest.raises(OverBudget):
        await office.governor(Budget(usd=0.01)).reserve(ask())
    await office.governor(Budget(usd=0.05)).reserve(ask())  # the setting was raised


async def test_the_user_raises_and_lowers_the_cap(office: Office) -> None:
    governor = office.governor(Budget(usd=0.01))
    await spend(governor)
    await office.governor().set_cap(nano=3 * CENT)
    await spend(governor)
    assert (await governor.spent()).cap_nano == 3 * CENT
    await office.governor().set_cap(nano=CENT, tokens=77)
    with pytest.raises(OverBudget):
        await governor.reserve(ask())
    spending = await office.governor().spent()
    assert (spending.cap_nano, spending.cap_tokens) == (CENT, 77)


async def test_who_only_looks_sees_the_workers_caps(office: Office) -> None:
    await spend(office.governor(Budget(usd=0.5, tokens=5000)))
    spending = await office.governor().spent()
    assert (spending.cap_nano, spending.cap_tokens) == (NANO // 2, 5000)


async def test_no_cap_is_no_cap(office: Office) -> None:
    governor = office.governor(Budget(usd=None))
    assert not await spend(governor, 5_000_000 * NANO)
    await governor.reserve(ask())
    assert (await governor.spent()).total.nano == 5_000_000 * NANO


async def test_high_spending_is_told_until_somebody_was_told_and_again_under_a_new_cap(office: Office) -> None:
    governor = office.governor(Budget(usd=0.10))
    assert [await spend(governor) for _ in range(8)] == [False] * 7 + [True]
    assert await spend(governor)
    await governor.told()
    assert not await spend(governor, 1)
    await governor.set_cap(nano=20 * CENT)
    assert [await spend(governor) for _ in range(7)] == [False] * 6 + [True]


async def test_a_lapsed_reservation_is_booked_at_its_estimate(office: Office) -> None:
    governor = office.governor(Budget(lapse=0.05))
    dead = ask("QA", tokens=300)
    await governor.reserve(dead)
    await asyncio.sleep(0.1)
    await governor.reserve(ask())
    assert (await governor.spent()).by_role == {"QA": Spent(1, 300, 0, 0, CENT, CENT)}
    await governor.settle(dead, took(1))  # it was only slow: booked already
    assert (await governor.spent()).by_role["QA"].nano == CENT


async def test_released_costs_nothing_or_what_it_took(office: Office) -> None:
    governor = office.governor(Budget(usd=0.01))
    wish = ask()
    await governor.reserve(wish)
    await governor.release(wish)
    assert (await governor.spent()).total == Spent()
    wish = ask()
    await governor.reserve(wish)
    await governor.release(wish, took(guessed=True))
    assert (await governor.spent()).total.guessed == CENT


async def test_one_told_to_slow_down_slows_everybody(office: Office) -> None:
    here, there = office.governor(), office.governor(room="another")
    await here.slow(30)
    await there.slow(1)  # a shorter wish doesn't end a longer one
    waiting = [await granted(here), await granted(there), asyncio.create_task(there.ready())]
    assert not any(task.done() for task in waiting)
    await ended(*waiting)


async def test_after_the_pause_everybody_goes_on(office: Office) -> None:
    here, there = office.governor(), office.governor()
    await here.ready()
    await here.slow(0.3)
    waiting = [asyncio.create_task(work) for work in (here.reserve(ask()), there.reserve(ask("QA")), there.ready())]
    await asyncio.wait_for(asyncio.gather(*waiting), SOON)


@pytest.mark.parametrize(
    "budget",
    [Budget(rpm=2), Budget(room_rpm=2), Budget(tpm=2500), Budget(room_tpm=2500), Budget(usd_day=0.02)],
    ids=["rpm", "room rpm", "tpm", "room tpm", "day"],
)
async def test_a_full_window_makes_one_wait(office: Office, budget: Budget) -> None:
    governor = office.governor(budget)
    assert (await granted(governor)).done()
    assert (await granted(governor)).done()
    third = await granted(governor)
    assert not third.done()
    await ended(third)


@pytest.mark.parametrize(("budget", "waits"), [(Budget(rpm=1), True), (Budget(room_rpm=1), False)])
async def test_a_bound_of_the_installation_holds_for_all_rooms_a_rooms_own_only_for_it(
    office: Office, budget: Budget, waits: bool
) -> None:
    assert (await granted(office.governor(budget))).done()
    other = await granted(office.governor(budget, room="another"))
    assert other.done() is not waits
    await ended(other)


async def test_the_day_is_everybodys(office: Office) -> None:
    await spend(office.governor(), 2 * CENT)
    with pytest.raises(OverBudget, match=r"\$0\.02 of today.*BUDGET_USD_DAY"):
        await office.governor(Budget(usd_day=0.02), room="another").reserve(ask())


@pytest.mark.parametrize("budget", [Budget(room_rpm=1, window=0.5), Budget(tpm=1500, window=0.5)])
async def test_a_window_slides(office: Office, budget: Budget) -> None:
    governor = office.governor(budget)
    for _ in range(3):
        await asyncio.wait_for(governor.reserve(ask()), SOON)


async def test_what_is_larger_than_the_window_waits_for_an_empty_one(office: Office) -> None:
    governor = office.governor(Budget(tpm=1500, window=0.5))
    await asyncio.wait_for(governor.reserve(ask(tokens=9000)), SOON)
    await asyncio.wait_for(governor.reserve(ask(tokens=9000)), SOON)


async def test_a_window_counts_what_was_used_not_what_was_guessed(office: Office) -> None:
    governor = office.governor(Budget(tpm=2000))
    await spend(governor, tokens=100)
    wish = ask(tokens=1900)
    await governor.reserve(wish)
    await governor.settle(wish, took(tokens=50))
    assert (await granted(governor)).done()


async def test_roles_take_turns_and_none_starves(office: Office) -> None:
    """Coder's replicas ask for five at once, QA and DevOps for one later: they don't stand behind all five."""
    budget = Budget(usd=0.01)  # one in flight
    governor, order = office.governor(budget), []
    first = ask("Coder")
    await governor.reserve(first)

    async def work(role: str) -> None:
        wish = ask(role)
        await governor.reserve(wish)
        order.append(role)
        await governor.settle(wish, took(0))

    tasks = []
    for role in ["Coder"] * 5 + ["QA", "DevOps"]:
        tasks.append(asyncio.create_task(work(role)))
        await asyncio.sleep(0.05)  # they come one after the other
    await governor.settle(first, took(0))
    await asyncio.wait_for(asyncio.gather(*tasks), 30)
    assert sorted(order) == ["Coder"] * 5 + ["DevOps", "QA"]
    assert set(order[:3]) == {"Coder", "QA", "DevOps"}


async def test_one_who_gave_up_blocks_nobody(office: Office) -> None:
    governor = office.governor(Budget(usd=0.01))
    first = ask()
    await governor.reserve(first)
    impatient = await granted(governor, "QA")
    patient = await granted(governor, "DevOps")
    await ended(impatient)
    await governor.settle(first, took(0))
    await asyncio.wait_for(patient, SOON)


async def test_many_at_once_overspend_by_no_more_than_one_estimate(office: Office) -> None:
    governors = [office.governor(Budget(usd=0.055)) for _ in range(6)]

    async def work(governor: Governor, role: str) -> None:
        while True:
            await spend(governor, CENT, role=role)

    ends = await asyncio.wait_for(
        asyncio.gather(*(work(g, f"R{n}") for n, g in enumerate(governors)), return_exceptions=True), 30
    )
    assert all(isinstance(end, OverBudget) for end in ends)
    assert (await governors[0].spent()).total.nano == 6 * CENT
