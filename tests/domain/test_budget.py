"""Prices, sums and reports of what is spent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.domain.budget import (
    NANO,
    Budget,
    Price,
    Prices,
    Spending,
    Spent,
    dollars,
    nanos,
    over_budget,
    parse_prices,
)
from agents.domain.errors import SettingsError
from agents.domain.turn import Usage

COUNTS = st.integers(0, 10**9)
SPENT = st.builds(Spent, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)


def test_a_million_tokens_cost_what_the_price_says() -> None:
    price = Price(0.25, 0.025, 2.0)
    assert price.of(Usage(1_000_000)) == NANO // 4
    assert price.of(Usage(1_000_000, cached_tokens=1_000_000)) == NANO // 40
    assert price.of(Usage(0, 1_000_000)) == 2 * NANO
    assert price.of(Usage(10, 0, cached_tokens=99)) == 250  # more cached than sent is a server's fault


@given(COUNTS, COUNTS, COUNTS)
def test_caching_never_makes_it_dearer_or_free_of_sign(given_: int, answered: int, cached: int) -> None:
    price = Price()
    assert 0 <= price.of(Usage(given_, answered, cached)) <= price.of(Usage(given_, answered))


def test_a_model_is_priced_by_its_longest_known_beginning() -> None:
    prices = Prices(Price(1, 1, 1), {"gpt-5": Price(5, 5, 5), "gpt-5-mini": Price(2, 2, 2)})
    assert prices.of("gpt-5-mini-2025-08-07") == Price(2, 2, 2)
    assert prices.of("gpt-5") == Price(5, 5, 5)
    assert prices.of("qwen") == Price(1, 1, 1)
    assert prices.highest == Price(5, 5, 5)


def test_a_table_of_prices() -> None:
    assert parse_prices(" gpt-5-mini=0.25/0.025/2, a=b:7b=0/0/0 ,") == {
        "gpt-5-mini": Price(0.25, 0.025, 2),
        "a=b:7b": Price(0, 0, 0),
    }
    assert parse_prices("") == {}


@pytest.mark.parametrize("text", ["gpt", "gpt=1/2", "gpt=1/2/3/4", "gpt=a/b/c", "=1/2/3", "gpt=1/-1/2", "m=nan/1/1"])
def test_what_is_no_price_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match=r"LLM_PRICES: '.*' is no price; write model=input/cached/output"):
        parse_prices(f"ok=1/1/1, {text}")


@given(st.dictionaries(st.text(max_size=5), SPENT, max_size=6))
def test_the_total_is_the_sum_of_the_roles(by_role: dict[str, Spent]) -> None:
    total = Spending(by_role).total
    assert total.nano == sum(spent.nano for spent in by_role.values())
    assert total.tokens == sum(spent.input + spent.output for spent in by_role.values())
    assert total - total == Spent()


def test_the_report_names_the_biggest_spender_first() -> None:
    spending = Spending({"QA": Spent(1, 10, 0, 1, 7_000_000), "Coder": Spent(2, 1500, 900, 80, 9_000_000, 4_000_000)})
    assert spending.report() == (
        "- Coder: 2 model calls, 1,500 tokens in (900 cached), 80 out, $0.009 (estimated: $0.004 of it)\n"
        "- QA: 1 model calls, 10 tokens in (0 cached), 1 out, $0.007\n"
        "In all: 3 model calls, 1,510 tokens in (900 cached), 81 out, $0.016 (estimated: $0.004 of it)"
    )


@pytest.mark.parametrize(
    ("spending", "cap"),
    [
        (Spending(), "no cap"),
        (Spending(cap_nano=NANO), "$1.00"),
        (Spending(cap_tokens=5000), "5,000 tokens"),
        (Spending(cap_nano=2 * NANO, cap_tokens=5000), "$2.00 and 5,000 tokens"),
    ],
)
def test_the_cap_for_people(spending: Spending, cap: str) -> None:
    assert spending.cap == cap


def test_amounts() -> None:
    assert (dollars(1_234_567_890_123), dollars(NANO, 2), nanos(0.1), nanos(None)) == (
        "$1,234.568",
        "$1.00",
        NANO // 10,
        None,
    )


def test_the_refusal_says_which_cap_and_what_to_do() -> None:
    room = Spending({"QA": Spent(1, 900, 0, 100, 2 * NANO)}, cap_nano=2 * NANO, cap_tokens=1000)
    assert "/budget 2000 tokens" in str(over_budget(room, Budget(), day=False))
    assert "/budget 4.00" in str(over_budget(Spending(room.by_role, 2 * NANO), Budget(), day=False))
    assert "BUDGET_USD_DAY" in str(over_budget(room, Budget(usd_day=3), day=True))
