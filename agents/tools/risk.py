"""The risk of an act, computed from what would really run; never asked of a model.

The score is 1 − Π(1 − w): each fact takes its weight of what is left to 1. So no fact ever lowers it, one grave fact
counts more than many light ones, and it needs no calibration to stay below 1. Weights are in `WEIGHTS`, per piece.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agents.domain.turn import Effect
from agents.tools.commands import Verdict, worst

BASE = {Effect.READ: 0.0, Effect.WRITE: 0.05, Effect.MUTATE: 0.3, Effect.DESTROY: 0.6}
WEIGHTS = {
    "creates": 0.01,
    "changes": 0.02,
    "replaces": 0.1,
    "deletes": 0.12,
    "holds data": 0.2,  # a deleted or replaced resource of a kind that keeps data
    "hosts": 0.02,
    "share": 0.3,  # of the inventory, times the share
    "drift": 0.03,
    "failures": 0.15,  # failed checks, failed or unreachable hosts in a check run
    "blind spots": 0.05,
}
WORKSPACE_ROOTS = ("infra", "config", "docs", "tmp")
LOCAL_HOSTS = frozenset(("localhost", "127.0.0.1", "::1"))
_KEEPS_DATA = tuple(
    "disk volume database _db bucket storage dataset pool snapshot backup _vm virtual_machine instance container "
    "secret key".split()
)


@dataclass(frozen=True, slots=True)
class Blast:
    """How much an act touches. `share_of_inventory` is 0–1 of the known remote hosts."""

    hosts: int = 0
    creates: int = 0
    changes: int = 0
    replaces: int = 0
    deletes: int = 0
    share_of_inventory: float = 0.0

    def line(self) -> str:
        """The blast in a line for people."""
        counts = [f"{count} {name}" for name in _COUNTS if (count := getattr(self, name))]
        share = f"{self.share_of_inventory:.0%} of the inventory" if self.share_of_inventory else ""
        return ", ".join([*counts, *filter(None, [share])]) or "nothing counted"


_COUNTS = ("hosts", "creates", "changes", "replaces", "deletes")


@dataclass(frozen=True, slots=True)
class Risk:
    """What an act would do, how grave it is (0–1), why, how far it reaches, and what can't be foreseen."""

    effect: Effect
    score: float
    reasons: tuple[str, ...] = ()
    blast: Blast = field(default_factory=Blast)
    blind_spots: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckRun:
    """An Ansible check run: per-host counts as the runner reports them, and the tasks it couldn't foresee."""

    stats: Mapping[str, Mapping[str, int]]
    skipped_tasks: Sequence[str] = ()

    def total(self, *names: str) -> int:
        """The sum over hosts of these counts (`changed`, `failures`, `dark` …)."""
        return sum(int(count) for name in names for count in (self.stats.get(name) or {}).values())

    def hosts(self) -> frozenset[str]:
        """Every host that appears in it."""
        return frozenset(host for counts in self.stats.values() for host in counts)


def assess(
    effect: Effect,
    *,
    plan: Mapping[str, Any] | None = None,
    check_run: CheckRun | None = None,
    commands: Sequence[Verdict] = (),
    paths: Sequence[str] = (),
    hosts: Iterable[str] = (),
    inventory: Iterable[str] = (),
    blind_spots: Sequence[str] = (),
) -> Risk:
    """The risk of one act.

    `effect` is the least the tool does; the material can only make it graver. `plan` is `terraform show -json`;
    `paths` are workspace names; `hosts` the act's targets, `inventory` all known hosts; `blind_spots` what the caller
    knows it doesn't know.
    """
    tally = _Tally(effect)
    tally.blind.extend(blind_spots)
    if plan is not None:
        _read_plan(plan, tally)
    targets = set(hosts)
    if check_run is not None:
        _read_check_run(check_run, tally)
        targets |= check_run.hosts()
    for verdict in commands:
        tally.raise_to(verdict.effect)
        tally.reasons.extend(verdict.reasons)
    for path in paths:
        if path.split("/", 1)[0] not in WORKSPACE_ROOTS or ".." in path.split("/"):
            tally.raise_to(Effect.MUTATE, f"{path[:80]!r} is outside the workspace")
    _reach(targets, set(inventory), tally)
    return tally.risk()


@dataclass(slots=True)
class _Tally:
    """Facts as they are counted."""

    effect: Effect
    blast: Blast = field(default_factory=Blast)
    reasons: list[str] = field(default_factory=list)
    blind: list[str] = field(default_factory=list)
    holds_data: int = 0
    drift: int = 0
    failures: int = 0

    def raise_to(self, effect: Effect, why: str = "") -> None:
        self.effect = worst((self.effect, effect))
        if why:
            self.reasons.append(why)

    def add(self, **counts: int) -> None:
        self.blast = replace(self.blast, **{name: getattr(self.blast, name) + n for name, n in counts.items()})

    def risk(self) -> Risk:
        facts = {name: float(getattr(self.blast, name)) for name in _COUNTS}
        facts |= {"holds data": self.holds_data, "drift": self.drift, "failures": self.failures}
        facts |= {"blind spots": len(self.blind)}
        left = 1 - BASE[self.effect]
        for name, count in facts.items():
            left *= (1 - WEIGHTS[name]) ** count
        left *= 1 - WEIGHTS["share"] * self.blast.share_of_inventory
        return Risk(self.effect, round(1 - left, 3), _first(self.reasons), self.blast, _first(self.blind))


