"""Ansible: one playbook run in a child process and a private directory that is gone afterwards."""

import asyncio
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from agents.domain.errors import InvalidArguments, PathEscape, ToolError, ToolTimeout
from agents.domain.mission import Verdict
from agents.executors import check_hazards, play_summary
from agents.executors.play_summary import PlayReport
from agents.executors.process import Finished, Processes, base_environment
from agents.executors.workspace import Workspace

FORKS = 5
CONNECT_SECONDS = 15
SOCKET_FOLDER_CHARS = 75  # a Unix socket's path has 107 at most, and ssh adds to it
EVENT_BYTES = 64 << 20  # events read of one run; beyond it only the last ones
LAST_EVENTS = 20
EXAMINED_FILES = 400
EXAMINED_BYTES = 512 << 10
_PREFIX = "minilab-ansible-"
STALE_SECONDS = 4 * 3600.0  # no run takes such time: whoever made the directory was killed
_LOCAL = ("localhost", "localhost,", "127.0.0.1", "127.0.0.1,")
_LIMIT = re.compile(r"[A-Za-z0-9_.*!\[][A-Za-z0-9_.*!&:,\[\]-]*")
# a host that may be this machine: by name, by connection, by delegation, or by a template that may say so
_THIS_MACHINE = re.compile(r"localhost|127\.|::1|\blocal\b|local_action|(?:hosts|connection|delegate_to)\W{1,9}\{\{")
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  a tmpfs: what lies there never reaches a disk
_JOB = Path(__file__).with_name("ansible_job.py")

_CONFIG = """\
[defaults]
nocows = True
nocolor = True
host_key_checking = True
retry_files_enabled = False
localhost_warning = False
deprecation_warnings = False
interpreter_python = auto_silent
bin_ansible_callbacks = False
forks = {forks}
timeout = {connect}
home = {private}/home
local_tmp = {private}/tmp
roles_path = {private}/none
collections_path = {private}/none
collections_scan_sys_path = False
library = {private}/none
module_utils = {private}/none
{plugins}
[inventory]
enable_plugins = yaml, ini
[connection]
pipelining = True
[ssh_connection]
control_path_dir = {private}/cp
"""
_PLUGIN_KINDS = "action become cache callback cliconf connection filter httpapi inventory lookup netconf strategy "
_PLUGIN_KINDS += "terminal test vars"


@dataclass(frozen=True, slots=True)
class Job:
    """A playbook run as asked for. `inventory` None: this machine, over a local connection."""

    playbook: str
    inventory: str | None = None
    limit: str | None = None
    extra_vars: Mapping[str, Any] = field(default_factory=dict)
    check: bool = False
    diff: bool = True


@dataclass(frozen=True, slots=True)
class _Paths:
    playbook: Path
    inventory: Path | None


