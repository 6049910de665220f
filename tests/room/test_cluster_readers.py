"""Readers and callers of a Redis Cluster whose master only seemed dead, or whose URL is of the wrong kind."""

import asyncio
from collections.abc import Iterator

import pytest
import structlog
from redis.crc import key_slot

from agents.domain.errors import RoomUnavailable
from agents.domain.message import USER, Message
from agents.domain.ports import OpenRoom
from agents.room import open_room
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_tls import TlsServer, free_port

pytestmark = pytest.mark.real


@pytest.fixture
def own_cluster() -> Iterator[RedisCluster]:
    """Three masters, and a replica of the first."""
    made = RedisCluster(replica=True)
    yield made
    made.close()


class Reader:
    """Somebody who reads along and calls nothing."""

    def __init__(self, opened: OpenRoom) -> None:
        self.heard: list[str] = []
        self._task = asyncio.create_task(self._read(opened))

    async def _read(self, opened: OpenRoom) -> None:
        async for event in opened.room.follow("0"):
            self.heard.append(event.content)

    async def until(self, last: str) -> None:
        async with asyncio.timeout(30):
            while last not in self.heard:
                await asyncio.sleep(0.02)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def test_what_a_hung_master_does_when_it_wakes_leads_no_reader_astray(own_cluster: RedisCluster) -> None:
    room = own_cluster.room_of(0)
    writer, other = await open_room(own_cluster.url, room), await open_room(own_cluster.url, room)
    reader = Reader(other)
    await writer.room.post(Message(USER, "0"))
    await reader.until("0")
    await asyncio.to_thread(own_cluster.until, lambda: own_cluster.ask(0, "WAIT", 1, 1000) == 1)
    with own_cluster.hung(0):
        for number in range(1, 7):  # the first is sent to both: the hung one makes it an event as it wakes
            await writer.room.post(Message(USER, str(number)))
    await asyncio.to_thread(own_cluster.until, lambda: b"role:slave" in own_cluster.ask(0, "INFO", "replication"))
    await writer.room.post(Message(USER, "7"))
    await reader.until("7")
    assert reader.heard == list("01234567")
    assert [event.content for event in await writer.room.events()] == reader.heard
    await reader.close()
    await writer.aclose()
    await other.aclose()


async def test_a_login_that_is_refused_isn_t_waited_for_though_seeds_are_dead(cluster: RedisCluster) -> None:
    alive = f"127.0.0.1:{cluster.ports[0]}"
    dead = f"127.0.0.1:{free_port()}"
    await (await open_room(f"redis+cluster://{alive},{dead}", "r")).aclose()
    with pytest.raises(RoomUnavailable, match="check user and password") as caught:
        await open_room(f"redis+cluster://me:hidden@{alive},{dead}", "r")
    assert "hidden" not in str(caught.value)


async def test_a_url_of_one_server_at_a_cluster_names_the_scheme(cluster: RedisCluster) -> None:
    room = cluster.room_of(1)
    mine = await open_room(f"redis://127.0.0.1:{cluster.ports[1]}", room)
    await mine.room.events()
    await mine.aclose()
    other = await open_room(f"redis://127.0.0.1:{cluster.ports[0]}", room)
    with pytest.raises(RoomUnavailable, match=r"is one node of a cluster: use redis\+cluster://"):
        await other.room.events()
    await other.aclose()


async def test_a_url_of_a_cluster_at_a_single_server_names_the_scheme(tls_server: TlsServer) -> None:
    with pytest.raises(RoomUnavailable, match="it is no cluster: use redis://"):
        await open_room(f"redis+cluster://127.0.0.1:{tls_server.plain}", "r")
    await (await open_room(f"redis://127.0.0.1:{tls_server.plain}", "r")).aclose()


async def test_a_move_that_takes_long_is_said_for_what_it_is(cluster: RedisCluster) -> None:
    room = cluster.room_of(2)
    slot = key_slot(f"{{{room}}}".encode())
    opened = await open_room(cluster.url, room)
    await opened.room.post(Message(USER, "before"))
    with structlog.testing.capture_logs() as logs:
        moving = asyncio.create_task(asyncio.to_thread(cluster.migrate, slot, 2, 0, 0.2))
        await asyncio.sleep(0.3)
        async with asyncio.timeout(20):
            await opened.room.post(Message(USER, "meanwhile"))
        await moving
    assert ["moves the room's keys" in line.get("hint", "") for line in logs] == [True, False]
    assert [event.content for event in await opened.room.events()] == ["before", "meanwhile"]
    await opened.aclose()
    await asyncio.to_thread(cluster.migrate, slot, 0, 2)
    with cluster.client(2) as client:
        client.flushall()
