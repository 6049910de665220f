"""The shipped compose file on a real engine, from a fresh copy of the checkout."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.conftest import REPOSITORY

PROJECT = "minilabtest"
IMAGE = "minilab-test/minilab:latest"
AGENTS = ("architect", "coder", "devops", "security", "qa", "observer")
# the demo, slowed down so that a turn lasts long enough to be hit
OVERRIDE = """
services:
  rehearsal:
    command: [python, -m, rehearsal, --host, 0.0.0.0, --port, "8090", --latency, "0.4"]
"""


class Stack:
    """A copy of the checkout at `home`, and its containers. `settings` are build arguments and variables."""

    def __init__(self, home: Path, settings: Mapping[str, str]) -> None:
        self.home = home
        listed = subprocess.run(
            ["git", "-C", str(REPOSITORY), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            capture_output=True,
            check=True,
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (REPOSITORY / name).is_file():
                (home / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(REPOSITORY / name, home / name)
        (home / "override.yml").write_text(OVERRIDE)
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.environment = {
            **kept,
            "COMPOSE_PROJECT_NAME": PROJECT,
            "COMPOSE_FILE": "docker-compose.yml:override.yml",
            "COMPOSE_HTTP_TIMEOUT": "120",
            "TERM": "xterm-256color",
            "MINILAB_IMAGE": IMAGE,
            "PYTHONDONTWRITEBYTECODE": "1",
            **settings,
        }

    def argv(self, *arguments: str) -> list[str]:
        """`./minilab compose …`, with the tests' own Python."""
        return [sys.executable, "-m", "client.cli", "compose", *arguments]

    def compose(self, *arguments: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """`./minilab compose …`."""
        return subprocess.run(
            self.argv(*arguments),
            cwd=self.home,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def container(self, service: str) -> str:
        """The id of a service's container."""
        filters = [f"label=com.docker.compose.project={PROJECT}", f"label=com.docker.compose.service={service}"]
        found = docker("ps", "-aq", *(part for one in filters for part in ("--filter", one))).split()
        assert len(found) == 1, f"{service}: {found}"
        return found[0]

    def services(self) -> list[str]:
        """Every service that has a container."""
        form = '{{.Label "com.docker.compose.service"}}'
        return docker("ps", "-a", "--filter", f"label=com.docker.compose.project={PROJECT}", "--format", form).split()

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine tells of a service's container."""
        told: dict[str, Any] = json.loads(docker("inspect", self.container(service)))[0]
        return told

    def run(self, service: str, script: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """A shell script in a service's container, as its user."""
        argv = ["docker", "exec", self.container(service), "sh", "-c", script]
        return subprocess.run(argv, capture_output=True, text=True, timeout=timeout)

    def crash(self, service: str) -> None:
        """Kill -9 the service's program from outside: to the engine it died by itself."""
        os.kill(self.inspect(service)["State"]["Pid"], signal.SIGKILL)

    def redis(self, command: str) -> str:
        """What Redis answers the User, run beside it."""
        password = (self.home / ".minilab/keys/User.redis-password").read_text().strip()
        return self.run("redis-broker", f"redis-cli --no-auth-warning --user User --pass {password} {command}").stdout

    def works(self, role: str) -> bool:
        """Whether a turn of the role is open."""
        return f'"role":"{role}"' in self.redis("HVALS '{agent_channel}:turns'")


def docker(*arguments: str) -> str:
    """What docker prints; it must succeed."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments[:3])}: {done.stderr}"
    return done.stdout


def until(what: str, holds: Callable[[], object], seconds: float = 60) -> None:
    """Wait until it holds; AssertionError naming `what` if it never does."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.1)


def remove() -> None:
    """Leave nothing of the project behind."""
    label = f"label=com.docker.compose.project={PROJECT}"
    for kind, listing, forced in (("container", ["-a"], ["-f"]), ("network", [], []), ("volume", [], ["-f"])):
        if found := docker(kind, "ls", "-q", *listing, "--filter", label).split():
            docker(kind, "rm", *forced, *found)
