"""What a Terraform plan would do, read from `terraform show -json`. Pure.

Sensitive values never get in: they are masked by the `*_sensitive` trees, and `secrets` collects them so that the
same value in an unmarked place can be masked too.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

SENSITIVE = "(sensitive)"
UNKNOWN = "(known after apply)"
VALUE_CHARS = 80
SHOWN_ATTRIBUTES = 12
SHOWN_CHANGES = 60

_REPLACE = "replace"
_ACTIONS: dict[tuple[str, ...], str] = {
    ("no-op",): "no-op",
    ("create",): "add",
    ("read",): "read",
    ("update",): "change",
    ("delete",): "delete",
    ("forget",): "forget",
    ("delete", "create"): _REPLACE,
    ("create", "delete"): _REPLACE,
    ("create", "forget"): _REPLACE,
}
_SIGNS = {"add": "+", "change": "~", _REPLACE: "-/+", "delete": "-", "read": "<=", "forget": "forget"}
_DESTROYING = (_REPLACE, "delete", "forget")


@dataclass(frozen=True, slots=True)
class Change:
    """One resource or output and what happens to it. `attributes` are lines such as `input.size: 1 → 2`."""

    address: str
    action: str
    attributes: tuple[str, ...] = ()
    reason: str = ""

    def lines(self) -> Iterator[str]:
        """The change for people and models."""
        reason = f"  ({self.reason})" if self.reason else ""
        yield f"{_SIGNS.get(self.action, self.action)} {self.address}{reason}"
        for attribute in self.attributes[:SHOWN_ATTRIBUTES]:
            yield f"    {attribute}"
        if len(self.attributes) > SHOWN_ATTRIBUTES:
            yield f"    … {len(self.attributes) - SHOWN_ATTRIBUTES} more attributes"


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """A plan in short. `provisioners` are commands Terraform would run; `unknowns` counts values not known yet."""

    changes: tuple[Change, ...]
    outputs: tuple[Change, ...]
    drift: tuple[Change, ...]
    provisioners: tuple[str, ...]
    failed_checks: tuple[str, ...]
    unknowns: int
    complete: bool
    errored: bool

    def count(self, action: str) -> int:
        """How many resources see `action` (add, change, replace, delete …)."""
        return Counter(change.action for change in self.changes)[action]

    @property
    def empty(self) -> bool:
        """Whether applying it would change nothing: no resource, no output."""
        return not self.outputs and all(change.action == "read" for change in self.changes)

    @property
    def destroys(self) -> bool:
        """Whether something that exists would go: deletes, replaces, forgets."""
        return any(change.action in _DESTROYING for change in self.changes)

    def headline(self) -> str:
        """One line of counts."""
        if self.empty and not self.drift:
            return "no changes"
        text = ", ".join(f"{self.count(action)} to {action}" for action in ("add", "change", _REPLACE, "delete"))
        extra = [f"{number} to {action}" for action in ("read", "forget") if (number := self.count(action))]
        if self.outputs:
            extra.append(f"{len(self.outputs)} outputs change")
        if self.unknowns:
            extra.append(f"{self.unknowns} values known after apply")
        return ", ".join([text, *extra])

    def text(self) -> str:
        """The summary as the model reads it."""
        lines = [f"Plan: {self.headline()}."]
        lines += _section("Resources", self.changes)
        lines += _section("Outputs", self.outputs)
        lines += _section("Drift (changed outside Terraform since the last apply)", self.drift)
        if self.provisioners:
            lines += ["Commands run where those resources are made or destroyed:"]
            lines += [f"  {line}" for line in self.provisioners]
        if self.failed_checks:
            lines += ["Failing checks:", *(f"  {check}" for check in self.failed_checks)]
        if not self.complete:
            lines.append("The plan is incomplete: some actions were deferred or left out by targets.")
        return "\n".join(lines)


def summarise(show: Mapping[str, Any]) -> PlanSummary:
    """The summary of a plan's `show -json`."""
    changes = tuple(_changes(show.get("resource_changes", ())))
    outputs = ({"address": name, "change": change} for name, change in show.get("output_changes", {}).items())
    return PlanSummary(
        changes=changes,
        outputs=tuple(_changes(outputs)),
        drift=tuple(_changes(show.get("resource_drift", ()))),
        provisioners=tuple(_provisioners(show.get("configuration", {}).get("root_module", {}), "")),
        failed_checks=tuple(_failed_checks(show.get("checks", ()))),
        unknowns=sum(
            _count_true(entry["change"].get("after_unknown"))
            for entry in show.get("resource_changes", ())
            if entry["change"]["actions"] not in (["no-op"], ["read"])
        ),
        complete=bool(show.get("complete", True)),
        errored=bool(show.get("errored", False)),
    )


def secrets(show: Mapping[str, Any]) -> set[str]:
    """Every text value a plan's or a state's `show -json` marks as sensitive, and sensitive variables' values."""
    found: set[str] = set()
    for entry in (*show.get("resource_changes", ()), *show.get("resource_drift", ())):
        found |= _change_secrets(entry["change"])
    for change in show.get("output_changes", {}).values():
        found |= _change_secrets(change)
    declared = show.get("configuration", {}).get("root_module", {}).get("variables", {})
    for name, variable in show.get("variables", {}).items():
        if declared.get(name, {}).get("sensitive"):
            found |= set(_texts(variable.get("value")))
    for values in (show.get("values"), show.get("planned_values"), show.get("prior_state", {}).get("values")):
        found |= _values_secrets(values or {})
    return found


