"""What our own parsers say of a text; every fault beside a text that has none."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agents.executors import syntax, syntax_infra

K8S = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
PROXMOX = 'terraform {\n  required_providers {\n    proxmox = { source = "%s/proxmox" }\n  }\n}\n'

GOOD: list[tuple[str, str, list[str]]] = [
    ("config/a.json", '{"a": [1, 2]}', ["JSON"]),
    ("config/a.toml", "a = 1\n", ["TOML"]),
    ("config/a.yml", "a: !vault |\n  x\nb: !Ref c\nc: !x [1]\nd: !y {e: f}\n---\nb: 2\n", ["YAML"]),
    ("config/merge.yml", "a: &a {x: 1}\nb:\n  <<: *a\n  y: 2\nc: [*a, *a]\n", ["YAML"]),
    ("config/k.yaml", K8S + "---\n" + K8S, ["YAML", "Kubernetes"]),
    ("config/l.yaml", "apiVersion: v1\nkind: List\nitems:\n- " + K8S.replace("\n", "\n  "), ["YAML", "Kubernetes"]),
    ("config/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1\nkind: Kustomization\n",
     ["YAML", "Kubernetes"]),
    ("config/g.yaml", "apiVersion: batch/v1\nkind: Job\nmetadata:\n  generateName: job-\n", ["YAML", "Kubernetes"]),
    ("config/compose.yml", "services:\n  web: {image: nginx}\n", ["YAML"]),
    ("config/hosts", "[web]\nnode1 ansible_host=10.0.0.1\nnode[2:5]\n\n# c\n"
     "[web:vars]\na = b\n[all:children]\nweb # c\n",
     ["inventory"]),
    ("config/inventories/lab/web.ini", "node1\nnode2:2222\n", ["inventory"]),
    ("config/hosts", "---\nall: {hosts: {a: {}}}\n", ["YAML"]),
    ("config/a.py", "def f() -> int:\n    return 1\n", ["Python"]),
    ("config/tool", "#!/usr/bin/env python3\nprint(1)\n", ["Python"]),
    ("config/a.j2", "{% for a in b %}{{ a | to_json }}{% break %}{% endfor %}{% do x %}", ["Jinja"]),
    ("config/Dockerfile", "ARG V=1\nFROM python:$V AS a\n# c\nRUN a \\\n  # c\n  && b\nRUN <<EOF\nFOO bar\nEOF\n"
     'CMD ["x"]\n', ["Dockerfile"]),
    ("config/web.dockerfile", "from scratch\ncopy a b\n", ["Dockerfile"]),
    ("infra/m/main.tf", 'a = 1\nresource "x" "y" {\n  z = 1\n}\n', ["Terraform"]),
    ("infra/m/lab.tfvars", "a = 1\n", ["Terraform"]),
    ("infra/m/p.tf", PROXMOX % "bpg", ["Terraform"]),
    ("infra/m/empty.tf", "# nothing yet\n", ["Terraform"]),
    ("docs/plan.md", "# {% a: [", []),
    ("config/app.ini", "[x\n", []),
]  # fmt: skip

BAD: list[tuple[str, str, str]] = [
    ("config/a.json", '{\n"a": 1,}', "JSON: line 2, column 8"),
    ("config/a.json", "1" * 5000, "JSON: "),
    ("config/a.toml", "a = \n", "TOML: "),
    ("config/a.yml", "a: 1\n b: 2\n", "YAML: line 2, column 3"),
    ("config/a.yml", "a:\n\tb: 1\n", "indent with spaces, not tabs"),
    ("config/a.yml", "a: 1\nb: {c: 1, c: 2}\na: 2\n", "YAML: line 2: the key 'c' is given twice"),
    ("config/a.yml", "a: 2024-13-45\n", "YAML: month must be"),
    ("config/a.yml", "a: \x00", "YAML: "),
    ("config/a.yml", "a: *nobody\n", "undefined alias"),
    ("config/k.yaml", "kind: Service\nmetadata: {name: web}\n", "object 1: no apiVersion"),
    ("config/k.yaml", K8S + "---\napiVersion: v1\nkind: Pod\n", "object 2: no metadata.name"),
    ("config/k.yaml", K8S.replace("web", "Web_1"), "use lower-case letters"),
    ("config/k.yaml", K8S + "---\n- a\n", "object 2: not a mapping"),
    ("config/hosts", "[web\nnode1\n", "line 1: '[web' is no section"),
    ("config/hosts", "[web:vars]\nnode1\n", "line 2: 'node1' is no variable"),
    ("config/hosts", "[web:children]\na b\n", "a child group is one name"),
    ("config/hosts", "node1 node2\n", "line 1: 'node1 node2' is no host"),
    ("config/hosts", "- node1\n", "is no host"),
    ("config/a.py", "def f(:\n", "Python: line 1: "),
    ("config/a.py", "return 1\n", "'return' outside function"),
    ("config/a.py", "a = '\\d'\n", "invalid escape sequence"),
    ("config/a.py", "a\0", "null bytes"),
    ("config/a.j2", "a\n{% if b %}\n", "Jinja: line 2"),
    ("config/Dockerfile", "RUN a\n", "line 1: RUN before FROM"),
    ("config/Dockerfile", "FROM a\nCMD ['x']\n", "line 2: CMD ['x'] is no JSON list"),
    ("config/Dockerfile", "FROM a\nISNTALL b\nCOPY\n", "'ISNTALL' is no instruction"),
    ("config/Dockerfile", "FROM a\nCOPY\n", "line 2: COPY without arguments"),
    ("config/Dockerfile", "# nothing\n", "no FROM"),
    ("infra/m/lab.vars.tf", "a = 1\n", "Save it as infra/m/lab.tfvars and delete infra/m/lab.vars.tf"),
    ("infra/m/lab.tfvars.tf", "a = 1\n", "Save it as infra/m/lab.tfvars"),
    ("infra/m/lab.auto.tfvars.tf", "a = 1\n", "Save it as infra/m/lab.tfvars"),
    ("infra/m/vars.tf", '# c\nhost = "a{" // c\nlist = [\n  1,\n]\n/* c\n */\ntext = <<EOT\nresource {\nEOT\n',
     "vars.tf is a variables file"),
    ("infra/m/p.tf", PROXMOX % "hashicorp", 'line 3: there is no provider hashicorp/proxmox; write source = "bpg/'),
    ("infra/m/p.tf", PROXMOX % "registry.terraform.io/hashicorp", "there is no provider hashicorp/proxmox"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "ran"), GOOD)
def test_finds_nothing_in_what_is_right(name: str, text: str, ran: list[str]) -> None:
    answer = syntax.verdict(name, text)
    assert answer["problems"] == []
    assert answer["ran"] == ran


@pytest.mark.parametrize(("name", "text", "problem"), BAD)
def test_names_what_is_wrong(name: str, text: str, problem: str) -> None:
    problems = syntax.verdict(name, text)["problems"]
    assert any(problem in found for found in problems), problems


@pytest.mark.parametrize("name", ["a.json", "a.yml", "a.py", "a.j2"])
def test_what_a_parser_can_t_take_is_never_ok(name: str) -> None:
    answer = syntax.verdict(f"config/{name}", ("{{" if name == "a.j2" else "") + "[" * 50_000)
    assert answer["problems"] or answer["broken"]
    assert not answer["playbook"]


def test_merges_that_grow_are_stopped() -> None:
    lines = ["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 40))]
    (problem,) = syntax.verdict("config/a.yml", "\n".join(lines))["problems"]
    assert "grow without bound" in problem


def test_knows_a_playbook() -> None:
    assert syntax.verdict("config/a.yml", "- hosts: all\n")["playbook"]
    assert syntax.verdict("config/a.yml", "- import_playbook: b.yml\n")["playbook"]
    for text in ("- debug:\n", "a: 1\n", "", "- hosts: [\n", "[]"):
        assert not syntax.verdict("config/a.yml", text)["playbook"]


def test_knows_a_script_by_its_first_line() -> None:
    assert syntax.is_shell("config/run", "#!/bin/sh\n")
    assert syntax.is_shell("config/run", "#!/usr/bin/env bash\n")
    assert syntax.is_shell("config/run.sh", "")
    assert not syntax.is_shell("config/run", "#!/usr/bin/env python3\n")
    assert not syntax.is_shell("config/run.j2", "#!/bin/sh\n")


def test_proxmox_sources() -> None:
    assert syntax_infra.uses_proxmox('resource "proxmox_virtual_environment_vm" "a" {}')
    assert not syntax_infra.uses_proxmox('# provider "proxmox"')
    assert syntax_infra.names_proxmox_source(PROXMOX % "bpg")
    assert not syntax_infra.names_proxmox_source('source = "./proxmox"')


def test_runs_as_a_program(repository: Path) -> None:
    program = "import sys; sys.path.insert(0, sys.argv[1]); from agents.executors.syntax import main; main()"
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, str(repository)],
        input=json.dumps({"name": "config/a.json", "text": "{"}),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert json.loads(done.stdout)["problems"]
