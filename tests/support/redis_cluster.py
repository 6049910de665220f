"""A Redis Cluster of a test's own on loopback: three masters, and what tests do to it."""

import contextlib
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis import Redis
from redis.crc import key_slot
from redis.exceptions import RedisError

from tests.support.redis_server import program
from tests.support.redis_tls import Authority, free_port

SLOTS = 16384
MASTERS = 3


def nodes(url: str) -> list[str]:
    """The addresses of the single servers behind `url`: itself, where it is no cluster."""
    parts = urlsplit(url)
    if "+cluster" not in parts.scheme:
        return [url]
    scheme, login = parts.scheme.partition("+")[0], parts.netloc.rpartition("@")[0]
    front = f"{login}@" if login else ""
    return [f"{scheme}://{front}{host}/0?{parts.query}" for host in parts.netloc.rpartition("@")[2].split(",")]


def left(url: str) -> list[str]:
    """The keys behind `url`, which are gone then."""
    keys: list[str] = []
    for one in nodes(url):
        with Redis.from_url(one, protocol=2) as client:
            keys += [key.decode() for key in client.keys("*")]
            client.flushall()
    return keys


class RedisCluster:
    """Masters with a third of the slots each; with `replica`, the last node copies the first."""

    def __init__(self, *options: str, replica: bool = False, tls: bool = False, login: str = "") -> None:
        path = program("redis-server")
        if path is None:
            pytest.skip("redis-server isn't installed")
        self._path, self._options = path, options
        self._folder = Path(tempfile.mkdtemp(prefix="rc-", dir="/tmp"))
        self._authority = Authority(self._folder) if tls else None
        self._login = login
        self.ports = [free_port() for _ in range(MASTERS + replica)]
        self._children = [self._started(port) for port in self.ports]
        try:
            self._join(replica)
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """Where a room is found."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports[:MASTERS])
        return f"{self.scheme}+cluster://{self._login}{hosts}{self._query}"

    @property
    def scheme(self) -> str:
        """With TLS or without."""
        return "rediss" if self._authority else "redis"

    @property
    def _query(self) -> str:
        return f"?{self._authority.query()}" if self._authority else ""

    def client(self, number: int) -> "Redis":
        """A plain client of one node."""
        url = f"{self.scheme}://{self._login}127.0.0.1:{self.ports[number]}/0{self._query}"
        return Redis.from_url(url, protocol=2, socket_timeout=2)

    def ask(self, number: int, *command: Any) -> Any:
        """One node's answer, as it comes."""
        with self.client(number) as client:
            connection = client.connection_pool.get_connection()
            try:
                connection.send_command(*command)
                return connection.read_response()
            finally:
                connection.disconnect()

    def room_of(self, number: int) -> str:
        """The name of a room that this master owns."""
        span = _span(number)
        return next(name for name in (f"r{n}" for n in range(999)) if key_slot(f"{{{name}}}".encode()) in span)

    def kill(self, number: int) -> None:
        """End one node as a crash would."""
        self._children[number].kill()
        self._children[number].wait()

    @contextlib.contextmanager
    def hung(self, number: int) -> Iterator[None]:
        """One node sleeps, its connections open, as in a virtual machine that is held."""
        self._children[number].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._children[number].send_signal(signal.SIGCONT)

    def owner(self, slot: int, asked: int) -> int | None:
        """The number of the node that owns `slot`, as another tells."""
        for first, last, master, *_ in self.ask(asked, "CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return self.ports.index(master[1])
        return None

    def migrate(self, slot: int, source: int, target: int, pause: float = 0.0) -> None:
        """Move a slot with its keys, one by one, as redis-cli does; `pause` seconds before each."""
        ids = [self.ask(number, "CLUSTER", "MYID") for number in (source, target)]
        self.ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
        self.ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
        while keys := self.ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 1):
            time.sleep(pause)
            self.ask(source, "MIGRATE", "127.0.0.1", self.ports[target], "", 0, 5000, "KEYS", *keys)
        for number in (target, source):
            self.ask(number, "CLUSTER", "SETSLOT", slot, "NODE", ids[1])

    def until(self, holds: Callable[[], Any]) -> None:
        """Wait for it."""
        end = time.monotonic() + 30
        while True:
            with contextlib.suppress(RedisError, OSError):
                if holds():
                    return
            assert time.monotonic() < end, "the cluster doesn't get there"
            time.sleep(0.05)

    def close(self) -> None:
        """End it for good."""
        for child in self._children:
            child.kill()
            child.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _started(self, port: int) -> "subprocess.Popen[bytes]":
        home = self._folder / str(port)
        home.mkdir()
        argv = [str(self._path), "--dir", str(home), "--save", "", "--cluster-enabled", "yes", *self._options]
        argv += ["--cluster-node-timeout", "1000", "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0"]
        if self._authority:
            file, key = self._authority.certificate(str(port))
            argv += ["--port", "0", "--tls-port", str(port), "--tls-cert-file", str(file), "--tls-key-file", str(key)]
            argv += ["--tls-ca-cert-file", str(self._authority.file), "--tls-cluster", "yes"]
            argv += ["--tls-auth-clients", "no", "--tls-replication", "yes"]
        else:
            argv += ["--port", str(port)]
        return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _join(self, replica: bool) -> None:
        everybody = range(len(self.ports))
        for number in everybody:
            self.until(partial(self.ask, number, "PING"))
            self.ask(number, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number < MASTERS:
                span = _span(number)
                self.ask(number, "CLUSTER", "ADDSLOTSRANGE", span.start, span.stop - 1)
            for port in self.ports[:number]:
                self.ask(number, "CLUSTER", "MEET", "127.0.0.1", port)
        if replica:
            first = self.ask(0, "CLUSTER", "MYID")
            self.until(lambda: first in self.ask(MASTERS, "CLUSTER", "NODES"))
            self.until(lambda: self.ask(MASTERS, "CLUSTER", "REPLICATE", first))
            self.until(lambda: b"state=online" in self.ask(0, "INFO", "replication"))
        for number in everybody:
            self.until(partial(self._settled, number))

    def _settled(self, number: int) -> bool:
        state = self.ask(number, "CLUSTER", "INFO")
        known = f"cluster_known_nodes:{len(self.ports)}".encode()
        return (
            b"cluster_state:ok" in state and known in state and len(self.ask(number, "CLUSTER", "SLOTS")) == MASTERS
        )


def _span(number: int) -> range:
    return range(SLOTS * number // MASTERS, SLOTS * (number + 1) // MASTERS)


def running() -> Iterator[RedisCluster]:
    """A running cluster, ended after use."""
    made = RedisCluster()
    yield made
    made.close()
