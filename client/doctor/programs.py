"""Programs on this machine: started, not looked at."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from client.doctor.rows import Level, Row
from client.text import one_line

SECONDS = 3.0
_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Program:
    """A program some tools need: how to ask its version, what is lost without it, how to get it."""

    name: str
    argv: tuple[str, ...]
    without: str
    fix: str


_DOCKER = ("docker", "version", "--format", "{{.Server.Version}}")
_TERRAFORM_FIX = "install it from developer.hashicorp.com/terraform/install"
PROGRAMS = (
    Program("git", ("git", "--version"), "no versions of what the team writes", "apt install git"),
    Program("terraform", ("terraform", "version"), "run_terraform fails", _TERRAFORM_FIX),
    Program("ssh", ("ssh", "-V"), "no remote hosts for Ansible", "apt install openssh-client"),
    Program("kubectl", ("kubectl", "version", "--client"), "run_kubectl fails", "see kubernetes.io/docs/tasks/tools"),
    Program("docker", _DOCKER, "no containers", "start the docker service, or install it"),
    Program("node", ("node", "--version"), "no TypeScript in run_code", "apt install nodejs"),
)


def program(row: Program) -> Row:
    """Whether it starts, and its version."""
    if shutil.which(row.argv[0]) is None:
        return Row(row.name, Level.WARN, f"not found: {row.without}", row.fix)
    code, said = _run(row.argv)
    if code != 0:
        return Row(row.name, Level.WARN, f"doesn't work ({said}): {row.without}", row.fix)
    return Row(row.name, Level.OK, said)


def python() -> Row:
    """The interpreter."""
    return Row("python", Level.OK, f"{sys.version.split()[0]} ({sys.executable})")


def needed(mode: str) -> tuple[Program, ...]:
    """The programs that matter where commands run so: in a container there is no engine."""
    return tuple(row for row in PROGRAMS if row.name != "docker" or mode != "container")


def venv(mode: str) -> Row:
    """Whether we run in the .venv that ./minilab keeps in step, or in the image's."""
    if mode == "container":
        return Row("venv", Level.OK, f"{sys.prefix}, the image's")
    if sys.prefix == sys.base_prefix:
        return Row("venv", Level.FAIL, "not in a virtual environment", "start with ./minilab")
    if not (Path(sys.prefix) / "minilab.stamp").is_file():
        return Row("venv", Level.WARN, f"{sys.prefix} wasn't made by ./minilab", "start with ./minilab")
    return Row("venv", Level.OK, sys.prefix)


def ansible() -> Row:
    """ansible-core comes with the dependencies; its program has to be next to Python's."""
    playbook = Path(sys.executable).with_name("ansible-playbook")
    if not playbook.is_file():
        return Row("ansible", Level.FAIL, f"{playbook} is missing", "remove .venv and start ./minilab again")
    return Row("ansible", Level.OK, f"ansible-core {metadata.version('ansible-core')}")


def sandbox(mode: str) -> Row:
    """What confines run_shell and run_code, found by running a command as the agents do."""
    probed = "auto" if mode == "docker" else mode  # with docker, run_code alone goes there
    code, said = _run((sys.executable, "-m", "agents.sandbox_probe", probed), width=4000)
    try:
        level = json.loads(said)
        name, detail, bounds, fix = (level[key] for key in ("name", "detail", "bounds", "fix"))
    except (ValueError, KeyError, TypeError):
        return Row("sandbox", Level.WARN, f"the probe failed (exit code {code}): {said}", "see the message")
    told = f"{name}: {detail}" + (f"; bounds by {bounds}" if bounds else "")
    if name == "none":
        off = f"{told}: run_shell and run_code are off"
        return Row("sandbox", Level.WARN, off, fix or "apt install bubblewrap")
    return Row("sandbox", Level.WARN if fix else Level.OK, told, fix)


def _run(argv: Sequence[str], width: int = _WIDTH) -> tuple[int, str]:
    """Exit code and the first line said, at most `width` characters of it."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return 124, f"no answer within {SECONDS:.0f} s"
    except OSError as error:
        return 126, str(error.strerror)
    text = (done.stdout if done.returncode == 0 and done.stdout.strip() else done.stderr).decode("utf-8", "replace")
    return done.returncode, one_line(text, width) or f"exit code {done.returncode}"
