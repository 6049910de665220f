"""A lab to attack: the product's gate, tools, boards and files; only what would touch the world merely notes it.

A fake `terraform` program, an Ansible and an SSH that note what they would run. Everything between the model's call
and them is the product's own.
"""

import asyncio
import json
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.domain.approval import Approval, Decision
from agents.domain.errors import BadInput
from agents.domain.message import USER, Kind, Message
from agents.domain.ports import TurnContext
from agents.domain.redaction import SecretMask
from agents.domain.turn import Claim, Status, ToolResult
from agents.executors.ansible import Ansible, Job
from agents.executors.hosts import Hosts, KeyRing
from agents.executors.lint import Lint
from agents.executors.play_summary import PlayReport
from agents.executors.process import Processes
from agents.executors.search import Search
from agents.executors.ssh import RemoteRun, Ssh
from agents.executors.terraform import Terraform
from agents.executors.versions import Versions
from agents.executors.workspace import Workspace
from agents.room.in_memory import InMemoryRoom
from agents.tools import ansible, approvals, files, findings, shell, ssh, terraform
from tests.support.gates import Guarded, RecordedLedger, Text
from tests.support.team import claimed, role
from tests.tools.test_shell import Recorder

PLAYBOOK = "config/site/deploy.yml"
VARS = "config/site/vars.yml"
MODULE = "infra/site"
RUN: Mapping[str, Any] = {"playbook": PLAYBOOK}
APPLY: Mapping[str, Any] = {"action": "apply", "module": MODULE}
REMOTE: Mapping[str, Any] = {"host": "web1", "command": "systemctl restart nginx"}
COPY: Mapping[str, Any] = {"host": "web1", "path": VARS, "remote_path": "/srv/vars.yml"}
DEVOPS = (
    "run_ansible", "run_terraform", "run_ssh", "copy_to_host", "run_shell", "save_file", "edit_file", "read_file",
)  # fmt: skip
SECURITY = (
    "list_approvals", "show_approval", "approve", "reject", "raise_finding", "list_findings", "resolve_finding",
    "run_shell", "read_file",
)  # fmt: skip
_HOSTS = "hosts: {{web1: {{address: 192.0.2.{last}, user: deploy, key: id}}}}\n"
_KEYS = {
    "old": "AAAAC3NzaC1lZDI1NTE5AAAAIP+MUJrb2TX1HTKo3eJBiK8cNrgvJZgKnPUlLOEyMDxE",
    "new": "AAAAC3NzaC1lZDI1NTE5AAAAIKtM8mQvKHhJb3vqOZDhbeBZoyXkvBM6rGgUv3HkO0uD",
}
_TERRAFORM = """#!{python}
import json, pathlib, sys
action, home = sys.argv[1], pathlib.Path({home!r})
if action == "plan":
    out = next(word for word in sys.argv if word.startswith("-out="))[5:]
    pathlib.Path(out).write_text((home / "plan.json").read_text())
    sys.exit(2)
if action == "show":
    print(pathlib.Path(sys.argv[-1]).read_text())
if action == "apply":
    with (home / "applied").open("a") as file:
        file.write(pathlib.Path(sys.argv[-1]).read_text() + "\\n")
"""


class NotingAnsible(Ansible):
    """Notes what it would run."""

    ran: list[str]
    would_fail = False

    async def run(self, job: Job, *, timeout: float) -> PlayReport:
        """A run that changed one thing; a check run is none."""
        if not job.check:
            self.ran.append(f"ansible {job.playbook}")
        stats = {"localhost": {"ok": 2, "changed": 1, "failed": int(self.would_fail)}}
        return PlayReport(check=job.check, stats=stats, finished=True)


class NotingSsh(Ssh):
    """Notes what it would run, over the real inventory and pins."""

    ran: list[str]

    async def run(self, host: str, command: str, timeout: float) -> RemoteRun:
        """A command that printed nothing."""
        self.pinned(host)
        self.ran.append(f"ssh {host} {command}")
        return RemoteRun(host, 0, "", "", 0.1, False, False)

    async def put(self, host: str, content: bytes, path: str) -> str:
        """A copied file."""
        self.ran.append(f"copy {host} {path} {content.decode()}")
        return path