class Ansible:
    """Runs playbooks of a workspace.

    Host keys are those of `known_hosts` and no others. `variables` is all of our environment that Ansible sees.
    Methods raise PathEscape, InvalidArguments, MissingBinary, ToolTimeout, and ToolError where Ansible itself broke.
    """

    def __init__(
        self,
        processes: Processes,
        workspace: Workspace,
        state_dir: Path,
        known_hosts: Path,
        *,
        variables: Mapping[str, str] | None = None,
        tmpfs: Path = SHARED_MEMORY,
    ) -> None:
        self._processes = processes
        self._workspace = workspace
        self._scratch = tmpfs if os.access(tmpfs, os.W_OK | os.X_OK) else state_dir
        self._known_hosts = known_hosts
        self._variables = dict(variables or {})

    def sweep(self, older: float = STALE_SECONDS) -> int:
        """Take away the private directories, with variables in them, of runs whose worker was killed."""
        swept = 0
        for left in self._scratch.glob(f"{_PREFIX}*"):
            with suppress(OSError):  # another user's
                status = left.lstat()
                if status.st_uid == os.getuid() and time.time() - status.st_mtime > older:
                    shutil.rmtree(left)
                    swept += 1
        return swept

    async def run(self, job: Job, *, timeout: float) -> PlayReport:
        """Run it and tell what happened. A failed task is no error here: the report says it."""
        paths = self._paths(job)
        self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        private = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self._scratch))
        try:
            self._prepare(private, job)
            done = await self._start(private, job, paths, timeout)
            events = await asyncio.to_thread(lambda: list(events_in(private / "artifacts/run/job_events")))
        finally:
            # the run's whole tree has ended by now, ssh masters and asynchronous tasks too: nothing writes here
            shutil.rmtree(private, ignore_errors=True)
        shown = None if not job.check or not self._may_touch_this_machine(job) else self._is_ours
        report = play_summary.report(events, check=job.check, paths=self._shown_paths(private), may_show=shown)
        if done.timed_out:
            raise ToolTimeout(f"the run of {job.playbook} was killed after {timeout:g} s.\n{report.text()}")
        if not events:
            raise ToolError(f"ansible-runner broke (exit code {done.exit_code}): {done.stderr.strip()[-1500:]}")
        return report

    def hazards(self, job: Job) -> tuple[str, ...]:
        """What of the job would act even in a check run; empty: nothing would. Raise what `run` raises."""
        self._paths(job)
        files = self._texts(job)
        if (size := sum(map(len, files.values()))) > EXAMINED_BYTES or len(files) > EXAMINED_FILES:
            return (f"{len(files)} files with {size:,} characters beside it are too much to examine",)
        return check_hazards.hazards(files, job.extra_vars)

    def _texts(self, job: Job) -> dict[str, str]:
        """Path → text of all that Ansible may load for a job."""
        files = dict(self._examined(str(PurePosixPath(self._workspace.shown(job.playbook)).parent)))
        if not is_local(job.inventory):
            inventory = PurePosixPath(self._workspace.shown(str(job.inventory)))
            # group_vars and host_vars beside the inventory are read too
            files |= dict(self._examined(str(inventory.parent if len(inventory.parts) > 1 else inventory)))
        return files

    async def check(
        self, playbook: str, inventory: str | None = None, *, timeout: float = 120
    ) -> tuple[Verdict, str]:
        """Whether a check run of the playbook predicts no change and no failure."""
        job = Job(playbook, inventory, check=True)
        try:
            if found := await asyncio.to_thread(self.hazards, job):
                return Verdict.UNKNOWN, "a check run of it may do more than predict: " + "; ".join(
                    found[: check_hazards.SHOWN_HAZARDS]
                )
            return verdict(await self.run(job, timeout=timeout))
        except ToolError as error:
            return Verdict.UNKNOWN, str(error)

    def _paths(self, job: Job) -> _Paths:
        """The host's paths of a job. Raise InvalidArguments for what can't be run."""
        if job.limit is not None and not _LIMIT.fullmatch(job.limit):
            raise InvalidArguments(
                f"limit {job.limit[:80]!r} is no host pattern: write names such as web1,web2 or web*"
            )
        if bad := [name for name in job.extra_vars if not re.fullmatch(r"[A-Za-z_]\w*", name)]:
            raise InvalidArguments(f"extra_vars: {bad[0][:60]!r} is no variable name")
        if "ansible_ssh_args" in job.extra_vars:
            raise InvalidArguments("extra_vars: ansible_ssh_args is set by the product, which pins host keys with it")
        playbook = self._workspace.host_path(job.playbook)
        if not playbook.is_file():
            raise InvalidArguments(f"playbook {job.playbook!r} is a folder: name the .yml file in it")
        return _Paths(playbook, None if is_local(job.inventory) else self._workspace.host_path(str(job.inventory)))

    def _prepare(self, private: Path, job: Job) -> None:
        """Fill the private directory: configuration, local inventory, variables."""
        for folder in ("home", "tmp", "cp", "env"):
            (private / folder).mkdir(mode=0o700)
        plugins = "\n".join(f"{kind}_plugins = {private}/none" for kind in _PLUGIN_KINDS.split())
        config = _CONFIG.format(forks=FORKS, connect=CONNECT_SECONDS, private=private, plugins=plugins)
        (private / "ansible.cfg").write_text(config, encoding="utf-8")
        local = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "ansible_remote_tmp": str(private / "tmp"),
        }
        inventory = {"all": {"hosts": {"localhost": local}}}
        (private / "local.yml").write_text(yaml.safe_dump(inventory), encoding="utf-8")
        # as a variable it wins over whatever an inventory says, and ssh takes the first of two options
        reuse = len(str(private)) <= SOCKET_FOLDER_CHARS
        variables = {**job.extra_vars, "ansible_ssh_args": ssh_arguments(self._known_hosts, reuse=reuse)}
        (private / "env/extravars").write_text(json.dumps(variables), encoding="utf-8")

    async def _start(self, private: Path, job: Job, paths: _Paths, timeout: float) -> Finished:
        flags = [flag for flag, wanted in (("--check", job.check), ("--diff", job.diff)) if wanted]
        description = {
            "private_data_dir": str(private),
            "project_dir": str(paths.playbook.parent),
            "playbook": str(paths.playbook),
            "inventory": str(paths.inventory or private / "local.yml"),
            # -v: only then a skipped task's event says why it was skipped
            "cmdline": " ".join([*flags, *(["-v"] if job.check else [])]) or None,
            "limit": job.limit,
        }
        env = {
            **base_environment(private / "home"),
            **self._variables,
            "ANSIBLE_CONFIG": str(private / "ansible.cfg"),
            "ANSIBLE_HOST_KEY_CHECKING": "True",  # the runner would set False
            "ANSIBLE_LOCAL_TEMP": str(private / "tmp"),
        }
        argv = [sys.executable, "-I", str(_JOB)]
        stdin = json.dumps(description).encode()
        return await self._processes.run(argv, cwd=private, env=env, timeout=timeout, stdin=stdin)

    def _shown_paths(self, private: Path) -> dict[str, str]:
        """Host paths → the names agents know, longest first."""
        shown = {str(path): name for name, path in self._workspace.roots.items()} | {str(private): "(private)"}
        return dict(sorted(shown.items(), key=lambda item: -len(item[0])))

    def _may_touch_this_machine(self, job: Job) -> bool:
        """Whether a host of the job may be this machine: unless the texts make no mention of it, yes."""
        if is_local(job.inventory):
            return True
        texts = [json.dumps(job.extra_vars), *self._texts(job).values()]
        return any(_THIS_MACHINE.search(text) for text in texts)

    def _is_ours(self, path: str) -> bool:
        """Whether a host's path lies in the workspace, links followed."""
        real = os.path.realpath(path)
        return any(real.startswith(f"{root}/") for root in self._workspace.roots.values())

    def _examined(self, folder: str) -> Iterator[tuple[str, str]]:
        """Path → text of what lies below a folder; links, hard or not, and what is too much are hazards."""
        read = 0
        for entry in islice(self._workspace.entries(folder), EXAMINED_FILES + 1):
            path = str(entry.place)
            if entry.kind == "folder":
                continue
            try:
                read += entry.size
                if entry.kind != "file" or read > EXAMINED_BYTES:
                    raise PathEscape(path)
                text = self._workspace.read(path).raw.decode("utf-8", "replace")
            except ToolError:  # one neighbour that can't be read mustn't keep the job from running
                yield f"{path}.yml", "["  # no YAML: named as a hazard
            else:
                yield path, text


