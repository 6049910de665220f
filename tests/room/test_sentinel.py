"""Redis behind Sentinel: the master dies, a replica takes over, and the room goes on there."""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from agents.domain.errors import SettingsError
from agents.domain.message import USER, Message
from agents.domain.turn import Outcome, StopReason
from agents.room import open_room
from agents.room.connection import Link
from agents.room.lines import Lines

MASTER = "lab"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Cluster:
    """A master, a replica and a sentinel on loopback."""

    def __init__(self, program: str, folder: Path) -> None:
        self.ports = [free_port() for _ in range(3)]
        self._children: list[subprocess.Popen[bytes]] = []
        for number in range(2):
            home = folder / str(number)
            home.mkdir()
            extra = ["--replicaof", f"127.0.0.1 {self.ports[0]}"] if number else []
            self._start([program, "--port", str(self.ports[number]), "--dir", str(home), "--save", "", *extra])
        self._until(lambda: b"state=online" in self._ask(0, "INFO", "replication"))
        settings = folder / "sentinel.conf"
        settings.write_text(
            f"port {self.ports[2]}\nsentinel monitor {MASTER} 127.0.0.1 {self.ports[0]} 1\n"
            f"sentinel down-after-milliseconds {MASTER} 500\nsentinel failover-timeout {MASTER} 3000\n"
        )
        self._start([program, str(settings), "--sentinel"])
        self._until(lambda: b"slaves=1" in self._ask(2, "INFO", "sentinel"))

    @property
    def url(self) -> str:
        """Where the room is found: one of the sentinels is dead from the start."""
        return f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{self.ports[2]}/{MASTER}?db=0"

    def replicate(self) -> None:
        """Wait until the replica has all that was written."""
        with Redis(port=self.ports[0], protocol=2) as client:
            client.set("mark", 1)  # it waits for what this client wrote, and with it for all that came before
            assert client.wait(1, 10_000) == 1

    def kill_master(self) -> None:
        """As a crash would."""
        self._children[0].kill()
        self._children[0].wait()

    def close(self) -> None:
        """End all."""
        for child in self._children:
            child.kill()
            child.wait()

    def _start(self, argv: list[str]) -> None:
        self._children.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def _ask(self, number: int, *command: str) -> bytes:
        with contextlib.suppress(RedisError), Redis(port=self.ports[number], protocol=2, socket_timeout=1) as client:
            connection = client.connection_pool.get_connection()
            connection.send_command(*command)
            answer: bytes = connection.read_response()
            connection.disconnect()
            return answer
        return b""

    def _until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < end, "the servers don't come up"
            time.sleep(0.05)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A cluster of one's own."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server isn't installed")
    with tempfile.TemporaryDirectory() as folder:
        made = Cluster(program, Path(folder))
        yield made
        made.close()


@pytest.mark.real
async def test_a_turn_goes_on_at_the_new_master(cluster: Cluster) -> None:
    opened = await open_room(cluster.url, "r")
    await opened.room.post(Message(USER, "work", to=("QA",)))
    claim = await opened.inbox("QA", "one").claim()
    assert claim
    heard: list[str] = []

    async def read() -> None:
        async for event in opened.room.follow("0"):
            heard.append(event.content)

    reading = asyncio.create_task(read())
    cluster.replicate()
    cluster.kill_master()
    async with asyncio.timeout(40):
        placed = await opened.journal.commit(claim, Outcome(StopReason.REPLIED), [Message("QA", "done")])
        while heard != ["work", "done"]:
            await asyncio.sleep(0.05)
    assert placed[0].content == "done"
    assert await opened.inbox("QA", "two").claim() is None
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await opened.aclose()


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("redis+sentinel://host:26379", "name the master"),
        ("redis+sentinel://host:26379/a/b", "name the master"),
        ("redis+sentinel://:26379/lab", "is no sentinel's host"),
        ("redis+sentinel://host/lab?quorum=2", "quorum: not known"),
        ("redis+sentinel://host/lab?db=x", "invalid literal"),
    ],
)
def test_a_url_that_can_t_be_is_named(url: str, fault: str) -> None:
    with pytest.raises(SettingsError, match=fault) as caught:
        Link(url)
    assert "REDIS_URL" in str(caught.value)


async def test_user_password_and_tls_reach_the_master_s_connections() -> None:
    link = Link("rediss+sentinel://me:s%40crest@a,[::1]:7000/lab?db=3&sentinel_password=other")
    assert isinstance(link._way, Lines)
    pool = link._way.pool
    kept = pool.connection_kwargs
    assert (kept["username"], kept["password"], kept["db"]) == ("me", "s@crest", 3)
    assert "SSL" in pool.connection_class.__name__
    watch = pool.sentinel_manager  # type: ignore[attr-defined]
    asked = [client.connection_pool.connection_kwargs for client in watch.sentinels]
    assert [(one["host"], one["port"], one["password"]) for one in asked] == [
        ("a", 26379, "other"),
        ("::1", 7000, "other"),
    ]
    assert "crest" not in link.url
    await link.aclose()
