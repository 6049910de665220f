"""Opening a room: names, addresses, versions."""

import pytest

from agents.domain.errors import BadInput, RoomUnavailable, SettingsError
from agents.room import open_room
from agents.room.address import shown
from agents.room.in_memory import InMemoryRoom
from agents.room.keys import Keys
from agents.room.opening import require_recent
from tests.support.redis_server import RedisServer, program


@pytest.mark.parametrize("name", ["", "a b", "{x}", "x" * 65, "a\n", "é", "a:b"])
async def test_a_room_has_a_plain_name(name: str) -> None:
    with pytest.raises(BadInput, match="can't name a room"):
        await open_room("redis://127.0.0.1:1", name)
    with pytest.raises(BadInput, match="can't name a room"):
        InMemoryRoom(name)


@pytest.mark.parametrize("name", ["agent_channel", "a", "x" * 64, "lab-1.home"])
def test_all_keys_of_a_room_share_a_hash_tag(name: str) -> None:
    keys = Keys(name)
    every = [*keys.common, keys.presence, keys.hosted, keys.inbox("QA"), keys.journal("t")]
    assert all(key.startswith(f"{{{name}}}:") for key in every)
    assert len(set(every)) == len(every)
    assert keys.channel == name


@pytest.mark.parametrize("url", ["", "localhost:6379", "http://127.0.0.1", "redis://127.0.0.1:port"])
async def test_an_address_that_is_none_is_named(url: str) -> None:
    with pytest.raises(SettingsError, match=r"REDIS_URL.*looks like redis://host:6379/0"):
        await open_room(url, "r")


async def test_nobody_at_the_address() -> None:
    with pytest.raises(RoomUnavailable, match=r"redis://me:\*\*\*@127.0.0.1:1/0 didn't answer"):
        await open_room("redis://me:hidden@127.0.0.1:1/0", "r", patience=0.1)


@pytest.mark.real
async def test_a_server_that_knows_no_hello_is_too_old() -> None:
    path = program("redis-server")
    if path is None:
        pytest.skip("redis-server isn't installed")
    server = RedisServer(path, "--rename-command", "HELLO", "")
    server.start()
    try:
        with pytest.raises(SettingsError, match="older than 6 is too old"):
            await open_room(server.url, "r")
    finally:
        server.close()


@pytest.mark.real
async def test_a_server_that_is_down_while_it_is_asked_for_its_version(own_server: RedisServer) -> None:
    own_server.kill()
    with pytest.raises(RoomUnavailable, match="didn't answer"):
        await open_room(own_server.url, "r", patience=0.1)


def test_passwords_are_not_shown() -> None:
    assert shown("redis://u:pw@h:1/0?x=1") == "redis://u:***@h:1/0?x=1"
    assert shown("redis://h:1/0") == "redis://h:1/0"
    assert shown("redis://:pw@h") == "redis://:***@h"


@pytest.mark.parametrize(
    ("version", "fits"), [("6.0.16", False), ("older than 6", False), ("6.2.14", True), ("", True)]
)
def test_a_server_must_be_recent(version: str, fits: bool) -> None:
    if fits:
        require_recent(version, "redis://h")
    else:
        with pytest.raises(SettingsError, match="too old; use Redis"):
            require_recent(version, "redis://h")
