"""What could run something when Ansible loads it."""

import json
import subprocess
import sys
from pathlib import Path

from agents.executors.playbook_dangers import dangers

PLAY = "- hosts: all\n  tasks:\n    - %s\n"
FILES = {
    "config/plain.yml": PLAY % "debug: {msg: a}",
    "config/module.yml": PLAY % "community.general.proxmox: {vmid: 1}",
    "config/lookup.yml": PLAY % "debug: {msg: \"{{ lookup('pipe', 'id') }}\"}",
    "config/filter_plugins/x.json": "{}",
    "config/broken.yml": "a: [",
}


def test_only_what_is_loaded_counts() -> None:
    """A module is named by a syntax check and not run; a lookup may be."""
    assert sorted(dangers(FILES)) == ["config/broken.yml", "config/filter_plugins/x.json", "config/lookup.yml"]


def test_runs_as_a_program(repository: Path) -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from agents.executors.playbook_dangers import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, str(repository)],
        input=json.dumps(FILES),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert json.loads(done.stdout) == dangers(FILES)