class World:
    """One lab. `acts` is what would have touched the world; `shell` is the sandbox's double."""

    def __init__(self, home: Path, policy: Text | None = None, room: str = "lab", lifetime: float = 60.0) -> None:
        self.home = home
        self.opened = InMemoryRoom(room)
        self.workspace = Workspace({name: home / "space" / name for name in ("infra", "config", "docs", "tmp")})
        self._ran: list[str] = []
        self._step = self._forgotten = 0
        self._claims: dict[str, Claim] = {}
        self.pin("old")
        self.ansible = NotingAnsible(Processes(), self.workspace, home, home / "known_hosts")
        self.ssh = NotingSsh(Hosts(self.workspace, KeyRing([], workspace=self.workspace), home / "known_hosts"), home)
        self.ansible.ran = self.ssh.ran = self._ran
        self.shell = Recorder()
        self.terraform = Terraform(Processes(), self.workspace, home / "state", binary=str(self._terraform()))
        self.ledger, self.mask = RecordedLedger(), SecretMask(["open-sesame-42"])
        self.guarded = Guarded(
            self.opened, self._tools(), policy or Text(), self.mask, lifetime=lifetime, ledger=self.ledger
        )
        self._fill()

    def _tools(self) -> list[Any]:
        mask, ledger = self.mask, self.ledger
        processes = Processes()
        versions = Versions(processes, self.home / "space", self.home, ("infra", "config"))
        search, lint = Search(self.workspace, processes, self.home), Lint(self.workspace, processes, self.home)
        return [
            *files.tools(self.workspace, versions, search, lint, mask),
            *ansible.tools(self.ansible, self.workspace),
            *terraform.tools(self.terraform, lambda text, name: name, self.workspace),
            *ssh.tools(self.ssh, self.workspace, versions, lambda text, name: text),
            *shell.tools(self.shell, ("Security", "QA")),
            *approvals.tools(self.opened.approvals, ledger),
            *findings.tools(self.opened.findings, mask, lambda target: ""),
        ]

    @property
    def acts(self) -> list[str]:
        """Every act on the world so far."""
        applied = self.home / "applied"
        ran = [*self._ran, *(applied.read_text().splitlines() if applied.exists() else ())]
        return ran[self._forgotten :]

    def note(self, what: str) -> None:
        """An act that none of the doubles sees."""
        self._ran.append(what)

    def forget(self, acts: list[str]) -> None:
        """These were allowed."""
        self._forgotten += len(acts)

    def pin(self, key: str) -> None:
        """Pin a host key for web1."""
        (self.home / "known_hosts").write_text(f"192.0.2.1 ssh-ed25519 {_KEYS[key]}\n")

    def move_host(self) -> None:
        """Point web1 elsewhere."""
        self.workspace.write_text("config/hosts.yaml", _HOSTS.format(last=2))

    def forge_plan(self) -> None:
        """The saved plan is altered on the disk, record and all."""
        for record in (self.home / "state/terraform").glob("*/plan.json"):
            body = json.loads(record.read_text())
            record.write_text(json.dumps({**body, "identity": "0" * 64}))

    def plan_says(self, *addresses: str, actions: tuple[str, ...] = ("create",), stamp: str = "1") -> None:
        """What the next plan holds."""
        change: dict[str, Any] = {"actions": list(actions), "before": None, "after": {}, "after_unknown": {}}
        body = {
            "format_version": "1.2",
            "timestamp": stamp,
            "resource_changes": [
                {"address": address, "type": "terraform_data", "change": change} for address in addresses
            ],
        }
        (self.home / "plan.json").write_text(json.dumps(body))

    def _fill(self) -> None:
        self.workspace.write_text(PLAYBOOK, "- hosts: localhost\n  tasks:\n    - ansible.builtin.ping:\n")
        self.workspace.write_text(VARS, "port: 8089\n")
        self.workspace.write_text(f"{MODULE}/main.tf", 'resource "terraform_data" "a" {}\n')
        self.workspace.write_text("config/hosts.yaml", _HOSTS.format(last=1))
        self.plan_says("terraform_data.a")

    def _terraform(self) -> Path:
        program = self.home / "terraform"
        program.write_text(_TERRAFORM.format(python=sys.executable, home=str(self.home)))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return program

    async def turn(self, name: str = "DevOps") -> TurnContext:
        """The next step of the role's turn."""
        if name not in self._claims:
            self._claims[name] = await claimed(self.opened, name)
        self._step += 1
        tools = {"DevOps": DEVOPS, "Security": SECURITY, "QA": ("run_shell",), "Coder": DEVOPS[-3:]}[name]
        return TurnContext(role(name, tools, network=name == "DevOps"), self._claims[name], self._step)

    def new_epoch(self) -> None:
        """Forget the turns of the old one."""
        self._claims.clear()

    async def call(self, tool: str, args: Mapping[str, Any], name: str = "DevOps") -> ToolResult:
        """Call and wait for the result."""
        return await self.guarded.call(await self.turn(name), tool, args, f"c{self._step}")

    async def ask(self, tool: str, args: Mapping[str, Any], name: str = "DevOps") -> "Asked":
        """Call; come back once it waits for an approval, or has ended without."""
        task = asyncio.create_task(self.call(tool, args, name))
        while not task.done():
            waiting = [approval for approval, _ in await self.opened.approvals.open()]
            if waiting:
                await asyncio.sleep(0.02)  # until it listens for decisions
                return Asked(self, task, waiting[-1])
            await asyncio.sleep(0.002)
        return Asked(self, task, None)

    async def plan(self) -> None:
        """Save a plan."""
        result = await self.call("run_terraform", {"action": "plan", "module": MODULE})
        assert result.status is Status.OK, result.content

    async def security_approves(self, id: str) -> ToolResult:
        """Security reads all of it, then approves."""
        page = 1
        while "Not read yet" in (await self.call("show_approval", {"id": id, "page": page}, "Security")).content:
            page += 1
        return await self.call("approve", {"id": id}, "Security")

    async def user_decides(self, approval: Approval, *, approve: bool = True, by: str = USER) -> str:
        """What the console does; the objection, or ""."""
        decision = Decision(by, approve, approval.digest, 0.0, "" if approve else "not today")
        try:
            await self.opened.approvals.decide(approval.id, decision, Message(by, "decided", Kind.APPROVAL))
        except BadInput as error:
            return str(error)
        return ""


class Asked:
    """A call under way that may wait for `approval`."""

    def __init__(self, world: World, task: "asyncio.Task[ToolResult]", approval: Approval | None) -> None:
        self.world = world
        self.task = task
        self._approval = approval

    @property
    def approval(self) -> Approval:
        """What it waits for."""
        assert self._approval is not None, self.task.result().content
        return self._approval

    async def approved(self) -> ToolResult:
        """The result after everybody who is needed agreed."""
        await self.everybody_agrees()
        return await self.task

    async def everybody_agrees(self) -> None:
        """All keys, without waiting for the act."""
        if "Security" in self.approval.needed:
            said = await self.world.security_approves(self.approval.id)
            assert said.status is Status.OK, said.content
        if USER in self.approval.needed:
            assert await self.world.user_decides(self.approval) == ""

    async def given_up(self) -> None:
        """End the waiting."""
        self.task.cancel()
        await asyncio.wait([self.task])
