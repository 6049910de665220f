"""Puts the executors and the tools together: the second half of the composition root."""

import asyncio
from collections.abc import Callable, Sequence

from agents.domain.errors import ToolError
from agents.domain.message import SYSTEM, Kind, Message
from agents.domain.mission import AnsibleProbe, CommandProbe, FileProbe, TerraformProbe, Verdict
from agents.domain.ports import Ledger, OpenRoom, Redactor, Verifier
from agents.domain.role import ROLES
from agents.executors import probes
from agents.executors.ansible import Ansible
from agents.executors.docker_run import DockerExecutor, Image
from agents.executors.hosting import Hosting
from agents.executors.hosts import Hosts, KeyRing
from agents.executors.kubectl import Kubectl
from agents.executors.lint import Lint
from agents.executors.output import Spool
from agents.executors.process import Processes
from agents.executors.sandbox import Mode, Sandbox
from agents.executors.search import Search
from agents.executors.snapshot import snapshot
from agents.executors.ssh import Ssh
from agents.executors.terraform import Terraform
from agents.executors.versions import Versions
from agents.executors.web import Web
from agents.executors.workspace import Workspace
from agents.runtime.control import Halted
from agents.runtime.delegated import CheckService, DelegatedVerifier
from agents.runtime.verifier import MissionVerifier, Prober
from agents.settings import Settings
from agents.tools import (
    ansible,
    approvals,
    apps,
    checks,
    env,
    files,
    findings,
    kubectl,
    shell,
    ssh,
    team,
    terraform,
    web,
)
from agents.tools.registry import Registry

READ_ONLY_SHELLS = ("Security", "QA")
STREAM_CHARS = 3500  # what is shown of each stream of a remote command: two fit under the gate's cap
PLAN_BYTES = 32 << 20  # `terraform show -json` of a large module


