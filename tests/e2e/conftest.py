"""A home of its own for each end-to-end test, and sessions that leave nothing behind."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.conftest import REPOSITORY

OBJECTIVE = "Publish a status page for my two-node lab on port {port} and prove that it answers."


@dataclass
class Home:
    """A directory with prompts, as a fresh checkout has them; no key, no Redis given."""

    path: Path
    env: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """What a user's shell would give."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {"PATH": path, "HOME": str(self.path), "LANG": "C.UTF-8", "MINILAB_HOME": str(self.path), **self.env}

    def processes(self) -> list[psutil.Process]:
        """Every living process that belongs to this home."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("MINILAB_HOME") == str(self.path) or str(self.path) in " ".join(
                    process.cmdline()
                ):
                    found.append(process)
            except psutil.Error:
                continue
        return [process for process in found if process.pid != os.getpid()]

    def wait_empty(self, seconds: float = 15) -> list[psutil.Process]:
        """The processes still there after a while."""
        end = time.monotonic() + seconds
        while (left := self.processes()) and time.monotonic() < end:
            time.sleep(0.1)
        return left

    def redis_url(self) -> str:
        """Where the session's own Redis listens."""
        found: str = json.loads((self.path / ".minilab" / "session.lock").read_text())["url"]
        return found


class Session:
    """A `minilab` process whose output is collected line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        if self.process.stdout:
            self.lines.extend(iter(self.process.stdout.readline, ""))

    def until(self, holds: Callable[[str], bool], seconds: float = 120) -> str:
        """The first line that `holds`; fail with all output if none comes."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for line in list(self.lines):
                if holds(line):
                    return line
            if self.process.poll() is not None and not self._reader.is_alive():
                break
            time.sleep(0.05)
        pytest.fail("not said:\n" + "".join(self.lines[-60:]))

    def say(self, text: str) -> None:
        """Type a line."""
        assert self.process.stdin
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A fresh home; whatever is left of it is ended with the test."""
    shutil.copytree(REPOSITORY / "prompts", tmp_path / "prompts")
    made = Home(tmp_path)
    yield made
    for process in made.processes():
        process.kill()


@contextmanager
def session(home: Home, *arguments: str) -> Iterator[Session]:
    """Run `minilab` with the arguments; it is ended by SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, "-m", "client.cli", *arguments],
        cwd=REPOSITORY,
        env=home.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        bufsize=1,
    )
    running = Session(process)
    try:
        yield running
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()


@pytest.fixture
def free_port() -> int:
    """A loopback port nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
