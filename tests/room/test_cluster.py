"""Redis Cluster in trouble: a master dies, a slot moves, a node knows nothing; nothing is lost or doubled."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.crc import key_slot

from agents.domain.errors import RoomError, RoomUnavailable, SettingsError
from agents.domain.message import USER, Message
from agents.domain.ports import OpenRoom
from agents.domain.role import ROLES
from agents.room import acl, open_room
from agents.room.connection import Link
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_tls import TlsServer, free_port

pytestmark = pytest.mark.real


@pytest.fixture
def own_cluster() -> Iterator[RedisCluster]:
    """Three masters, and a replica of the first."""
    made = RedisCluster(replica=True)
    yield made
    made.close()


async def heard(opened: OpenRoom, words: list[str]) -> None:
    """Collect what is said, for ever."""
    async for event in opened.room.follow("0"):
        words.append(event.content)


async def test_a_master_dies_and_its_replica_goes_on(own_cluster: RedisCluster) -> None:
    room = own_cluster.room_of(0)
    words: list[str] = []
    opened = await open_room(own_cluster.url, room)
    reading = asyncio.create_task(heard(opened, words))
    for number in range(20):
        await opened.room.post(Message(USER, str(number), to=("QA",)))
    with own_cluster.client(0) as client:
        await asyncio.to_thread(client.wait, 1, 5000)  # the replica has it
    own_cluster.kill(0)
    async with asyncio.timeout(30):
        for number in range(20, 40):
            await opened.room.post(Message(USER, str(number), to=("QA",)))
        while len(words) < 40:
            await asyncio.sleep(0.05)
    assert words == [str(number) for number in range(40)]
    assert await opened.inbox("QA", "one").pending() == 40
    late = await open_room(own_cluster.url, room)  # the first of its seeds is dead
    assert len(await late.room.said(99)) == 40
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await late.aclose()
    await opened.aclose()


async def test_a_slot_moves_while_everybody_posts(cluster: RedisCluster) -> None:
    room = cluster.room_of(1)
    words: list[str] = []
    slot = key_slot(f"{{{room}}}".encode())
    rooms = [await open_room(cluster.url, room) for _ in range(3)]
    reading = asyncio.create_task(heard(rooms[0], words))
    done = asyncio.Event()

    async def post(opened: OpenRoom, name: str) -> list[str]:
        said: list[str] = []
        while not done.is_set() or len(said) < 5:
            said.append(f"{name}{len(said)}")
            await opened.room.post(Message(USER, said[-1], to=("QA",)))
            await asyncio.sleep(0.002)
        return said

    async with asyncio.timeout(60):
        posting = [asyncio.create_task(post(opened, name)) for opened, name in zip(rooms, "abc", strict=True)]
        for source, target in ((1, 2), (2, 1)):
            await asyncio.sleep(0.1)
            await asyncio.to_thread(cluster.migrate, slot, source, target, 0.02)
        await asyncio.sleep(0.1)
        done.set()
        said = [word for each in await asyncio.gather(*posting) for word in each]
        while len(words) < len(said):
            await asyncio.sleep(0.02)
    assert sorted(words) == sorted(said)
    assert sorted(event.content for event in await rooms[1].room.events(limit=9999)) == sorted(said)
    assert await rooms[2].inbox("QA", "one").pending() == len(said)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    for opened in rooms:
        await opened.aclose()
    for number in range(3):
        with cluster.client(number) as client:
            client.flushall()


async def test_a_key_that_has_gone_already_is_asked_for_where_it_went(cluster: RedisCluster) -> None:
    room = cluster.room_of(0)
    slot = key_slot(f"{{{room}}}".encode())
    link = Link(cluster.url, 5)
    ids = [cluster.ask(number, "CLUSTER", "MYID") for number in (0, 1)]
    cluster.ask(1, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
    cluster.ask(0, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
    try:
        await link.command("HSET", f"{{{room}}}:presence", "a", "b")
        assert await link.command("HGETALL", f"{{{room}}}:presence") == [b"a", b"b"]
        assert cluster.ask(0, "CLUSTER", "COUNTKEYSINSLOT", slot) == 0
        assert cluster.ask(1, "CLUSTER", "COUNTKEYSINSLOT", slot) == 1
    finally:
        for number in (0, 1):
            cluster.ask(number, "CLUSTER", "SETSLOT", slot, "STABLE")
        cluster.ask(1, "FLUSHALL")
        await link.aclose()


async def test_a_seed_that_is_dead_is_passed_over(cluster: RedisCluster) -> None:
    url = f"redis+cluster://127.0.0.1:{free_port()},127.0.0.1:{cluster.ports[2]}"
    for number in range(3):
        opened = await open_room(url, cluster.room_of(number), patience=5)
        assert await opened.room.events() == []
        await opened.aclose()
    with pytest.raises(RoomUnavailable, match="didn't answer"):
        await open_room(f"redis+cluster://127.0.0.1:{free_port()}", "r", patience=0.2)


async def test_a_cluster_over_tls_with_users(tmp_path: Path) -> None:
    passwords = {name: f"secret-of-{name}" for name in (*ROLES, USER)}
    users = tmp_path / "users.acl"
    users.write_text(acl.users("lab", passwords) + "user admin reset on >root ~* &* +@all\n")
    secured = RedisCluster("--aclfile", str(users), tls=True, login="admin:root@")
    try:
        for name in ("Coder", USER):
            opened = await open_room(
                secured.url.replace("admin:root", f"{name}:{passwords[name]}"), "lab", patience=5
            )
            await opened.room.post(Message(name, "hi"))
            assert (await anext(opened.room.follow("0"))).content == "hi"
            await opened.aclose()
        with pytest.raises(RoomUnavailable, match="check user and password"):
            await open_room(secured.url.replace("admin:root", "Coder:wrong"), "lab")
        with pytest.raises(RoomUnavailable, match="name it with ssl_ca_certs"):
            await open_room(secured.url.partition("?")[0], "lab")
    finally:
        secured.close()


async def test_a_server_that_is_no_cluster_says_what_to_use(tls_server: TlsServer) -> None:
    with pytest.raises(RoomError, match="it is no cluster: use redis://"):
        await Link(f"redis+cluster://127.0.0.1:{tls_server.plain}", 5).command("TIME")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis+cluster://h:7000/3", "one database"),
        ("redis+cluster://h:7000?db=1", "one database"),
        ("redis+cluster://:7000", "is no node's host"),
        ("redis+cluster://h?ssl_ca_certs=/x", "needs rediss"),
        ("rediss+cluster://h?ssl_ca_certs=/none/x", "No such file"),
    ],
)
def test_a_url_that_can_t_be_is_named(url: str, why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        Link(url)