class Toolbox:
    """Everything the team may do on this machine, where the roles `names` are played.

    The roots are those of the design: infra, config, docs, tmp.
    """

    def __init__(
        self,
        settings: Settings,
        opened: OpenRoom,
        redactor: Redactor,
        ledger: Ledger,
        names: Sequence[str] = ROLES,
    ) -> None:
        home, state = settings.minilab_home, settings.state_dir
        empty_home = state / "home"
        empty_home.mkdir(mode=0o700, parents=True, exist_ok=True)
        iac = home / "generated_iac"
        roots = {"infra": iac / "infra", "config": iac / "config", "docs": home / "docs", "tmp": home / "tmp"}
        variables = settings.infrastructure()
        self.workspace = Workspace(roots)
        self.workspace.sweep()
        self.processes = Processes()
        self.spool = Spool(home / "tmp")
        self.ansible = Ansible(self.processes, self.workspace, state, settings.known_hosts, variables=variables)
        self.ansible.sweep()
        self._large = Processes(output_cap=PLAN_BYTES)
        self.terraform = Terraform(self._large, self.workspace, state, variables=variables)
        self.sandbox, code = self._sandboxes(settings)
        own = MissionVerifier(opened.mission, self._probers(), redactor)
        self.verifier, self._peer = _verifier(own, opened, settings.checks_by, names)
        self.finish_line = team.FinishLine(opened.mission, self.verifier)

        async def notice(text: str) -> None:
            await opened.room.post(Message(SYSTEM, redactor.text(text), Kind.SYSTEM))

        def keep(text: str, name: str) -> str:
            return self.spool.keep(redactor.text(text), name)

        self.hosting = Hosting(self.sandbox, self.processes, self.workspace, opened.presence, notice=notice)
        versions = Versions(self.processes, iac, empty_home, ("infra", "config"))
        lint = Lint(self.workspace, self.processes, empty_home, modules=self.terraform)
        search = Search(self.workspace, self.processes, empty_home)
        self.ssh = self._ssh(settings)
        config = settings.kubeconfig_path
        kubectl_runner = Kubectl(self.processes, self.workspace, empty_home, config, variables=variables)
        shorten = _shortening(Spool(home / "tmp", STREAM_CHARS), redactor)
        self.registry = Registry(
            [
                *files.tools(self.workspace, versions, search, lint, redactor),
                *env.tools(settings.variables(), redactor),
                *shell.tools(self.sandbox, READ_ONLY_SHELLS, code_executor=code),
                *apps.tools(self.hosting, self.workspace),
                *ansible.tools(self.ansible, self.workspace),
                *terraform.tools(self.terraform, keep, self.workspace),
                *ssh.tools(self.ssh, self.workspace, versions, shorten),
                *kubectl.tools(kubectl_runner),
                *web.tools(Web()),
                *approvals.tools(opened.approvals, ledger),
                *findings.tools(opened.findings, redactor, self._content),
                *checks.tools(opened.mission, self.verifier),
                *team.tools(self.finish_line, team.Questions(opened.mission)),
            ]
        )

    async def halt(self, role: str | None = None) -> Halted:
        """End every process tree, hosted app and remote command, or what a role serves: its turn ends the rest."""
        # first: an app that is killed under it would be reported as crashed
        served = await self.hosting.stop_all(role)
        if role is not None:
            return Halted(apps=served)
        *ended, remote = await asyncio.gather(self.processes.stop_all(), self._large.stop_all(), self.ssh.stop_all())
        left = (*self.processes.unwilling, *self._large.unwilling, *self.ssh.left)
        return Halted(sum(ended), served, remote, left)

    def hear(self, message: Message) -> None:
        """A control message of the room: checks may be run for another process, or by it."""
        if self._peer:
            self._peer.hear(message)

    async def close(self) -> None:
        """End everything this process runs, for good."""
        if isinstance(self._peer, CheckService):
            await self._peer.end()
        await self.halt()

    def _sandboxes(self, settings: Settings) -> tuple[Sandbox, DockerExecutor | None]:
        """Where commands run, and code if that is elsewhere."""
        docker = settings.sandbox == "docker"
        mode: Mode = "auto" if settings.sandbox == "docker" else settings.sandbox
        image = Image(settings.sandbox_image, settings.sandbox_runtime)
        code = DockerExecutor(self.processes, self.workspace, image) if docker else None
        return Sandbox(self.processes, self.workspace, settings.state_dir, mode=mode), code

    def _ssh(self, settings: Settings) -> Ssh:
        """SSH with the keys the User has set aside. Raise SettingsError where agents could write those."""
        keys = settings.ssh_key_dir or settings.state_dir / "keys"
        keys.expanduser().mkdir(mode=0o700, parents=True, exist_ok=True)
        ring = KeyRing([keys], workspace=self.workspace)
        return Ssh(Hosts(self.workspace, ring, settings.known_hosts), settings.state_dir)

    def _content(self, target: str) -> str:
        """The hash of what a finding's target holds now; "" for a host, or where nothing is there."""
        try:
            return snapshot(self.workspace, [target]).sha
        except ToolError:
            return ""

    def _probers(self) -> dict[str, Prober]:
        """How each kind of probe is run."""

        async def file(probe: FileProbe) -> tuple[Verdict, str]:
            return probes.file(probe, self.workspace)

        async def command(probe: CommandProbe) -> tuple[Verdict, str]:
            return await probes.command(probe, self.sandbox)

        async def idempotent(probe: AnsibleProbe) -> tuple[Verdict, str]:
            return await self.ansible.check(probe.playbook, probe.inventory)

        async def clean(probe: TerraformProbe) -> tuple[Verdict, str]:
            return await self.terraform.clean(probe.module)

        return {
            "http": probes.http,
            "tcp": probes.tcp,
            "file": file,
            "command": command,
            "ansible_idempotent": idempotent,
            "terraform_clean": clean,
        }


def _shortening(streams: Spool, redactor: Redactor) -> Callable[[str, str], str]:
    """Masks a stream and caps it, by the name it is kept under."""
    return lambda text, name: streams.cap(redactor.text(text), name)


def _verifier(
    own: MissionVerifier, opened: OpenRoom, checks_by: str, names: Sequence[str]
) -> tuple[Verifier, CheckService | DelegatedVerifier | None]:
    """Who runs checks for the roles `names`, and what serves other processes, or asks one."""
    if not checks_by:
        return own, None
    if checks_by in names:
        return own, CheckService(opened, checks_by, own)
    delegated = DelegatedVerifier(opened, names[0], checks_by)
    return delegated, delegated
