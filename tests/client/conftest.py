"""A Redis for the client's tests, and a place for each of them."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.domain.role import ROLES
from tests.support.pty import Pty

REPOSITORY = Path(__file__).resolve().parents[2]


def prompt(name: str) -> str:
    """A prompt file that parses."""
    lead = "answers_user: true\n" if name == "Architect" else ""
    return f'---\ntag: "@{name}"\ntitle: the {name}\naliases: ["@{name}_Alias"]\n{lead}---\nYou are {name}.\n'


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """A directory with six good prompts."""
    directory = tmp_path / "prompts"
    directory.mkdir()
    for name in ROLES:
        (directory / f"{name}.md").write_text(prompt(name), encoding="utf-8")
    return directory


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A redis-server of the test run's own."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server isn't installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    argv = [
        program,
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
        str(tmp_path_factory.mktemp("r")),
    ]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as server:
        try:
            _until_open(port)
            yield f"redis://127.0.0.1:{port}"
        finally:
            server.terminate()


def _heed_signals() -> None:
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


def _until_open(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("redis-server doesn't answer")


class Lab:
    """Starts the session double with a home and a room of its own."""

    argv = (sys.executable, "-m", "tests.support.session_double")

    def __init__(self, home: Path, redis_url: str) -> None:
        self.home = home
        self.room = f"test-{uuid.uuid4().hex[:8]}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("COV_")}
        self.env = kept | {
            "MINILAB_TEST_HOME": str(home),
            "REDIS_URL": redis_url,
            "ROOM": self.room,
            "TERM": "xterm-256color",
        }

    def run(self, *words: str, typed: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        """To its end, without a terminal."""
        return subprocess.run(
            (*self.argv, *words),
            env=self.env | env,
            cwd=REPOSITORY,
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def start(self, *words: str, **env: str) -> "subprocess.Popen[str]":
        """Without a terminal, its lines readable."""
        return subprocess.Popen(
            (*self.argv, *words),
            env=self.env | env,
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # under nohup the suite ignores SIGHUP, and its children would inherit that
            preexec_fn=_heed_signals,
        )

    def terminal(self, *words: str, **env: str) -> Pty:
        """On a terminal."""
        return Pty((*self.argv, *words), self.env | env, REPOSITORY)

    def logged(self) -> str:
        """The conversation logs of all its sessions."""
        return "".join(file.read_text() for file in sorted((self.home / "client" / "logs").glob("*.log")))


@pytest.fixture
def lab(tmp_path: Path, prompts: Path, redis_url: str) -> Lab:
    """A lab nobody else uses."""
    return Lab(tmp_path, redis_url)
