"""What a room looks like to Prometheus: facts in, metric families out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from agents.domain.budget import NANO, Spending
from agents.domain.mission import Control, Presence, RoomState

IDLE = "idle"  # the state in the heartbeat of an agent that has no turn
_ROOM, _ROLE = ["room"], ["room", "role"]


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at a room. `waiting`: role → messages in its inbox that are in no open turn."""

    waiting: Mapping[str, int]
    present: Sequence[Presence]
    control: Control
    spending: Spending

    def here(self, role: str) -> int:
        """Agents of `role` whose heartbeat is fresh."""
        return sum(beat.role == role for beat in self.present)

    def busy(self, role: str) -> int:
        """Those of them that are at a turn."""
        return sum(beat.role == role and beat.state != IDLE for beat in self.present)


def families(room: str, reading: Reading | None) -> Iterator[Metric]:
    """The metrics of `room`. None: it couldn't be read, and `minilab_up` says so alone.

    A stale or invented figure would make somebody scale by it; an absent one makes them leave things as they are.
    """
    up = GaugeMetricFamily("minilab_up", "Whether the room could be read.", labels=_ROOM)
    up.add_metric([room], float(reading is not None))
    yield up
    if reading is not None:
        yield from _work(room, reading)
        yield _state(room, reading.control)
        yield from _spent(room, reading.spending)


def _work(room: str, reading: Reading) -> Iterator[Metric]:
    figures = (
        (
            "minilab_inbox_pending",
            "What a role has to do: messages waiting, and one for each turn under way.",
            lambda role: reading.waiting[role] + reading.busy(role),
        ),
        ("minilab_inbox_waiting", "Messages in a role's inbox that no turn has taken.", reading.waiting.__getitem__),
        ("minilab_agents_present", "Agents whose heartbeat is at most 15 seconds old.", reading.here),
        ("minilab_agents_busy", "Agents that are at a turn.", reading.busy),
    )
    for name, meaning, figure in figures:
        family = GaugeMetricFamily(name, meaning, labels=_ROLE)
        for role in reading.waiting:
            family.add_metric([room, role], figure(role))
        yield family


def _state(room: str, control: Control) -> Metric:
    family = GaugeMetricFamily("minilab_room_state", "1 for the state the room is in.", labels=["room", "state"])
    for state in RoomState:
        family.add_metric([room, state.value], float(state is control.state))
    return family


def _spent(room: str, spending: Spending) -> Iterator[Metric]:
    calls = CounterMetricFamily("minilab_model_calls", "Model queries made.", labels=_ROLE)
    tokens = CounterMetricFamily("minilab_tokens", "Tokens; cached is part of input.", labels=[*_ROLE, "kind"])
    money = CounterMetricFamily("minilab_spent_dollars", "Dollars spent on model queries.", labels=_ROLE)
    for role, spent in spending.by_role.items():
        calls.add_metric([room, role], spent.calls)
        money.add_metric([room, role], spent.nano / NANO)
        for kind in ("input", "cached", "output"):
            tokens.add_metric([room, role, kind], getattr(spent, kind))
    yield from (calls, tokens, money)
    if spending.cap_nano is not None:
        cap = GaugeMetricFamily("minilab_budget_dollars", "Dollars the room may spend in all.", labels=_ROOM)
        cap.add_metric([room], spending.cap_nano / NANO)
        yield cap
