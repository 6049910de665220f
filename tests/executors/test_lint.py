"""Lint: the real programs on real files; what can't run or breaks off is told, and never called ok."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agents.executors import lint as module
from agents.executors import playbook_syntax
from agents.executors.lint import LINTED_CHARS, Lint, hcl_complaints
from agents.executors.playbook_syntax import complaint
from agents.executors.process import Finished, Processes, base_environment
from agents.executors.terraform import Terraform
from tests.support.files import workspace

PLAY = "- hosts: localhost\n  tasks:\n    - debug:\n        msg: hello\n"


class Without(Processes):
    """A machine without some programs."""

    def __init__(self, *missing: str) -> None:
        super().__init__()
        self._missing = missing

    async def run(self, argv: Sequence[str], **options: Any) -> Finished:
        if argv[0] in self._missing:
            argv = ["no-such-program", *argv[1:]]
        return await super().run(argv, **options)


class Instead(Processes):
    """Runs another program wherever `program` is asked for."""

    def __init__(self, program: str, argv: Sequence[str]) -> None:
        super().__init__()
        self._program = program
        self._argv = argv

    async def run(self, argv: Sequence[str], **options: Any) -> Finished:
        if Path(argv[0]).name.startswith(self._program):
            argv = self._argv
        return await super().run(argv, **options)


class Desk:
    """A workspace and its lint."""

    def __init__(self, base: Path, processes: Processes | None = None, **options: Any) -> None:
        self.base = base
        self.workspace = workspace(base)
        (base / "home").mkdir()
        self.lint = Lint(self.workspace, processes or Processes(), base / "home", **options)

    async def save(self, name: str, text: str) -> str:
        self.workspace.write_text(name, text)
        return await self.lint.check(name, text)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def needs(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


async def test_says_nothing_of_files_it_does_not_know(desk: Desk) -> None:
    assert await desk.save("docs/plan.md", "# x") == ""


async def test_our_own_parsers(desk: Desk) -> None:
    assert await desk.save("config/a.json", "{}") == "lint ok: JSON"
    assert await desk.save("config/a.json", "{") == (
        "lint: 1 problem\n- JSON: line 1, column 2: Expecting property name enclosed in double quotes"
    )
    many = "\n".join("x" for _ in range(40))
    assert "- … and 29 more" in await desk.save("config/Dockerfile", many)
    assert "more than it reads" in await desk.save("config/a.json", " " * (LINTED_CHARS + 1))


async def test_what_it_says_of_hostile_text_is_harmless(desk: Desk) -> None:
    verdict = await desk.save("config/Dockerfile", "FROM a\n\x1b[2Jx y\n")
    assert "\x1b" not in verdict
    assert "is no instruction" in verdict


async def test_a_parser_that_crashes_or_hangs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crashing = Desk(tmp_path / "a", Instead("python", ["bash", "-c", "echo boom >&2; kill -SEGV $$"]))
    assert await crashing.save("config/a.json", "{}") == "lint not done: parser: crashed (exit code -11): boom"
    monkeypatch.setattr(module, "PARSE_SECONDS", 0.1)
    hanging = Desk(tmp_path / "b", Instead("python", ["sleep", "60"]))
    assert "stopped after 0.1 s" in await hanging.save("config/a.json", "{}")


async def test_shell(desk: Desk, tmp_path: Path) -> None:
    assert await desk.save("config/a.sh", f"touch {tmp_path}/ran\n") == "lint ok: bash -n"
    assert not (tmp_path / "ran").exists()
    assert "- line 2: syntax error" in await desk.save("config/a.sh", "if true; then\n")


async def test_a_shell_that_misbehaves(tmp_path: Path) -> None:
    crashing = Desk(tmp_path / "a", Instead("bash", ["python3", "-c", "raise SystemExit(9)"]))
    assert await crashing.save("config/a.sh", "") == "lint not done: bash -n: crashed (exit code 9)"
    hanging = Desk(tmp_path / "b", Instead("bash", ["sleep", "60"]), seconds=0.1)
    assert await hanging.save("config/a.sh", "") == "lint not done: bash -n: stopped after 0.1 s"


@pytest.mark.real
async def test_terraform(desk: Desk) -> None:
    needs("terraform")
    good = 'resource "terraform_data" "a" {\n  input = 1\n}\n'
    assert await desk.save("infra/m/main.tf", good) == "lint ok: Terraform, terraform fmt"
    assert "would lay it out otherwise" in await desk.save("infra/m/main.tf", good.replace("  input", "input"))
    verdict = await desk.save("infra/m/main.tf", good.replace("}", ""))
    assert verdict.startswith("lint: 1 problem\n- line 1: Unclosed configuration block")
    assert "lint ok" in await desk.save("infra/m/lab.tfvars", "a = 1\n")
    assert "variables file" in await desk.save("infra/m/lab.vars.tf", "a = 1\n")


async def test_without_terraform_the_rest_is_still_said(tmp_path: Path) -> None:
    desk = Desk(tmp_path, Without("terraform"))
    verdict = await desk.save("infra/m/main.tf", "terraform {\n  x = 1\n}\n")
    assert verdict.startswith("lint ok: Terraform\nlint not done: terraform fmt: the program 'no-such-program'")
    hanging = Desk(tmp_path / "b", Instead("terraform", ["sleep", "60"]), seconds=0.1)
    assert "terraform fmt: stopped after" in await hanging.save("infra/m/lab.tfvars", "a = 1\n")
    mute = Desk(tmp_path / "c", Instead("terraform", ["false"]))
    assert "- does not parse" in await mute.save("infra/m/lab.tfvars", "a = 1\n")


async def test_a_proxmox_module_without_a_source(tmp_path: Path) -> None:
    desk = Desk(tmp_path, Without("terraform"))
    use = 'provider "proxmox" {\n  insecure = true\n}\n'
    assert "hashicorp/proxmox, which does not exist" in await desk.save("infra/m/main.tf", use)
    desk.workspace.write_bytes("infra/m/binary.tf", b"\0")
    await desk.save("infra/m/versions.tf", 'terraform {\n  proxmox = { source = "bpg/proxmox" }\n}\n')
    assert "hashicorp" not in await desk.save("infra/m/main.tf", use)


@pytest.mark.real
async def test_an_initialised_module_is_validated(tmp_path: Path) -> None:
    needs("terraform")
    desk = Desk(tmp_path)
    terraform = Terraform(Processes(), desk.workspace, tmp_path / "state")
    lint = Lint(desk.workspace, Processes(), tmp_path / "home", modules=terraform)
    good = 'resource "terraform_data" "a" {\n  input = 1\n}\n'
    calling = good + 'module "b" {\n  source = "./b"\n}\n'
    desk.workspace.write_text("infra/m/b/main.tf", good)
    desk.workspace.write_text("infra/m/main.tf", calling)
    verdict = await lint.check("infra/m/main.tf", calling)
    assert verdict.endswith("lint not done: terraform validate: run_terraform with action init for infra/m first")
    await terraform.init("infra/m", holder="test", timeout=60)
    assert "terraform validate" in (await lint.check("infra/m/main.tf", calling)).splitlines()[0]
    desk.workspace.write_text("infra/m/main.tf", good)
    assert await lint.check("infra/m/main.tf", good) == "lint ok: Terraform, terraform fmt, terraform validate"
    bad = good.replace("input", "inptu")
    desk.workspace.write_text("infra/m/main.tf", bad)
    verdict = await lint.check("infra/m/main.tf", bad)
    assert verdict.startswith("lint: 1 problem\n- infra/m/main.tf:2: error: Unsupported argument")


async def test_a_validation_that_breaks_is_told(tmp_path: Path) -> None:
    desk = Desk(tmp_path, Without("terraform"))
    terraform = Terraform(Without("terraform"), desk.workspace, tmp_path / "state")
    lint = Lint(desk.workspace, Without("terraform"), tmp_path / "home", modules=terraform)
    text = 'output "a" {\n  value = 1\n}\n'
    desk.workspace.write_text("infra/m/main.tf", text)
    desk.workspace.write_text("config/main.tf", text)
    assert "lint not done: terraform validate: the program" in await lint.check("infra/m/main.tf", text)
    assert "validate" not in await lint.check("config/main.tf", text)


@pytest.mark.real
async def test_playbooks(desk: Desk) -> None:
    assert await desk.save("config/site.yml", PLAY) == "lint ok: YAML, ansible-playbook --syntax-check"
    verdict = await desk.save("config/site.yml", PLAY.replace("debug", "debgu"))
    assert "resolve module/action 'debgu'" in verdict
    assert "config/site.yml" in verdict
    assert str(desk.base) not in verdict
    assert not [path for path in (desk.base / "home").iterdir() if path.name.startswith("syntax-")]


@pytest.mark.real
async def test_a_role_beside_the_playbook_is_found(desk: Desk) -> None:
    desk.workspace.write_text("config/roles/web/tasks/main.yml", "- debug: {msg: a}\n")
    play = "- hosts: all\n  roles: [web]\n"
    assert "lint ok" in await desk.save("config/site.yml", play)
    assert "'nobody' was not found" in await desk.save("config/site.yml", play.replace("web", "nobody"))


TRAPS = {
    "a lookup": ("- hosts: localhost\n  tasks:\n    - import_tasks: \"{{ lookup('pipe', 'touch PROOF') }}\"\n", {}),
    "an escaped lookup": (
        "- hosts: localhost\n  tasks:\n    - import_tasks: \"{{ \\x6cookup('pipe', 'touch PROOF') }}\"\n",
        {},
    ),
    "a plugin": (PLAY, {"config/vars_plugins/x.py": "open('PROOF', 'w')\n"}),
    "a filter": (PLAY.replace("hello", "{{ 1 | x }}"), {"config/filter_plugins/x.py": "open('PROOF', 'w')\n"}),
    "a configuration": (
        PLAY,
        {
            "config/ansible.cfg": "[defaults]\ncallback_plugins = ./p\nvars_plugins = ./p\n",
            "config/p/x.py": "open('PROOF', 'w')\n",
        },
    ),
    "a variables file": (
        PLAY.replace("tasks", "vars_files: [v.yml]\n  tasks"),
        {"config/v.yml": "a: \"{{ lookup('pipe', 'touch PROOF') }}\"\n"},
    ),
    "group variables": (PLAY, {"config/group_vars/all.yml": "a: \"{{ q('pipe', 'touch PROOF') }}\"\n"}),
}


@pytest.mark.real
@pytest.mark.parametrize("trap", TRAPS)
async def test_loading_a_playbook_runs_nothing(desk: Desk, trap: str) -> None:
    play, beside = TRAPS[trap]
    proof = desk.base / "ran"
    for name, text in beside.items():
        desk.workspace.write_text(name, text.replace("PROOF", str(proof)))
    await desk.save("config/site.yml", play.replace("PROOF", str(proof)))
    assert not proof.exists()


@pytest.mark.real
async def test_plain_ansible_does_run_such_a_lookup(desk: Desk) -> None:
    """The positive control of the traps."""
    proof = desk.base / "ran"
    desk.workspace.write_text("config/site.yml", TRAPS["a lookup"][0].replace("PROOF", str(proof)))
    await Processes().run(
        ["ansible-playbook", "--syntax-check", "-i", "localhost,", "site.yml"],
        cwd=desk.workspace.roots["config"],
        env=base_environment(desk.base / "home"),
        timeout=60,
    )
    assert proof.exists()


@pytest.mark.real
async def test_a_bad_neighbour_spoils_nothing(desk: Desk) -> None:
    desk.workspace.write_text("config/broken.yml", "a: [\n")
    desk.workspace.write_bytes("config/binary.yml", b"\0")
    assert "syntax-check" in (await desk.save("config/site.yml", PLAY)).splitlines()[0]
    needing = "- hosts: localhost\n  tasks:\n    - import_tasks: broken.yml\n"
    assert "it needs config/broken.yml" in await desk.save("config/other.yml", needing)


async def test_what_can_t_be_examined_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(tmp_path / "a", Instead("ansible-playbook", ["sleep", "60"]), seconds=2)
    assert "syntax-check: stopped after 2 s" in await desk.save("config/site.yml", PLAY)
    monkeypatch.setattr(playbook_syntax, "MAX_BYTES", 10)
    assert "too many files in config/" in await desk.save("config/site.yml", PLAY)
    monkeypatch.undo()
    monkeypatch.setattr(playbook_syntax, "_PROGRAM", "raise SystemExit(1)")
    assert "could not be examined" in await desk.save("config/site.yml", PLAY)


async def test_without_ansible(tmp_path: Path) -> None:
    desk = Desk(tmp_path, Without("ansible-playbook"))
    verdict = await desk.save("config/site.yml", PLAY)
    assert verdict.startswith("lint ok: YAML\nlint not done: ansible-playbook --syntax-check: the program")


ISSUES = (
    '[{"check_name": "no-changed-when", "description": "Say when.", "location": {"lines": {"begin": 3}}},'
    ' {"check_name": "risky", "description": "Quote.", "location": {"positions": {"begin": {"line": 4}}}}]'
)


@pytest.mark.real
async def test_ansible_lint_s_advice_where_it_is_installed(tmp_path: Path) -> None:
    speaking = Desk(tmp_path / "a", Instead("ansible-lint", ["echo", ISSUES]))
    verdict = await speaking.save("config/site.yml", PLAY)
    assert verdict.splitlines()[1:] == ["advice: line 3: no-changed-when: Say when.", "advice: line 4: risky: Quote."]
    babbling = Desk(tmp_path / "b", Instead("ansible-lint", ["echo", "{"]))
    assert "advice: ansible-lint gave no answer" in await babbling.save("config/site.yml", PLAY)
    hanging = Desk(tmp_path / "c", Instead("ansible-lint", ["sleep", "60"]), seconds=8)
    assert "advice: ansible-lint was stopped" in await hanging.save("config/site.yml", PLAY)


async def test_a_linked_neighbour_costs_no_verdict(desk: Desk) -> None:
    for name in ("config/other.yml", "infra/m/other.tf"):
        (desk.workspace.host_path(name.rsplit("/", 1)[0], must_exist=False)).mkdir(exist_ok=True)
        (desk.base / "generated_iac" / name).hardlink_to(desk.base / ".env")
    assert "lint" in await desk.save("config/site.yml", PLAY)
    verdict = await desk.save("infra/m/main.tf", 'provider "proxmox" {\n  insecure = true\n}\n')
    assert "hard links" not in verdict


async def test_a_machine_on_which_nothing_starts(tmp_path: Path) -> None:
    desk = Desk(tmp_path, Instead("python", ["no-such-program"]))
    assert (await desk.save("config/a.json", "{}")).startswith("lint not done: the program 'no-such-program'")


def test_reads_diagnostics() -> None:
    printed = "Error: Bad\n\n  on <stdin> line 3, in x:\n   3: a = \n     ^\n\nWhy it is\nbad.\n\nError: Worse\n"
    assert hcl_complaints(printed) == ["line 3: Bad: Why it is bad.", "Worse"]
    assert complaint("[WARNING]: x\nERROR! it is\n\nThe offending line appears to be:\n") == "it is"
    assert complaint("") == "it does not load"