def verdict(report: PlayReport) -> tuple[Verdict, str]:
    """What a check run says of a playbook: pass only if everything was predicted, and nothing would change."""
    evidence = report.text()
    if report.total("failed") or (not report.finished and report.complaints):
        return Verdict.FAIL, evidence
    if not report.finished or report.no_hosts or report.unreachable or report.total("unreachable"):
        return Verdict.UNKNOWN, evidence
    if report.total("changed"):
        return Verdict.FAIL, evidence
    if report.not_predicted:
        return Verdict.UNKNOWN, f"{evidence}\nGive such tasks creates/removes, or use a module that predicts."
    return Verdict.PASS, f"check run: {report.headline()}"


def ssh_arguments(known_hosts: Path, *, reuse: bool = True) -> str:
    """The ssh options of every connection: no configuration of ours, pinned host keys; `reuse` keeps it open."""
    options = (
        "StrictHostKeyChecking=yes",
        f'UserKnownHostsFile="{known_hosts}"',
        "GlobalKnownHostsFile=/dev/null",
        "IdentitiesOnly=yes",
        *(("ControlMaster=auto", "ControlPersist=30s") if reuse else ("ControlMaster=no",)),
    )
    return shlex.join(["-F", "/dev/null", *(part for option in options for part in ("-o", option))])


def is_local(inventory: str | None) -> bool:
    """Whether it stands for this machine."""
    return inventory is None or inventory.strip() in _LOCAL


def events_in(folder: Path, bound: int = EVENT_BYTES) -> Iterator[dict[str, Any]]:
    """A run's events in order. Of a huge run, those within `bound` bytes and the last ones, with the recap."""
    if not folder.is_dir():
        return
    files = sorted(folder.glob("[0-9]*-*.json"), key=lambda file: int(file.name.split("-", 1)[0]))
    left = bound
    for number, file in enumerate(files):
        size = file.stat().st_size
        if size > left and number < len(files) - LAST_EVENTS:
            continue
        left -= size
        try:
            event = json.loads(file.read_bytes())
        except ValueError:  # cut off by a kill
            continue
        if isinstance(event, dict):
            yield event
