"""Plan identities: the same plan again is the same, another value is another, secrets can't be tried out."""

from typing import Any

from agents.domain.turn import Effect
from agents.executors.plan_identity import facts, identity
from agents.tools.risk import assess

KEY = b"k" * 32


def show(value: str = "1", **more: Any) -> dict[str, Any]:
    change = {
        "actions": ["delete", "create"],
        "before": {"password": "old"},
        "after": {"password": value},
        "after_unknown": {"id": True},
        "after_sensitive": {"password": True},
    }
    entry = {"address": "db.main", "type": "x_database", "change": change}
    return {"format_version": "1.2", "timestamp": "now", "resource_changes": [entry], **more}


def test_what_passes_with_time_is_no_part_of_it() -> None:
    assert identity(show(), KEY) == identity(show(timestamp="later", relevant_attributes=[{"x": 1}]), KEY)
    assert identity(show(), KEY) != identity(show(complete=False), KEY)


def test_a_secret_is_part_of_it_and_can_t_be_tried_out() -> None:
    assert identity(show("hunter2"), KEY) != identity(show("hunter3"), KEY)
    assert identity(show("hunter2"), KEY) != identity(show("hunter2"), b"another installation")


def test_facts_hold_no_value_and_tell_the_same_risk() -> None:
    told = facts(
        show("hunter2", checks=[{"address": {"to_display": "c"}, "status": "fail", "instances": ["hunter2"]}])
    )
    assert "hunter2" not in str(told)
    assert "old" not in str(told)
    risk = assess(Effect.MUTATE, plan=told)
    assert (risk.effect, risk.blast.replaces) == (Effect.DESTROY, 1)
    assert risk == assess(Effect.MUTATE, plan=show(checks=[{"address": {"to_display": "c"}, "status": "fail"}]))
