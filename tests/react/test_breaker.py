import pytest

from agents.domain.turn import Status, ToolCall, ToolResult
from agents.react.breaker import Breaker, InMemoryFailures, call_key, normalised_error
from tests.react.doubles import call, failed, ok


async def repeat(breaker: Breaker, times: int, result: ToolResult, wanted: ToolCall) -> list[str | None]:
    return [await breaker.saw(wanted, result) for _ in range(times)]


async def test_the_fourth_identical_failing_call_is_refused() -> None:
    breaker, look = Breaker(), call("1", path="a")
    warnings = await repeat(breaker, 2, failed(look), look)
    assert warnings == [None, None]
    assert await breaker.refusal(look) is None
    warning = await breaker.saw(look, failed(look))
    assert "3 times" in str(warning)
    assert "breaker open" in str(await breaker.refusal(look))
    assert await breaker.refusal(call("9", path="b")) is None


async def test_changing_numbers_are_the_same_error() -> None:
    breaker, look = Breaker(), call("1")
    for n in range(3):
        await breaker.saw(look, failed(look, f"timeout after {n}.5 s in /tmp/x{n} at 0xdead{n}"))
    assert await breaker.refusal(look)


async def test_other_errors_or_other_things_in_between_keep_it_closed() -> None:
    breaker, look = Breaker(), call("1")
    for text in ("no such file", "not a directory", "permission denied"):
        await breaker.saw(look, failed(look, text))
    assert await breaker.refusal(look) is None


async def test_failures_count_wherever_they_are_in_the_turn() -> None:
    breaker, look, other = Breaker(), call("1"), call("2", path="x")
    for _ in range(3):
        await breaker.saw(look, failed(look))
        await breaker.saw(other, ok(other))
    assert await breaker.refusal(look)


async def test_a_success_forgets_the_failures_before_it() -> None:
    breaker, look = Breaker(), call("1")
    await repeat(breaker, 2, failed(look), look)
    await breaker.saw(look, ok(look))
    await repeat(breaker, 2, failed(look), look)
    assert await breaker.refusal(look) is None


async def test_the_same_success_counts_only_in_a_row() -> None:
    breaker, look, other = Breaker(), call("1"), call("2", path="x")
    for _ in range(3):
        await breaker.saw(look, ok(look))
        await breaker.saw(other, ok(other))
    assert await breaker.refusal(look) is None
    assert (await repeat(breaker, 3, ok(look), look))[2]
    assert await breaker.refusal(look)
    await breaker.saw(other, ok(other))
    assert await breaker.refusal(look) is None


async def test_a_success_with_news_is_no_repetition() -> None:
    breaker, look = Breaker(), call("1")
    for n in range(5):
        assert await breaker.saw(look, ok(look, f"line {n}")) is None
    assert await breaker.refusal(look) is None


def team_breaker(team: InMemoryFailures) -> Breaker:
    return Breaker(team, team_repeats=5)


async def test_the_team_shares_what_fails() -> None:
    team, look = InMemoryFailures(), call("1")
    for _ in range(2):
        assert await team_breaker(team).refusal(look) is None
        await repeat(team_breaker(team), 2, failed(look), look)
    replayed = team_breaker(team)
    await replayed.saw(look, failed(look), live=False)
    assert await replayed.refusal(look) is None  # a replayed failure was counted when it happened
    await team_breaker(team).saw(look, failed(look, "another error"))
    assert await team_breaker(team).refusal(look) is None
    await replayed.saw(look, failed(look))
    assert "across the team" in str(await team_breaker(team).refusal(look))
    assert await team_breaker(InMemoryFailures()).refusal(look) is None


async def test_a_success_closes_the_team_s_breaker() -> None:
    team, look = InMemoryFailures(), call("1")
    await repeat(Breaker(team), 5, failed(look), look)
    assert await team_breaker(team).refusal(look)
    await Breaker(team).saw(look, ok(look))
    assert await team_breaker(team).refusal(look) is None


async def test_the_team_s_breaker_closes_with_time() -> None:
    now = [0.0]
    team, look = InMemoryFailures(60, lambda: now[0]), call("1")
    for _ in range(5):
        now[0] += 10
        await Breaker(team).saw(look, failed(look))
    assert await team_breaker(team).refusal(look)
    now[0] = 75
    assert await team_breaker(team).refusal(look) is None
    assert await team.worst(call_key(look)) == 4
    now[0] = 1000
    assert await team.worst(call_key(look)) == 0


async def test_old_failures_are_swept_out() -> None:
    now = [0.0]
    team = InMemoryFailures(60, lambda: now[0])
    for n in range(100):
        await team.add(str(n), "x")
    now[0] = 61
    await team.add("new", "x")
    assert list(team._failures) == ["new"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (ToolCall("1", "t", {"a": 1, "b": 2}), ToolCall("2", "t", {"b": 2, "a": 1}), True),
        (ToolCall("1", "t", {"c": "ls  -l"}), ToolCall("2", "t", {"c": "ls -l"}), True),
        (ToolCall("1", "t", None, "{torn"), ToolCall("2", "t", None, "{torn"), True),
        (ToolCall("1", "t", {"a": 1}), ToolCall("2", "t", {"a": 2}), False),
        (ToolCall("1", "t", {}), ToolCall("2", "u", {}), False),
    ],
)
def test_what_is_the_same_call(one: ToolCall, other: ToolCall, same: bool) -> None:
    assert (call_key(one) == call_key(other)) is same


def test_status_is_part_of_the_outcome() -> None:
    error = ToolResult("1", "t", Status.ERROR, "x 1")
    denied = ToolResult("1", "t", Status.DENIED, "x 2")
    assert normalised_error(error) == "error: x #"
    assert normalised_error(denied) == "denied: x #"
