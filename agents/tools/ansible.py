"""run_ansible: a playbook run, told as a report."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from pydantic import Field

from agents.domain.errors import ToolError
from agents.domain.turn import Effect, Status
from agents.executors.ansible import Ansible, Job
from agents.executors.play_summary import PlayReport
from agents.executors.workspace import Workspace
from agents.tools.material import Material
from agents.tools.playbooks import Playbooks
from agents.tools.registry import Act, Args, Output, Tool

SECONDS = 900.0  # one run may take
_MARGIN = 5.0  # seconds kept for killing and telling, before the gate cuts in

_DESCRIPTION = (
    "Run an Ansible playbook from the workspace and get per-host results, changed and failed tasks and diffs. "
    "Try it first with check=true: that predicts without changing anything. Without an inventory it runs on this "
    "machine (hosts: all or localhost). In playbooks use paths relative to playbook_dir; `~` is a throwaway folder "
    'here. Example: {"playbook": "infra/site.yml", "inventory": "infra/hosts.yml", "check": true, '
    '"extra_vars": {"ports": [80, 443]}}'
)


class RunAnsible(Args):
    """Arguments of run_ansible."""

    playbook: str = Field(min_length=1, description="the playbook's path, such as infra/site.yml")
    inventory: str | None = Field(None, min_length=1, description="path of an inventory; leave out for this machine")
    limit: str | None = Field(None, min_length=1, max_length=500, description="only these hosts, such as web1,web2")
    extra_vars: dict[str, Any] = Field(
        default_factory=dict, description="variables as a JSON object; lists and numbers stay lists and numbers"
    )
    check: bool = Field(False, description="predict only, change nothing")
    diff: bool = Field(True, description="show what changes in files")

    def job(self) -> Job:
        """The same, for the executor."""
        return Job(self.playbook, self.inventory, self.limit, self.extra_vars, self.check, self.diff)


def tools(ansible: Ansible, workspace: Workspace) -> list[Tool[Any]]:
    """run_ansible."""
    playbooks = Playbooks(ansible, workspace)

    async def run(args: RunAnsible, act: Act) -> Output:
        job = args.job()
        found = await asyncio.to_thread(ansible.hazards, job) if args.check else ()
        tree = await playbooks.tree(job) if args.check else ""
        report = await ansible.run(job, timeout=max(1.0, act.timeout - _MARGIN))
        if tree and tree == await playbooks.tree(job):
            playbooks.remember(job, tree, report)
        notes = [f"Ran although this would act in a check run too: {'; '.join(found)}"] if found else []
        return Output("\n".join([report.text(), *notes]), Status.OK if succeeded(report) else Status.ERROR)

    def effect(args: RunAnsible) -> Effect:
        """A check run reads, if nothing in the playbook would act in it."""
        if not args.check:
            return Effect.MUTATE
        try:
            return Effect.MUTATE if ansible.hazards(args.job()) else Effect.READ
        except (ToolError, OSError):  # the run itself will say what is wrong
            return Effect.MUTATE

    def material(args: RunAnsible) -> Awaitable[Material]:
        return playbooks.material(args.job())

    return [Tool("run_ansible", _DESCRIPTION, RunAnsible, run, effect, SECONDS, material=material)]


def succeeded(report: PlayReport) -> bool:
    """Whether every host was reached and no task failed."""
    return report.finished and not (report.no_hosts or report.total("failed") or report.total("unreachable"))