def _first(lines: Iterable[str], limit: int = 20) -> tuple[str, ...]:
    unique = tuple(dict.fromkeys(lines))
    left = len(unique) - limit
    return unique if left <= 0 else (*unique[:limit], f"… and {left} more")


def _reach(targets: set[str], inventory: set[str], tally: _Tally) -> None:
    """Count hosts; the share is of remote ones, for a homelab's only machine is always all of it."""
    tally.add(hosts=len(targets))
    remote = targets - LOCAL_HOSTS
    known = (inventory | remote) - LOCAL_HOSTS
    if len(known) > 1 and remote:
        share = len(remote) / len(known)
        tally.blast = replace(tally.blast, share_of_inventory=share)
        if share > 0.5:
            tally.reasons.append(f"touches {len(remote)} of {len(known)} hosts")


def _read_check_run(run: CheckRun, tally: _Tally) -> None:
    tally.add(changes=run.total("changed"))
    tally.failures += (failed := run.total("failures", "dark"))
    if failed:
        tally.reasons.append(f"the check run had {failed} failures or unreachable hosts")
    if not run.hosts():
        tally.blind.append("the check run reached no host")
    tally.blind.extend(f"task {task[:80]!r} is skipped in check mode" for task in run.skipped_tasks)


# actions of a plan → what they count as; anything else counts as a delete
_ACTIONS: dict[tuple[str, ...], str | None] = {
    ("no-op",): None,
    ("read",): None,
    ("create",): "creates",
    ("update",): "changes",
    ("forget",): "changes",
    ("delete",): "deletes",
    ("delete", "create"): "replaces",
    ("create", "delete"): "replaces",
    ("create", "forget"): "creates",
}


def _read_plan(plan: Mapping[str, Any], tally: _Tally) -> None:
    """Count what `terraform show -json` of a saved plan announces. What isn't understood counts as the worst."""
    if "format_version" not in plan:
        tally.raise_to(Effect.DESTROY, "the plan is not what `terraform show -json` prints")
        tally.blind.append("the plan could not be read")
        return
    for change in _entries(plan.get("resource_changes"), tally):
        _read_change(change, tally)
    for drift in _entries(plan.get("resource_drift"), tally):
        tally.drift += 1
        tally.reasons.append(f"{_address(drift)} was changed outside Terraform")
    for check in _entries(plan.get("checks"), tally):
        if check.get("status") in ("fail", "error"):
            tally.failures += 1
            tally.reasons.append(f"check {_check_name(check)} says {check['status']}")
        elif check.get("status") == "unknown":
            tally.blind.append(f"check {_check_name(check)} is known only after apply")
    for deferred in _entries(plan.get("deferred_changes"), tally):
        tally.blind.append(f"a change is deferred: {str(deferred.get('reason', 'no reason given'))[:60]}")
    if plan.get("errored"):
        tally.failures += 1
        tally.reasons.append("planning ended with errors")
    if plan.get("complete") is False:
        tally.blind.append("the plan is incomplete: applying it will leave work to plan again")


def _read_change(entry: Mapping[str, Any], tally: _Tally) -> None:
    change = entry.get("change")
    actions = change.get("actions") if isinstance(change, Mapping) else None
    key = tuple(str(action) for action in actions) if isinstance(actions, list) else ()
    address = _address(entry)
    if not isinstance(change, Mapping) or key not in _ACTIONS:
        tally.raise_to(Effect.DESTROY, f"{address}: a change that is not understood")
        tally.add(deletes=1)
        return
    counted = _ACTIONS[key]
    if key == ("read",):
        tally.blind.append(f"{address} is read only during apply")
    if counted is None:
        return
    tally.add(**{counted: 1})
    tally.raise_to(Effect.MUTATE)
    if counted in ("deletes", "replaces"):
        tally.raise_to(Effect.DESTROY, f"{counted} {address}")
        if any(part in str(entry.get("type", "")) for part in _KEEPS_DATA):
            tally.holds_data += 1
            tally.reasons.append(f"{address} may hold data")
    if counted in ("changes", "replaces") and (unknown := _count_true(change.get("after_unknown"))):
        tally.blind.append(f"{address}: {unknown} values known only after apply")


def _entries(value: object, tally: _Tally) -> Iterator[Mapping[str, Any]]:
    """The objects of a JSON list; anything else is feared."""
    if value is None:
        return
    for entry in value if isinstance(value, list) else [value]:
        if isinstance(entry, Mapping):
            yield entry
        else:
            tally.raise_to(Effect.DESTROY, "a part of the plan is not understood")
            tally.blind.append("a part of the plan could not be read")


def _address(entry: Mapping[str, Any]) -> str:
    return str(entry.get("address", "a resource"))[:120]


def _check_name(check: Mapping[str, Any]) -> str:
    address = check.get("address")
    return str(address.get("to_display", "?") if isinstance(address, Mapping) else "?")[:120]


def _count_true(value: object) -> int:
    """How many leaves of the JSON value are true."""
    stack, count = [value], 0
    while stack:
        item = stack.pop()
        if isinstance(item, Mapping):
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
        else:
            count += item is True
    return count
