"""What a playbook run would run: every file it can see beside itself, and what a check run of it says."""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from agents.domain.card import Page
from agents.domain.errors import ToolError
from agents.domain.turn import Effect
from agents.executors.ansible import Ansible, Job, is_local
from agents.executors.play_summary import PlayReport
from agents.executors.snapshot import Snapshot, snapshot
from agents.executors.workspace import Workspace
from agents.tools.inventories import hosts_of
from agents.tools.material import Foreseen, Material, args_as_pages, files_as_pages
from agents.tools.risk import CheckRun

CHECK_SECONDS = 180.0  # a check run for the risk may take
REMEMBERED = 20  # check runs
FRESH_SECONDS = 900.0  # that a check run's outcome is believed, if nothing of the material changed
_CODE_ROOTS = ("config", "infra")
_LOCAL = ("localhost",)


@dataclass
class Playbooks:
    """Gathers the material of playbook runs, and remembers what check runs said of it."""

    ansible: Ansible
    workspace: Workspace
    _seen: "OrderedDict[tuple[str, str], tuple[float, PlayReport]]" = field(default_factory=OrderedDict, init=False)

    async def material(self, job: Job) -> Material:
        """What the run would run. Raise PathEscape, ToolError, Refused."""
        shot = await asyncio.to_thread(self._snapshot, job)
        playbook = self.workspace.shown(job.playbook)
        inventory = None if is_local(job.inventory) else self.workspace.shown(str(job.inventory))
        hosts, known = _hosts(shot, inventory)
        targets = tuple(dict.fromkeys(filter(None, (playbook, inventory))))
        leases = tuple(f"host:{host}" for host in sorted(hosts)) or (f"inventory:{inventory}",)
        order = [name for name in (playbook, inventory) if name]
        variables = args_as_pages({"extra_vars": dict(job.extra_vars)}) if job.extra_vars else ()

        async def foresee() -> Foreseen:
            return await self._foreseen(job, shot, hosts, known)

        pages: tuple[Page, ...] = (*variables, *files_as_pages(shot, order))
        return Material({"tree": shot.sha}, targets, tuple(sorted(hosts)), leases, pages, foresee=foresee)

    def remember(self, job: Job, tree: str, report: PlayReport) -> None:
        """A check run of the job on this tree said so."""
        self._seen[self._key(job, tree)] = (time.monotonic(), report)
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)

    async def tree(self, job: Job) -> str:
        """The hash of all the run can see; "" where it can't be pinned."""
        try:
            return (await asyncio.to_thread(self._snapshot, job)).sha
        except ToolError:
            return ""

    def _snapshot(self, job: Job) -> Snapshot:
        folders = [_folder(self.workspace.shown(job.playbook))]
        if not is_local(job.inventory):
            folders.append(_folder(self.workspace.shown(str(job.inventory))))
        shot = snapshot(self.workspace, folders)
        # what lies elsewhere is reached by such a path only: then everything counts
        return snapshot(self.workspace, (*folders, *_CODE_ROOTS)) if shot.mentions("../") else shot

    async def _foreseen(self, job: Job, shot: Snapshot, hosts: frozenset[str], known: bool) -> Foreseen:
        effect, blind, summary = Effect.MUTATE, [], ""
        if not known:
            effect = Effect.DESTROY
            blind.append("which hosts it reaches can't be told from the inventory")
        run: CheckRun | None = None
        check = replace(job, check=True)
        if found := await asyncio.to_thread(self.ansible.hazards, check):
            blind += [f"no check run was made, it would act itself: {hazard}" for hazard in found[:8]]
        else:
            try:
                report = await self._checked(check, shot.sha)
                run, summary = _check_run(report), report.text()
            except ToolError as error:
                blind.append(f"the check run failed: {str(error)[:300]}")
        return Foreseen(effect, None, run, (), (), tuple(hosts), tuple(blind), summary)

    async def _checked(self, check: Job, tree: str) -> PlayReport:
        at, report = self._seen.get(self._key(check, tree), (float("-inf"), None))
        if report is None or time.monotonic() - at > FRESH_SECONDS:
            report = await self.ansible.run(check, timeout=CHECK_SECONDS)
            self.remember(check, tree, report)
        return report

    def _key(self, job: Job, tree: str) -> tuple[str, str]:
        return tree, repr((job.playbook, job.inventory, job.limit, sorted(job.extra_vars.items()), tree))


def _folder(name: str) -> str:
    parent = PurePosixPath(name).parent
    return str(parent) if parent.parts else name


def _hosts(shot: Snapshot, inventory: str | None) -> tuple[frozenset[str], bool]:
    """The hosts of an inventory, and whether they are all."""
    if inventory is None:
        return frozenset(_LOCAL), True
    texts = [shot.text(name) for name in shot.files if name == inventory]
    hosts = hosts_of(texts[0]) if len(texts) == 1 else None  # a folder of inventories is not read
    return hosts or frozenset(), hosts is not None


def _check_run(report: PlayReport) -> CheckRun:
    names = {"changed": "changed", "failures": "failed", "dark": "unreachable", "ok": "ok"}
    stats = {
        name: {host: counts.get(ours, 0) for host, counts in report.stats.items()} for name, ours in names.items()
    }
    return CheckRun(stats, tuple(task.task for task in report.not_predicted))
