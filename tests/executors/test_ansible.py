"""Ansible itself: on this machine, and over ssh against a real sshd on loopback."""

import asyncio
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from agents.domain.errors import InvalidArguments, PathEscape, ToolError, ToolTimeout
from agents.domain.mission import Verdict
from agents.executors.ansible import Ansible, Job, events_in, ssh_arguments
from agents.executors.process import Processes
from agents.executors.workspace import Workspace
from tests.support.sshd import Sshd, running_sshd

pytestmark = pytest.mark.real
SECONDS = 60.0
Write = Callable[[str, str], None]

SITE = """
- name: site
  hosts: all
  gather_facts: false
  tasks:
    - name: write the page
      copy:
        dest: "{{ out }}/page.html"
        content: "{{ nodes | join('-') }}\\n"
        mode: "0644"
"""
MIXED = """
- hosts: all
  gather_facts: false
  tasks:
    - name: says nothing
      command: "true"
    - name: keeps a secret
      copy: {dest: "{{ out }}/secret", content: "hunter2-hunter2", mode: "0600"}
      no_log: true
    - name: never
      command: "true"
      when: false
    - name: breaks
      fail: {msg: "the disk is on fire"}
      when: not ansible_check_mode
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace({name: tmp_path / "space" / name for name in ("infra", "config", "docs", "tmp")})


@pytest.fixture
def write(workspace: Workspace) -> Write:
    def write(path: str, text: str) -> None:
        workspace.write_text(path, text)

    return write


@pytest.fixture
def ansible(workspace: Workspace, tmp_path: Path) -> Ansible:
    return Ansible(Processes(), workspace, tmp_path / "state", tmp_path / "known_hosts", tmpfs=Path("/nowhere"))


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    if shutil.which("ssh") is None:
        pytest.skip("ssh is not installed")
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(autouse=True)
def _nothing_left_behind(tmp_path: Path) -> Iterator[None]:
    yield
    assert not list(tmp_path.glob("state/*"))
    until = time.monotonic() + 10
    while left := _naming(f"{tmp_path}/state/"):
        assert time.monotonic() < until, left
        time.sleep(0.02)  # a process told to end takes a moment


def _naming(path: str) -> list[psutil.Process]:
    """Processes whose command line names `path`."""
    return [one for one in psutil.process_iter(["cmdline"]) if path in " ".join(one.info["cmdline"] or ())]


async def test_a_run_on_this_machine(ansible: Ansible, write: Write, tmp_path: Path) -> None:
    write("infra/site.yml", SITE)
    variables = {"out": str(tmp_path), "nodes": ["one", "two"]}
    predicted = await ansible.run(Job("infra/site.yml", extra_vars=variables, check=True), timeout=SECONDS)
    assert "Would change:\n  - write the page on localhost (infra/site.yml:6)" in predicted.text()
    assert "+one-two" in predicted.text()
    assert not (tmp_path / "page.html").exists()

    run = await ansible.run(Job("infra/site.yml", extra_vars=variables), timeout=SECONDS)
    assert run.headline() == "ok 1, changed 1, failed 0, unreachable 0, skipped 0"
    assert (tmp_path / "page.html").read_text() == "one-two\n"  # a list stayed a list
    again = await ansible.run(Job("infra/site.yml", "localhost,", extra_vars=variables), timeout=SECONDS)
    assert again.changed == ()


async def test_failures_no_log_and_what_a_check_cannot_predict(
    ansible: Ansible, write: Write, tmp_path: Path
) -> None:
    write("infra/mixed.yml", MIXED)
    run = await ansible.run(Job("infra/mixed.yml", extra_vars={"out": str(tmp_path)}), timeout=SECONDS)
    assert run.total("failed") == 1
    assert run.failed[0].message.startswith("the disk is on fire")
    assert [line.task for line in run.changed] == ["says nothing", "keeps a secret"]
    assert "hunter2" not in run.text()
    assert (tmp_path / "secret").read_text() == "hunter2-hunter2"

    predicted = await ansible.run(
        Job("infra/mixed.yml", extra_vars={"out": str(tmp_path)}, check=True), timeout=SECONDS
    )
    assert [line.task for line in predicted.not_predicted] == ["says nothing"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- hosts: all\n  tasks:\n    - copy:\n        dest: {{ out }}\n", "Origin: infra/bad.yml:4"),
        ("- hosts: all\n  tasks:\n    - nomodule: {}\n", "couldn't resolve module/action 'nomodule'"),
        ("- hosts: all\n  tasks:\n    - copy: {}\n      nokeyword: 1\n", "infra/bad.yml:3"),
    ],
)
async def test_parse_errors_name_file_and_line(ansible: Ansible, write: Write, text: str, told: str) -> None:
    write("infra/bad.yml", text)
    run = await ansible.run(Job("infra/bad.yml"), timeout=SECONDS)
    assert not run.finished
    assert told in run.text()
    verdict, evidence = await ansible.check("infra/bad.yml")
    assert verdict is not Verdict.PASS
    assert "infra/bad.yml" in evidence


async def test_no_matching_host_is_told(ansible: Ansible, write: Write) -> None:
    write("infra/site.yml", SITE.replace("hosts: all", "hosts: web"))
    assert (await ansible.run(Job("infra/site.yml"), timeout=SECONDS)).no_hosts
    assert (await ansible.check("infra/site.yml"))[0] is Verdict.UNKNOWN


async def test_the_idempotence_probe(ansible: Ansible, write: Write, tmp_path: Path) -> None:
    text = SITE.replace("{{ out }}", str(tmp_path)).replace("{{ nodes | join('-') }}", "x")
    write("infra/site.yml", text)
    verdict, evidence = await ansible.check("infra/site.yml")
    assert verdict is Verdict.FAIL
    assert "Would change" in evidence
    await ansible.run(Job("infra/site.yml"), timeout=SECONDS)
    verdict, evidence = await ansible.check("infra/site.yml")
    assert (verdict, evidence) == (Verdict.PASS, "check run: ok 1, changed 0, failed 0, unreachable 0, skipped 0")

    write("infra/site.yml", text + "    - name: opaque\n      command: 'true'\n")
    verdict, evidence = await ansible.check("infra/site.yml")
    assert verdict is Verdict.UNKNOWN
    assert "opaque" in evidence
    write("infra/site.yml", text + "    - fail: {msg: broken}\n")
    assert (await ansible.check("infra/site.yml"))[0] is Verdict.FAIL
    assert (await ansible.check("infra/nowhere.yml"))[0] is Verdict.UNKNOWN


async def test_a_probe_runs_nothing_that_acts_in_a_check_run(ansible: Ansible, write: Write, tmp_path: Path) -> None:
    task = f"    - command: touch {tmp_path}/acted\n      check_mode: false\n"
    write("infra/site.yml", f"- hosts: all\n  gather_facts: false\n  tasks:\n{task}")
    verdict, evidence = await ansible.check("infra/site.yml")
    assert verdict is Verdict.UNKNOWN
    assert "check_mode" in evidence
    assert not (tmp_path / "acted").exists()
    # the control: a check run of it does act, which is why it is refused
    await ansible.run(Job("infra/site.yml", check=True), timeout=SECONDS)
    assert (tmp_path / "acted").exists()


async def test_hazards_cover_inventory_links_and_size(ansible: Ansible, write: Write, tmp_path: Path) -> None:
    write("infra/site/site.yml", SITE)
    write("infra/inventory/hosts", "web1 ansible_host=10.0.0.1\n")
    job = Job("infra/site/site.yml", "infra/inventory/hosts", extra_vars={"out": "/x"})
    assert ansible.hazards(job) == ()
    write("infra/inventory/group_vars/all.yml", "ansible_ssh_common_args: -v\n")
    assert "ansible_ssh_common_args" in ansible.hazards(job)[0]
    local = Job("infra/site/site.yml")
    (tmp_path / "space/infra/site/more.yml").symlink_to("/etc/hostname")
    assert "more.yml" in ansible.hazards(local)[0]
    (tmp_path / "space/infra/site/more.yml").unlink()
    assert ansible.hazards(local) == ()
    (tmp_path / "outside").write_text("x: 1\n")
    os.link(tmp_path / "outside", tmp_path / "space/infra/site/twice")
    assert ansible.hazards(local) == ("infra/site/twice.yml: not YAML that can be examined",)
    (tmp_path / "space/infra/site/twice").unlink()
    for number in range(401):
        (tmp_path / f"space/infra/site/f{number}").write_text("x: 1\n")
    assert "too much to examine" in ansible.hazards(local)[0]


@pytest.mark.parametrize("inventory", [None, "infra/site/hosts"])
async def test_a_check_run_shows_no_file_of_this_machine(
    ansible: Ansible, write: Write, workspace: Workspace, tmp_path: Path, inventory: str | None
) -> None:
    outside, inside = tmp_path / "key", workspace.roots["config"] / "page"
    outside.write_text("the key of the house\n")
    inside.write_text("the page of the house\n")
    (workspace.roots["config"] / "link").symlink_to(outside)
    tasks = "".join(
        f"    - copy: {{dest: '{path}', content: 'new'}}\n"
        for path in (outside, inside, workspace.roots["config"] / "link")
    )
    write("infra/site/site.yml", f"- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}")
    write("infra/site/hosts", f"localhost ansible_connection=local ansible_python_interpreter={sys.executable}\n")
    job = Job("infra/site/site.yml", inventory, check=True)
    text = (await ansible.run(job, timeout=SECONDS)).text()
    assert "changed 3" in text
    assert "-the page of the house" in text
    assert "key of the house" not in text
    assert text.count("not shown, as it lies on this machine outside the workspace") == 2
    # the control: a real run, which somebody gave leave for, shows what it replaced
    done = (await ansible.run(Job("infra/site/site.yml", inventory), timeout=SECONDS)).text()
    assert "-the key of the house" in done


async def test_configuration_and_plugins_of_the_workspace_are_not_loaded(
    ansible: Ansible, write: Write, workspace: Workspace, tmp_path: Path
) -> None:
    plugin = f"open({str(tmp_path / 'loaded')!r}, 'w').close()\n"
    write("infra/odd/filter/evil.py", plugin)
    write("infra/ansible.cfg", "[defaults]\nfilter_plugins = ./odd/filter\ncallbacks_enabled = evil\n")
    write("infra/hosts", '#!/bin/sh\necho \'{"all": {"hosts": ["pwned"]}}\'\n')
    (tmp_path / "space/infra/hosts").chmod(0o755)
    write(
        "infra/site.yml", "- hosts: all\n  gather_facts: false\n  tasks:\n    - debug: {msg: \"{{ 'a' | evil }}\"}\n"
    )
    await ansible.run(Job("infra/site.yml"), timeout=SECONDS)
    assert not (tmp_path / "loaded").exists()
    run = await ansible.run(Job("infra/site.yml", "infra/hosts"), timeout=SECONDS)
    assert "pwned" not in run.stats


async def test_our_environment_does_not_reach_ansible(
    workspace: Workspace, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "leak-leak-leak")
    write(
        "infra/env.yml",
        "- hosts: all\n  gather_facts: false\n  tasks:\n"
        f"    - shell: env > {tmp_path}/env\n    - shell: cat /proc/$PPID/environ >> {tmp_path}/env\n",
    )
    given = Ansible(Processes(), workspace, tmp_path, tmp_path / "known_hosts", variables={"LAB_PROXY": "given"})
    await given.run(Job("infra/env.yml", extra_vars={"pw": "extra-extra"}), timeout=SECONDS)
    seen = (tmp_path / "env").read_text()
    assert "LAB_PROXY=given" in seen
    assert "leak-leak-leak" not in seen
    assert "extra-extra" not in seen


async def test_cancel_kills_the_task_too(ansible: Ansible, write: Write, tmp_path: Path) -> None:
    write("infra/hang.yml", hanging(tmp_path))
    run = asyncio.create_task(ansible.run(Job("infra/hang.yml"), timeout=SECONDS))
    task = await started(tmp_path)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert not psutil.pid_exists(task) or psutil.Process(task).status() == psutil.STATUS_ZOMBIE


async def test_a_timeout_kills_and_names_the_task(ansible: Ansible, write: Write, tmp_path: Path) -> None:
    write("infra/hang.yml", hanging(tmp_path))
    with pytest.raises(ToolTimeout, match="it was in task 'hangs'"):
        await ansible.run(Job("infra/hang.yml"), timeout=8)
    task = int((tmp_path / "pid").read_text())
    assert not psutil.pid_exists(task) or psutil.Process(task).status() == psutil.STATUS_ZOMBIE


def hanging(directory: Path) -> str:
    return (
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - name: hangs\n"
        f"      shell: echo $$ > {directory}/pid.part; mv {directory}/pid.part {directory}/pid; exec sleep 300\n"
    )


async def started(directory: Path) -> int:
    """The running task's process id."""
    async with asyncio.timeout(SECONDS):
        while not (directory / "pid").exists():
            await asyncio.sleep(0.05)
    return int((directory / "pid").read_text())


