"""What an Ansible run did, read from ansible-runner's events. Pure."""

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

DIFF_CHARS = 3000  # of one task's diff
DIFFS_CHARS = 12_000  # of all diffs
MESSAGE_CHARS = 600
SHOWN_TASKS = 40

_STATS = ("ok", "changed", "failures", "dark", "skipped", "rescued", "ignored")
_STAT_NAMES = {"failures": "failed", "dark": "unreachable"}
_NOT_PREDICTED_UNLESS = ("Conditional result was False", "No items in the list")
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class TaskLine:
    """A task on a host, and what it said. `at` is `path:line` of the task."""

    host: str
    task: str
    message: str = ""
    at: str = ""
    item: str = ""
    ignored: bool = False

    def line(self) -> str:
        """One line, or more where the message has more."""
        item = f" [{self.item}]" if self.item else ""
        text = f"{self.task}{item} on {self.host}"
        text += f" ({self.at})" if self.at else ""
        text += " — ignored" if self.ignored else ""
        return f"{text}: {self.message}" if self.message else text


@dataclass(frozen=True, slots=True)
class PlayReport:
    """A run. `stats`: host → counts. `complaints` are what Ansible said outside any task (parse errors, warnings).

    `finished` is False where the run ended before its recap; `running` names the task it was in.
    """

    check: bool
    stats: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    changed: tuple[TaskLine, ...] = ()
    failed: tuple[TaskLine, ...] = ()
    unreachable: tuple[TaskLine, ...] = ()
    not_predicted: tuple[TaskLine, ...] = ()
    diffs: tuple[str, ...] = ()
    complaints: str = ""
    finished: bool = False
    running: str = ""

    def total(self, stat: str) -> int:
        """A statistic (ok, changed, failed, unreachable, skipped …) over all hosts."""
        return sum(counts.get(stat, 0) for counts in self.stats.values())

    @property
    def no_hosts(self) -> bool:
        """Whether it ended well and touched no host at all."""
        return self.finished and not self.stats

    def headline(self) -> str:
        """One line of counts."""
        if not self.finished:
            return f"did not finish: it was in task {self.running!r}" if self.running else "did not start"
        if self.no_hosts:
            return "no host matched"
        names = ("ok", "changed", "failed", "unreachable", "skipped")
        return ", ".join(f"{name} {self.total(name)}" for name in names)

    def text(self) -> str:
        """The report as the model reads it."""
        lines = [("Check run (nothing was changed): " if self.check else "Run: ") + self.headline()]
        for host, counts in self.stats.items():
            lines.append(f"  {host}: " + " ".join(f"{name}={counts.get(name, 0)}" for name in _stat_names()))
        lines += _section("Failed", self.failed)
        lines += _section("Unreachable", self.unreachable)
        lines += _section("Would change" if self.check else "Changed", self.changed)
        lines += _section("Not predicted (a check run skips these; a real run may change things)", self.not_predicted)
        if self.diffs:
            lines += ["Diffs:", *_capped(self.diffs)]
        if self.complaints:
            lines += ["Ansible says:", self.complaints]
        return "\n".join(lines)


def report(
    events: Iterable[Mapping[str, Any]],
    *,
    check: bool,
    paths: Mapping[str, str],
    may_show: Callable[[str], bool] | None = None,
) -> PlayReport:
    """The report of a run's events, in order. `paths` maps host path prefixes to the names agents know.

    `may_show` says of which files (path) the content may be shown; None: of all.
    """
    reader = _Reader(paths, may_show or (lambda path: True))
    for event in events:
        reader.read(event)
    return PlayReport(
        check=check,
        stats=reader.stats,
        changed=tuple(reader.changed),
        failed=tuple(reader.failed),
        unreachable=tuple(reader.unreachable),
        not_predicted=tuple(reader.skipped) if check else (),
        diffs=tuple(reader.diffs),
        complaints="\n".join(reader.complaints).strip()[: 10 * MESSAGE_CHARS],
        finished=reader.finished,
        running="" if reader.finished else reader.running,
    )


