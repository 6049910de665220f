"""Risk from material: what is counted, what is feared, and that no fact ever lowers the score."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.domain.turn import Effect
from agents.tools.commands import classify
from agents.tools.risk import Blast, CheckRun, assess


def change(
    *actions: str, address: str = "terraform_data.a", kind: str = "terraform_data", **more: Any
) -> dict[str, Any]:
    return {"address": address, "type": kind, "change": {"actions": list(actions), **more}}


def plan(*changes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"format_version": "1.2", "resource_changes": list(changes), "complete": True, **more}


@pytest.mark.parametrize(
    ("actions", "effect", "blast"),
    [
        (("no-op",), Effect.READ, Blast()),
        (("read",), Effect.READ, Blast()),
        (("create",), Effect.MUTATE, Blast(creates=1)),
        (("update",), Effect.MUTATE, Blast(changes=1)),
        (("forget",), Effect.MUTATE, Blast(changes=1)),
        (("delete",), Effect.DESTROY, Blast(deletes=1)),
        (("delete", "create"), Effect.DESTROY, Blast(replaces=1)),
        (("create", "delete"), Effect.DESTROY, Blast(replaces=1)),
        (("explode",), Effect.DESTROY, Blast(deletes=1)),
        ((), Effect.DESTROY, Blast(deletes=1)),
    ],
)
def test_actions_of_a_plan(actions: tuple[str, ...], effect: Effect, blast: Blast) -> None:
    risk = assess(Effect.READ, plan=plan(change(*actions)))
    assert (risk.effect, risk.blast) == (effect, blast)


@pytest.mark.parametrize(
    "material",
    [
        {},
        {"format_version": "1.2", "resource_changes": "all of them"},
        {"format_version": "1.2", "resource_changes": [None]},
        {"format_version": "1.2", "resource_changes": [{"address": "x"}]},
        {"format_version": "1.2", "resource_changes": [{"change": {"actions": "delete"}}]},
        {"format_version": "1.2", "resource_changes": [{"change": {"actions": [["create"]]}}]},
    ],
)
def test_a_plan_that_is_not_understood_is_feared(material: dict[str, Any]) -> None:
    assert assess(Effect.MUTATE, plan=material).effect is Effect.DESTROY
    assert assess(Effect.MUTATE, plan=plan()).effect is Effect.MUTATE


def test_blind_spots_of_a_plan_are_named() -> None:
    risk = assess(
        Effect.MUTATE,
        plan=plan(
            change("update", after_unknown={"id": True, "tags": [True, {"a": False}]}),
            change("read", address="data.http.x"),
            change("create", address="terraform_data.b", after_unknown={"id": True}),
            complete=False,
            checks=[{"address": {"to_display": "check.up"}, "status": "unknown"}],
            deferred_changes=[{"reason": "provider_config_unknown"}],
        ),
    )
    assert risk.blind_spots == (
        "terraform_data.a: 2 values known only after apply",
        "data.http.x is read only during apply",
        "check check.up is known only after apply",
        "a change is deferred: provider_config_unknown",
        "the plan is incomplete: applying it will leave work to plan again",
    )


def test_drift_failed_checks_and_errors_raise_the_score() -> None:
    plain = assess(Effect.MUTATE, plan=plan(change("update")))
    for more in (
        {"resource_drift": [{"address": "x"}]},
        {"checks": [{"address": {"to_display": "check.up"}, "status": "fail"}]},
        {"checks": [{"status": "error"}]},
        {"errored": True},
    ):
        risk = assess(Effect.MUTATE, plan=plan(change("update"), **more))
        assert risk.score > plain.score
        assert len(risk.reasons) == 1
    assert assess(Effect.MUTATE, plan=plan(change("update"), checks=[{"status": "pass"}])).score == plain.score


def test_deleting_what_holds_data_is_graver() -> None:
    data = assess(Effect.MUTATE, plan=plan(change("delete", kind="proxmox_virtual_environment_vm")))
    plain = assess(Effect.MUTATE, plan=plan(change("delete", kind="terraform_data")))
    assert data.score > plain.score
    assert "may hold data" in data.reasons[-1]


def test_a_check_run_counts_changes_failures_and_skips() -> None:
    run = CheckRun(
        {"ok": {"a": 3, "b": 2}, "changed": {"a": 2}, "failures": {"b": 1}, "dark": {}}, ["run the installer"]
    )
    risk = assess(Effect.MUTATE, check_run=run)
    assert risk.blast == Blast(hosts=2, changes=2, share_of_inventory=1.0)
    assert risk.blind_spots == ("task 'run the installer' is skipped in check mode",)
    assert "the check run had 1 failures or unreachable hosts" in risk.reasons
    assert assess(Effect.MUTATE, check_run=CheckRun({})).blind_spots == ("the check run reached no host",)


def test_commands_can_only_make_it_graver() -> None:
    assert assess(Effect.READ, commands=[classify("ls")]).effect is Effect.READ
    risk = assess(Effect.WRITE, commands=[classify("ls"), classify("rm -rf x")])
    assert risk.effect is Effect.DESTROY
    assert risk.reasons
    assert assess(Effect.MUTATE, commands=[classify("ls")]).effect is Effect.MUTATE


@pytest.mark.parametrize(
    ("path", "effect"),
    [
        ("infra/main.tf", Effect.WRITE),
        ("docs/x.md", Effect.WRITE),
        ("/etc/passwd", Effect.MUTATE),
        ("infra/../../etc/passwd", Effect.MUTATE),
        ("agents/worker.py", Effect.MUTATE),
        ("", Effect.MUTATE),
    ],
)
def test_paths_outside_the_workspace_are_the_world(path: str, effect: Effect) -> None:
    assert assess(Effect.WRITE, paths=[path]).effect is effect


def test_the_only_machine_is_not_a_whole_inventory() -> None:
    local = assess(Effect.MUTATE, hosts=["localhost"], inventory=["localhost"])
    assert local.blast == Blast(hosts=1)
    one = assess(Effect.MUTATE, hosts=["a"], inventory=["a", "b", "c", "d"])
    assert one.blast == Blast(hosts=1, share_of_inventory=0.25)
    most = assess(Effect.MUTATE, hosts=["a", "b", "c"], inventory=["a", "b", "c", "d"])
    assert most.score > one.score > local.score
    assert most.reasons == ("touches 3 of 4 hosts",)
    assert assess(Effect.MUTATE, hosts=["a", "new"], inventory=["a"]).blast.share_of_inventory == 1


def test_a_read_scores_nothing_and_the_scale_has_order() -> None:
    scores = [assess(effect).score for effect in Effect]
    assert scores[0] == 0
    assert scores == sorted(scores)
    assert assess(Effect.DESTROY, plan=plan(*[change("delete")] * 500)).score <= 1


def test_long_lists_are_cut_and_say_so() -> None:
    risk = assess(Effect.MUTATE, blind_spots=[f"spot {n}" for n in range(30)])
    assert len(risk.blind_spots) == 21
    assert risk.blind_spots[-1] == "… and 10 more"


def test_blast_in_a_line() -> None:
    assert Blast().line() == "nothing counted"
    assert Blast(hosts=2, deletes=1, share_of_inventory=0.5).line() == "2 hosts, 1 deletes, 50% of the inventory"


actions = st.sampled_from(
    [("no-op",), ("create",), ("update",), ("delete",), ("delete", "create"), ("read",), ("odd",)]
)
changes = st.lists(actions.map(lambda a: change(*a)), max_size=8)
names = st.sets(st.sampled_from("abcdefgh"))


@given(changes, actions, names, names, st.lists(st.text(max_size=3), max_size=4), st.sampled_from(Effect))
def test_one_more_fact_never_lowers_the_score(
    some: list[Any], more: tuple[str, ...], hosts: set[str], inventory: set[str], blind: list[str], effect: Effect
) -> None:
    before = assess(effect, plan=plan(*some), hosts=hosts, inventory=inventory, blind_spots=blind)
    after = assess(effect, plan=plan(*some, change(*more)), hosts=hosts, inventory=inventory, blind_spots=blind)
    assert after.score >= before.score
    wider = assess(effect, plan=plan(*some), hosts=hosts | {"z"}, inventory=inventory | {"z"}, blind_spots=blind)
    assert wider.score >= before.score
    blinder = assess(effect, plan=plan(*some), hosts=hosts, inventory=inventory, blind_spots=[*blind, "new"])
    assert blinder.score >= before.score
    assert list(Effect).index(before.effect) >= list(Effect).index(effect)
    assert 0 <= before.score <= 1