@pytest.mark.parametrize(
    ("job", "error"),
    [
        (Job("infra"), InvalidArguments),
        (Job("../site.yml"), PathEscape),
        (Job("infra/missing.yml"), ToolError),
        (Job("infra/site.yml", "/etc/hosts"), PathEscape),
        (Job("infra/site.yml", limit="-e@x"), InvalidArguments),
        (Job("infra/site.yml", limit="@/etc/passwd"), InvalidArguments),
        (Job("infra/site.yml", extra_vars={"a b": 1}), InvalidArguments),
        (Job("infra/site.yml", extra_vars={"ansible_ssh_args": "-v"}), InvalidArguments),
    ],
)
async def test_what_cannot_be_run(ansible: Ansible, write: Write, job: Job, error: type[Exception]) -> None:
    write("infra/site.yml", SITE)
    with pytest.raises(error):
        await ansible.run(job, timeout=SECONDS)


async def test_a_missing_ansible_is_told(workspace: Workspace, write: Write, tmp_path: Path) -> None:
    write("infra/site.yml", SITE)
    ansible = Ansible(Processes(), workspace, tmp_path, tmp_path / "known_hosts", variables={"PATH": "/nowhere"})
    run = await ansible.run(Job("infra/site.yml"), timeout=SECONDS)
    assert not run.finished
    assert "not found or was not executable: ansible-playbook" in run.text()