class _Reader:
    """Collects what `report` tells, event by event."""

    def __init__(self, paths: Mapping[str, str], may_show: Callable[[str], bool]) -> None:
        self._paths = paths
        self._may_show = may_show
        self.stats: dict[str, dict[str, int]] = {}
        self.changed: list[TaskLine] = []
        self.failed: list[TaskLine] = []
        self.unreachable: list[TaskLine] = []
        self.skipped: list[TaskLine] = []
        self.diffs: list[str] = []
        self.complaints: list[str] = []
        self.finished = False
        self.running = ""

    def read(self, event: Mapping[str, Any]) -> None:
        """Take one event in; kinds that tell nothing are passed over."""
        data = event.get("event_data") or {}
        said = _ESCAPE.sub("", str(event.get("stdout", "")))
        match event.get("event"):
            case "playbook_on_task_start":
                self.running = str(data.get("task", ""))
            case "playbook_on_stats":
                self._recap(data)
            case "runner_on_ok" if "results" not in (data.get("res") or {}):
                self._ok(data, said)
            case "runner_item_on_ok":
                self._ok(data, said)
            case "runner_on_failed" | "runner_item_on_failed":
                self._failed(data)
            case "runner_on_unreachable":
                self.unreachable.append(self._line(data))
            case "runner_on_skipped" | "runner_item_on_skipped" if not _by_condition(said):
                self.skipped.append(self._line(data))
            case "verbose" | "warning" | "error" | "deprecated" | "system_warning" if said.strip():
                self._complaint(said)

    def _recap(self, data: Mapping[str, Any]) -> None:
        self.finished = True
        for host in sorted(data.get("processed") or {}):
            self.stats[host] = {_STAT_NAMES.get(s, s): int((data.get(s) or {}).get(host, 0)) for s in _STATS}

    def _ok(self, data: Mapping[str, Any], said: str) -> None:
        result = data.get("res") or {}
        # a no_log result hides whether it changed; the line on the screen says it
        if not result.get("changed") and not said.startswith("changed:"):
            return
        self.changed.append(self._line(data))
        for diff in _diffs(result.get("diff"), self._may_show):
            self.diffs.append(f"{self._name(data)} on {data.get('host')}:\n{self._shown(diff)}")

    def _failed(self, data: Mapping[str, Any]) -> None:
        if "results" not in (data.get("res") or {}):  # a loop's items told theirs already
            self.failed.append(self._line(data, ignored=bool(data.get("ignore_errors"))))

    def _complaint(self, said: str) -> None:
        if "No config file found" in said or said.startswith("Using "):
            return
        self.complaints.append(self._shown(said))

    def _line(self, data: Mapping[str, Any], *, ignored: bool = False) -> TaskLine:
        result = data.get("res") or {}
        item = result.get("_ansible_item_label", result.get("item", ""))
        return TaskLine(
            host=str(data.get("host", "?")),
            task=self._name(data),
            message=self._shown(_message(result)),
            at=self._shown(str(data.get("task_path") or "")),
            item=item if isinstance(item, str) else json.dumps(item, default=str)[:80],
            ignored=ignored,
        )

    def _name(self, data: Mapping[str, Any]) -> str:
        return str(data.get("task") or data.get("task_action") or "?")[:200]

    def _shown(self, text: str) -> str:
        for path, name in self._paths.items():
            text = text.replace(path, name)
        return text


def _stat_names() -> Sequence[str]:
    return [_STAT_NAMES.get(stat, stat) for stat in _STATS]


def _section(title: str, tasks: Sequence[TaskLine]) -> list[str]:
    if not tasks:
        return []
    lines = [f"{title}:", *(f"  - {task.line()}" for task in tasks[:SHOWN_TASKS])]
    if len(tasks) > SHOWN_TASKS:
        lines.append(f"  … {len(tasks) - SHOWN_TASKS} more")
    return lines


def _by_condition(said: str) -> bool:
    """Whether a task was skipped by its own condition: a check run predicts that. Unsure: no."""
    return any(reason in said for reason in _NOT_PREDICTED_UNLESS)


def _message(result: Mapping[str, Any]) -> str:
    """What a result says that helps: its message, standard error and output, or that `no_log` hides it."""
    if "censored" in result:
        return "hidden by no_log"
    parts = [str(result[key]).strip() for key in ("msg", "module_stderr", "stderr", "stdout") if result.get(key)]
    parts = list(dict.fromkeys(part for part in parts if part))
    text = "\n".join(parts)
    if len(text) <= MESSAGE_CHARS:
        return text
    half = MESSAGE_CHARS // 2  # the reason is often said last
    return f"{text[:half]} … {len(text) - 2 * half} characters left out … {text[-half:]}"


def _diffs(diff: Any, may_show: Callable[[str], bool]) -> Iterator[str]:
    """A result's diffs as unified diffs. What stands in a file that may not be shown is left out."""
    for entry in diff if isinstance(diff, list) else [diff]:
        if not isinstance(entry, Mapping):
            continue
        path = str(entry.get("before_header") or "").removesuffix(" (content)")
        if entry.get("before") and isinstance(entry["before"], str) and not may_show(path):
            yield f"{path or 'a file'}: what it holds is not shown, as it lies on this machine outside the workspace"
            continue
        text = str(entry["prepared"]) if "prepared" in entry else _unified(entry)
        if text.strip():
            cut = len(text) - DIFF_CHARS
            yield text if cut <= 0 else f"{text[:DIFF_CHARS]}\n… {cut} more characters of this diff"


def _unified(entry: Mapping[str, Any]) -> str:
    before, after = (_lines(entry.get(side)) for side in ("before", "after"))
    names = (str(entry.get("before_header", "before")), str(entry.get("after_header", "after")))
    return "\n".join(difflib.unified_diff(before, after, *names, lineterm=""))


def _lines(side: Any) -> list[str]:
    if side is None:
        return []
    text = side if isinstance(side, str) else json.dumps(side, indent=1, sort_keys=True, default=str)
    return text.splitlines()


def _capped(diffs: Sequence[str]) -> Iterator[str]:
    left = DIFFS_CHARS
    for number, diff in enumerate(diffs):
        if len(diff) > left:
            yield f"… {len(diffs) - number} more diffs"
            return
        left -= len(diff)
        yield diff