def masked(value: Any, sensitive: Any) -> Any:
    """`value` with everything the `sensitive` tree marks replaced."""
    if sensitive is True:
        return None if value is None else SENSITIVE  # that nothing is there is no secret
    if isinstance(value, Mapping) and isinstance(sensitive, Mapping):
        return {key: masked(item, sensitive.get(key)) for key, item in value.items()}
    if isinstance(value, list) and isinstance(sensitive, list):
        marks = [*sensitive, *[None] * (len(value) - len(sensitive))]
        return [masked(item, mark) for item, mark in zip(value, marks, strict=False)]
    return value


def state_resources(show: Mapping[str, Any]) -> dict[str, Any]:
    """Address → masked values, of a state's `show -json`."""
    root = show.get("values", {}).get("root_module", {})
    return {
        resource["address"]: masked(resource.get("values", {}), resource.get("sensitive_values"))
        for resource in _resources(root)
    }


def _section(title: str, changes: tuple[Change, ...]) -> list[str]:
    if not changes:
        return []
    lines = [f"{title}:"]
    for change in changes[:SHOWN_CHANGES]:
        lines += [f"  {line}" for line in change.lines()]
    if len(changes) > SHOWN_CHANGES:
        lines.append(f"  … {len(changes) - SHOWN_CHANGES} more")
    return lines


def _changes(entries: Iterable[Mapping[str, Any]]) -> Iterator[Change]:
    for entry in entries:
        change = entry["change"]
        action = _ACTIONS.get(tuple(change["actions"]), "+".join(change["actions"]))
        if action == "no-op":
            continue
        reason = entry.get("action_reason", "").replace("_", " ")
        if action == _REPLACE and change.get("replace_paths"):
            reason = "because of " + ", ".join(_dotted(path) for path in change["replace_paths"])
        attributes = () if action == "delete" else tuple(_attributes(change))
        yield Change(entry["address"], action, attributes, reason)


def _attributes(change: Mapping[str, Any]) -> Iterator[str]:
    """Changed leaves, one line each."""
    marks = (change.get("before_sensitive"), change.get("after_sensitive"))
    hidden = _true_paths(marks[0]) | _true_paths(marks[1])
    unknown = _true_paths(change.get("after_unknown"))
    before = _leaves(masked(masked(change.get("before"), marks[0]), marks[1]))
    before = {path: value for path, value in before.items() if not any(path[: len(u)] == u for u in unknown)}
    after = _leaves(masked(masked(change.get("after"), marks[0]), marks[1])) | dict.fromkeys(unknown, UNKNOWN)
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path), after.get(path)
        # both sides of a sensitive value look the same once masked: compare the values themselves
        if path in hidden and new != UNKNOWN:
            same = _at(change.get("before"), path) == _at(change.get("after"), path)
        else:
            same = old == new
        if not same:
            yield _attribute(path, old, new)


def _attribute(path: tuple[str, ...], old: Any, new: Any) -> str:
    name = _dotted(path) or "value"
    return f"{name} = {_shown(new)}" if old is None else f"{name}: {_shown(old)} → {_shown(new)}"


def _shown(value: Any) -> str:
    if value in (SENSITIVE, UNKNOWN):
        return str(value)
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= VALUE_CHARS else f"{text[: VALUE_CHARS - 1]}…"


def _dotted(path: Iterable[Any]) -> str:
    return ".".join(str(part) for part in path)


def _leaves(value: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if isinstance(value, Mapping) and value:
        return {k: v for key, item in value.items() for k, v in _leaves(item, (*path, str(key))).items()}
    if isinstance(value, list) and value:
        return {k: v for index, item in enumerate(value) for k, v in _leaves(item, (*path, str(index))).items()}
    return {path: value}


def _true_paths(tree: Any) -> set[tuple[str, ...]]:
    return {path for path, mark in _leaves(tree).items() if mark is True}


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _count_true(tree: Any) -> int:
    return len(_true_paths(tree))


def _change_secrets(change: Mapping[str, Any]) -> set[str]:
    return {
        text
        for side in ("before", "after")
        for path in _true_paths(change.get(f"{side}_sensitive"))
        for text in _texts(_at(change.get(side), path))
    }


def _values_secrets(values: Mapping[str, Any]) -> set[str]:
    found = {
        text
        for resource in _resources(values.get("root_module", {}))
        for path in _true_paths(resource.get("sensitive_values"))
        for text in _texts(_at(resource.get("values"), path))
    }
    for output in values.get("outputs", {}).values():
        if output.get("sensitive"):
            found |= set(_texts(output.get("value")))
    return found


def _texts(value: Any) -> Iterator[str]:
    return (leaf for leaf in _leaves(value).values() if isinstance(leaf, str))


def _resources(module: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from module.get("resources", ())
    for child in module.get("child_modules", ()):
        yield from _resources(child)


def _provisioners(module: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """Provisioners are no change of any attribute, so the plan's changes don't show them: list them."""
    for resource in module.get("resources", ()):
        for provisioner in resource.get("provisioners", ()):
            command = provisioner.get("expressions", {}).get("command", {})
            what = command.get("constant_value") or "built from " + ", ".join(command.get("references", ["…"]))
            yield f"{prefix}{resource['address']} {provisioner['type']}: {_shown(what)}"
    for name, call in module.get("module_calls", {}).items():
        yield from _provisioners(call.get("module", {}), f"{prefix}module.{name}.")


def _failed_checks(checks: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for check in checks:
        if check.get("status") not in ("fail", "error"):
            continue
        problems = [
            problem.get("message", "")
            for instance in check.get("instances", ())
            for problem in instance.get("problems", ())
        ]
        yield f"{check.get('address', {}).get('to_display', '?')}: {'; '.join(problems) or check['status']}"
