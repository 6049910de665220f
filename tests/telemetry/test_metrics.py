"""Facts of a room become the metrics that the manual names."""

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from agents.domain.budget import NANO, Spending, Spent
from agents.domain.mission import Control, Presence, RoomState
from agents.exporter import RoomCollector
from agents.telemetry.metrics import Reading, families

READING = Reading(
    waiting={"Coder": 3, "QA": 0},
    present=(
        Presence("Coder", "a", "pod-a", "run_code", 4),
        Presence("Coder", "b", "pod-b", "idle"),
        Presence("QA", "c", "pod-c", "idle"),
    ),
    control=Control(2, RoomState.RUNNING),
    spending=Spending({"Coder": Spent(2, 100, 40, 7, NANO // 4)}, cap_nano=NANO),
)


def samples(reading: Reading | None) -> dict[tuple[str, ...], float]:
    """The metrics as a scraper reads them: (name, label values …) → value."""
    registry = CollectorRegistry()
    registry.register(RoomCollector("lab", lambda: reading))
    text = generate_latest(registry).decode()
    return {
        (sample.name, *(value for name, value in sorted(sample.labels.items()) if name != "room")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels["room"] == "lab"
    }


def test_what_a_role_has_to_do_is_what_waits_and_what_is_under_way() -> None:
    seen = samples(READING)
    assert seen["minilab_inbox_pending", "Coder"] == 4
    assert seen["minilab_inbox_waiting", "Coder"] == 3
    assert (seen["minilab_agents_present", "Coder"], seen["minilab_agents_busy", "Coder"]) == (2, 1)
    assert (seen["minilab_inbox_pending", "QA"], seen["minilab_agents_present", "QA"]) == (0, 1)


def test_the_room_is_in_one_state() -> None:
    states = {key[1]: value for key, value in samples(READING).items() if key[0] == "minilab_room_state"}
    assert states == {state.value: float(state is RoomState.RUNNING) for state in RoomState}


def test_money_and_tokens_are_counted_by_role() -> None:
    seen = samples(READING)
    assert seen["minilab_spent_dollars_total", "Coder"] == 0.25
    assert seen["minilab_budget_dollars",] == 1.0
    assert seen["minilab_model_calls_total", "Coder"] == 2
    tokens = {key[1]: value for key, value in seen.items() if key[0] == "minilab_tokens_total"}
    assert tokens == {"input": 100, "cached": 40, "output": 7}


def test_of_a_room_that_cannot_be_read_nothing_is_invented() -> None:
    assert samples(None) == {("minilab_up",): 0.0}
    assert samples(READING)["minilab_up",] == 1.0


def test_every_metric_says_what_it_is() -> None:
    assert all(family.documentation.endswith(".") for family in families("lab", READING))