async def test_a_broken_runner_is_an_error(ansible: Ansible, write: Write) -> None:
    write("infra/site.yml", SITE)
    run = asyncio.create_task(ansible.run(Job("infra/site.yml"), timeout=SECONDS))
    async with asyncio.timeout(SECONDS):
        while not (jobs := _jobs()):
            await asyncio.sleep(0.001)
    jobs[0].kill()
    with pytest.raises(ToolError, match="ansible-runner broke"):
        await run


def _jobs() -> list[psutil.Process]:
    """Our child that runs ansible-runner."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if process.cmdline()[2:3] and process.cmdline()[2].endswith("/ansible_job.py"):
                found.append(process)
    return found


def over_ssh(workspace: Workspace, tmp_path: Path, known_hosts: Path) -> Ansible:
    return Ansible(Processes(), workspace, tmp_path / "state", known_hosts, tmpfs=Path("/nowhere"))


def inventory(host: str) -> str:
    return f"{host} ansible_python_interpreter=/usr/bin/python3\n"


async def test_over_ssh(workspace: Workspace, write: Write, tmp_path: Path, sshd: Sshd) -> None:
    write("infra/site.yml", SITE)
    write("infra/hosts", inventory(sshd.inventory_host) + "absent ansible_host=127.0.0.1 ansible_port=1\n")
    ansible = over_ssh(workspace, tmp_path, sshd.known_hosts)
    variables = {"out": str(tmp_path), "nodes": ["a", "b"]}
    run = await ansible.run(Job("infra/site.yml", "infra/hosts", extra_vars=variables), timeout=SECONDS)
    assert run.stats["box"]["changed"] == 1
    assert run.stats["absent"]["unreachable"] == 1
    assert "Connection refused" in run.unreachable[0].message
    assert (tmp_path / "page.html").read_text() == "a-b\n"
    limited = await ansible.run(
        Job("infra/site.yml", "infra/hosts", limit="box", extra_vars=variables, check=True), timeout=SECONDS
    )
    assert limited.headline() == "ok 1, changed 0, failed 0, unreachable 0, skipped 0"


@pytest.mark.parametrize(
    "extra", ["", " ansible_ssh_args='-o StrictHostKeyChecking=no' ansible_host_key_checking=false"]
)
async def test_an_unknown_host_key_is_refused_whatever_the_inventory_says(
    workspace: Workspace, write: Write, tmp_path: Path, sshd: Sshd, extra: str
) -> None:
    write("infra/ping.yml", "- hosts: all\n  gather_facts: false\n  tasks:\n    - ping:\n")
    write("infra/hosts", inventory(sshd.inventory_host + extra))
    for known_hosts in (sshd.wrong_known_hosts, tmp_path / "none"):
        run = await over_ssh(workspace, tmp_path, known_hosts).run(
            Job("infra/ping.yml", "infra/hosts"), timeout=SECONDS
        )
        assert "Host key verification failed" in run.unreachable[0].message
    verdict, _ = await over_ssh(workspace, tmp_path, sshd.wrong_known_hosts).check("infra/ping.yml", "infra/hosts")
    assert verdict is Verdict.UNKNOWN
    control = await over_ssh(workspace, tmp_path, sshd.known_hosts).run(
        Job("infra/ping.yml", "infra/hosts"), timeout=60
    )
    assert control.total("ok") == 1


async def test_a_wrong_key_is_unreachable_with_the_reason(
    workspace: Workspace, write: Write, tmp_path: Path, sshd: Sshd
) -> None:
    write("infra/ping.yml", "- hosts: all\n  gather_facts: false\n  tasks:\n    - ping:\n")
    write("infra/hosts", inventory(sshd.inventory_host.replace(str(sshd.key), str(sshd.stranger_key))))
    run = await over_ssh(workspace, tmp_path, sshd.known_hosts).run(
        Job("infra/ping.yml", "infra/hosts"), timeout=SECONDS
    )
    assert "Permission denied" in run.unreachable[0].message


def test_events_are_read_in_order_within_a_bound(tmp_path: Path) -> None:
    for number in range(1, 41):
        (tmp_path / f"{number}-x.json").write_text(json.dumps({"counter": number, "pad": "x" * 100}))
    (tmp_path / "41-x.json").write_text('{"counter": 41, "cut')
    (tmp_path / "42-x.json").write_text("[]")
    (tmp_path / "x-partial.json").write_text("{}")
    assert [event["counter"] for event in events_in(tmp_path)] == list(range(1, 41))
    assert [event["counter"] for event in events_in(tmp_path, bound=1000)] == [*range(1, 9), *range(23, 41)]
    assert list(events_in(tmp_path / "none")) == []


def test_a_connection_is_kept_only_where_its_socket_fits() -> None:
    assert "ControlPersist" in ssh_arguments(Path("/k"))
    assert "ControlPersist" not in ssh_arguments(Path("/k"), reuse=False)


def test_ssh_arguments_survive_a_space_in_the_path() -> None:
    assert "'UserKnownHostsFile=\"/a b/known\"'" in ssh_arguments(Path("/a b/known"))


async def test_what_killed_runs_left_behind_is_swept(ansible: Ansible, tmp_path: Path) -> None:
    state = tmp_path / "state"
    for name in ("minilab-ansible-old", "minilab-ansible-fresh", "kept"):
        (state / name / "env").mkdir(parents=True)
    for name in ("minilab-ansible-old", "kept"):
        os.utime(state / name, (0, 0))
    assert ansible.sweep() == 1
    assert sorted(path.name for path in state.iterdir()) == ["kept", "minilab-ansible-fresh"]
    assert ansible.sweep(older=-1) == 1  # the control: only its age kept it
    shutil.rmtree(state / "kept")
