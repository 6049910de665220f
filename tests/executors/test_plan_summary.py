"""Plan summaries, from the shapes `terraform show -json` has."""

from typing import Any

import pytest

from agents.executors.plan_summary import SENSITIVE, UNKNOWN, masked, secrets, state_resources, summarise


def change(
    actions: list[str],
    before: Any = None,
    after: Any = None,
    *,
    address: str = "terraform_data.a",
    unknown: Any = None,
    before_sensitive: Any = False,
    after_sensitive: Any = False,
    **extra: Any,
) -> dict[str, Any]:
    body = {
        "actions": actions,
        "before": before,
        "after": after,
        "after_unknown": unknown or {},
        "before_sensitive": before_sensitive,
        "after_sensitive": after_sensitive,
    }
    if "replace_paths" in extra:
        body["replace_paths"] = extra.pop("replace_paths")
    return {"address": address, "change": body, **extra}


def show(*changes: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return {"resource_changes": list(changes), "complete": True, "errored": False, **parts}


@pytest.mark.parametrize(
    ("actions", "action", "sign", "destroys"),
    [
        (["create"], "add", "+ ", False),
        (["update"], "change", "~ ", False),
        (["delete"], "delete", "- ", True),
        (["delete", "create"], "replace", "-/+ ", True),
        (["create", "delete"], "replace", "-/+ ", True),
        (["forget"], "forget", "forget ", True),
        (["read"], "read", "<= ", False),
        (["novel"], "novel", "novel ", False),
    ],
)
def test_each_action_is_counted_and_shown(actions: list[str], action: str, sign: str, destroys: bool) -> None:
    summary = summarise(show(change(actions, {"x": 1}, {"x": 2})))
    assert summary.count(action) == 1
    assert summary.destroys is destroys
    assert f"  {sign}terraform_data.a" in summary.text()


def test_no_op_is_no_change() -> None:
    summary = summarise(show(change(["no-op"], {"x": 1}, {"x": 1}, unknown={"y": True})))
    assert summary.empty
    assert summary.unknowns == 0
    assert summary.text() == "Plan: no changes."


def test_reading_alone_leaves_the_plan_empty_and_an_output_does_not() -> None:
    assert summarise(show(change(["read"]))).empty
    outputs = {"url": {"actions": ["create"], "before": None, "after": "http://x"}}
    summary = summarise(show(output_changes=outputs))
    assert not summary.empty
    assert 'value = "http://x"' in summary.text()
    assert "1 outputs change" in summary.headline()


def test_changed_attributes_are_told_and_equal_ones_are_not() -> None:
    before = {"input": {"x": 1, "same": "s"}, "tags": ["a", "b"], "gone": "g", "list": []}
    after = {"input": {"x": 2, "same": "s"}, "tags": ["a", "c"], "gone": None, "list": []}
    lines = summarise(show(change(["update"], before, after))).changes[0].attributes
    assert lines == ('gone: "g" → null', "input.x: 1 → 2", 'tags.1: "b" → "c"')


def test_unknown_values_are_named_and_counted() -> None:
    before = {"id": "i", "output": {"a": 1, "b": 2}}
    summary = summarise(show(change(["update"], before, {"id": "i"}, unknown={"output": True})))
    assert summary.changes[0].attributes == (f"output = {UNKNOWN}",)
    assert summary.unknowns == 1
    assert "1 values known after apply" in summary.headline()


def test_sensitive_values_never_show_but_their_change_does() -> None:
    entry = change(
        ["update"],
        {"input": {"pw": "old-hunter2", "kept": "same-hunter2"}},
        {"input": {"pw": "new-hunter2", "kept": "same-hunter2"}},
        before_sensitive={"input": {"pw": True, "kept": True}},
        after_sensitive={"input": {"pw": True, "kept": True}},
    )
    summary = summarise(show(entry))
    assert summary.changes[0].attributes == (f"input.pw: {SENSITIVE} → {SENSITIVE}",)
    assert "hunter2" not in summary.text()


def test_a_value_sensitive_on_one_side_only_is_masked_on_both() -> None:
    entry = change(["update"], {"pw": "hunter2-old"}, {"pw": "hunter2-new"}, after_sensitive={"pw": True})
    assert "hunter2" not in summarise(show(entry)).text()
    control = change(["update"], {"pw": "hunter2-old"}, {"pw": "hunter2-new"})
    assert "hunter2" in summarise(show(control)).text()


def test_a_sensitive_output_is_masked_whole() -> None:
    outputs = {"s": {"actions": ["create"], "before": None, "after": {"a": "hunter2"}, "after_sensitive": True}}
    summary = summarise(show(output_changes=outputs))
    assert summary.outputs[0].attributes == (f"value = {SENSITIVE}",)


def test_a_replacement_says_why() -> None:
    entry = change(["delete", "create"], {"v": 1}, {"v": 2}, replace_paths=[["v"], ["list", 0]])
    assert "(because of v, list.0)" in summarise(show(entry)).text()
    other = change(["delete", "create"], action_reason="replace_because_tainted")
    assert "(replace because tainted)" in summarise(show(other)).text()


def test_drift_is_its_own_section() -> None:
    drift = change(["delete"], {"x": 1}, None, address="terraform_data.gone")
    summary = summarise(show(resource_drift=[drift]))
    assert summary.empty
    assert "Drift" in summary.text()
    assert "terraform_data.gone" in summary.text()


def test_provisioners_of_every_module_are_listed() -> None:
    def resource(expressions: dict[str, Any]) -> dict[str, Any]:
        return {"address": "terraform_data.a", "provisioners": [{"type": "local-exec", "expressions": expressions}]}

    root = {
        "resources": [resource({"command": {"constant_value": "rm -rf /x"}})],
        "module_calls": {"web": {"module": {"resources": [resource({"command": {"references": ["var.c"]}})]}}},
    }
    summary = summarise(show(configuration={"root_module": root}))
    assert summary.provisioners == (
        'terraform_data.a local-exec: "rm -rf /x"',
        'module.web.terraform_data.a local-exec: "built from var.c"',
    )
    assert "rm -rf /x" in summary.text()


def test_failing_checks_and_incomplete_plans_are_told() -> None:
    checks = [
        {"status": "pass", "address": {"to_display": "check.fine"}},
        {
            "status": "fail",
            "address": {"to_display": "check.health"},
            "instances": [{"problems": [{"message": "it is down"}]}],
        },
        {"status": "error", "address": {"to_display": "check.odd"}},
    ]
    summary = summarise(show(checks=checks, complete=False))
    assert summary.failed_checks == ("check.health: it is down", "check.odd: error")
    assert "incomplete" in summary.text()


def test_long_plans_values_and_attribute_lists_are_cut() -> None:
    many = [change(["create"], None, {"x": "v" * 500}, address=f"terraform_data.n{n}") for n in range(100)]
    text = summarise(show(*many)).text()
    assert "… 40 more" in text
    assert "v" * 100 not in text
    wide = summarise(show(change(["create"], None, {f"k{n:02}": n for n in range(30)}))).text()
    assert "… 18 more attributes" in wide


def test_values_cannot_forge_lines_or_escape_the_terminal() -> None:
    text = summarise(show(change(["create"], None, {"x": "a\n- terraform_data.fake\x1b[2J"}))).text()
    assert "\x1b" not in text
    assert "\n- terraform_data.fake" not in text


def test_masked_follows_lists_and_leaves_the_rest() -> None:
    assert masked([1, {"a": 2}, 3], [False, {"a": True}]) == [1, {"a": SENSITIVE}, 3]
    assert masked({"a": 1}, None) == {"a": 1}


def test_secrets_are_collected_wherever_they_are_marked() -> None:
    body = show(
        change(
            ["update"], {"p": ["one"]}, {"p": ["two"]}, before_sensitive={"p": [True]}, after_sensitive={"p": True}
        ),
        output_changes={"s": {"actions": ["create"], "after": "three", "after_sensitive": True}},
        configuration={"root_module": {"variables": {"v": {"sensitive": True}, "open": {}}}},
        variables={"v": {"value": {"deep": "four"}}, "open": {"value": "public"}},
        prior_state={"values": {"outputs": {"o": {"sensitive": True, "value": "five"}, "p": {"value": "public"}}}},
        planned_values={
            "root_module": {
                "child_modules": [
                    {"resources": [{"values": {"k": "six", "l": "public"}, "sensitive_values": {"k": True}}]}
                ]
            }
        },
    )
    assert secrets(body) == {"one", "two", "three", "four", "five", "six"}


def test_state_resources_are_masked() -> None:
    state = {
        "values": {
            "root_module": {
                "resources": [
                    {"address": "terraform_data.a", "values": {"k": "s", "l": 1}, "sensitive_values": {"k": True}}
                ]
            }
        }
    }
    assert state_resources(state) == {"terraform_data.a": {"k": SENSITIVE, "l": 1}}
    assert state_resources({"format_version": "1.0"}) == {}
