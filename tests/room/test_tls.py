"""TLS: who is at the other end is verified, and a fault that doesn't pass by waiting is told with its remedy."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.domain.errors import RoomUnavailable, SettingsError
from agents.domain.message import USER, Message
from agents.room import connection, open_room
from agents.room.address import shown
from agents.room.connection import Link
from tests.room.conftest import World
from tests.support.redis_tls import Authority, TlsServer, free_port

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Nobody the server knows."""
    return Authority(tmp_path_factory.mktemp("foreign"), "foreign")


@pytest.fixture(scope="module")
def misnamed() -> Iterator[TlsServer]:
    """A server whose certificate is for another host, and who wants none of a client."""
    server = TlsServer(clients=False, hosts=("redis.example",))
    yield server
    server.close()


async def refused(url: str, why: str) -> None:
    """Opening says why, and doesn't wait for what can't come."""
    began = time.monotonic()
    with pytest.raises(RoomUnavailable, match=why) as caught:
        await open_room(url, "r")
    assert time.monotonic() - began < 10  # instead of for ever
    assert "\n" not in str(caught.value)
    assert "hidden" not in str(caught.value)


async def test_a_room_over_tls(tls_server: TlsServer) -> None:
    place = World(tls_server.url)
    opened = await place.open()
    await opened.room.post(Message(USER, "hi"))
    assert (await anext(opened.room.follow("0"))).content == "hi"
    await place.close()


async def test_another_authority(tls_server: TlsServer, foreign: Authority) -> None:
    url = f"rediss://127.0.0.1:{tls_server.port}/0"
    await refused(f"{url}?{foreign.query(tls_server.own)}", "name it with ssl_ca_certs=/path")
    await refused(url, "name it with ssl_ca_certs=/path")


async def test_another_host(misnamed: TlsServer) -> None:
    url = misnamed.at(f"rediss://127.0.0.1:{misnamed.port}/0")
    await refused(url, "certificate is for another host")
    await (await open_room(f"{url}&ssl_check_hostname=no", "r")).aclose()


async def test_a_certificate_that_has_expired() -> None:
    server = TlsServer(clients=False, days=-1)
    try:
        await refused(server.url, "has expired: renew it")
    finally:
        server.close()


@pytest.mark.parametrize("login", ["", "me:hidden@"])
async def test_no_certificate_of_ours(tls_server: TlsServer, misnamed: TlsServer, login: str) -> None:
    url = f"rediss://{login}127.0.0.1:{tls_server.port}/0?{tls_server.authority.query()}"
    await refused(url, "add ssl_certfile=/path and ssl_keyfile=/path")
    free = f"rediss://127.0.0.1:{misnamed.port}/0?{misnamed.authority.query()}&ssl_check_hostname=no"
    await (await open_room(free, "r")).aclose()


async def test_a_certificate_of_ours_nobody_knows(tls_server: TlsServer, foreign: Authority) -> None:
    query = tls_server.authority.query(foreign.certificate("client"))
    await refused(f"rediss://127.0.0.1:{tls_server.port}/0?{query}", "server's authority signed")


@pytest.mark.parametrize("login", ["", "me:hidden@"])
async def test_no_tls_where_it_is_spoken(tls_server: TlsServer, login: str) -> None:
    await refused(f"redis://{login}127.0.0.1:{tls_server.port}/0", "use rediss:// instead of redis://")
    await (await open_room(f"redis://127.0.0.1:{tls_server.plain}/0", "r")).aclose()


async def test_tls_where_none_is_spoken(tls_server: TlsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ANSWER_TIMEOUT", 0.5)  # such a server waits for the rest of a line
    await refused(tls_server.at(f"rediss://127.0.0.1:{tls_server.plain}/0"), "use redis:// instead of rediss://")


async def test_sentinels_speak_tls_too(tls_server: TlsServer, foreign: Authority) -> None:
    with tls_server.watched() as sentinel:
        url = f"rediss+sentinel://{sentinel}/lab"
        await (await open_room(tls_server.at(url), "r", patience=20)).aclose()
        await refused(f"{url}?{foreign.query(tls_server.own)}", "name it with ssl_ca_certs=/path")
        await refused(f"{url}?{tls_server.authority.query()}", "add ssl_certfile=/path and ssl_keyfile=/path")
        await refused(f"redis+sentinel://{sentinel}/lab", "use rediss")
        await refused(tls_server.at(url) + "&sentinel_ssl=no", "use rediss")


async def test_a_server_that_is_down_is_waited_for(tls_server: TlsServer) -> None:
    with pytest.raises(RoomUnavailable, match="start it, or set REDIS_URL"):
        await open_room(tls_server.at(f"rediss://127.0.0.1:{free_port()}/0"), "r", patience=0.1)


@pytest.mark.parametrize("scheme", ["rediss://127.0.0.1/0", "rediss+sentinel://127.0.0.1/lab"])
def test_options_that_can_t_be_are_named_before_anything_is_opened(
    tls_server: TlsServer, tmp_path: Path, scheme: str
) -> None:
    Link(tls_server.at(scheme))
    file, key = tls_server.own
    _, other = tls_server.authority.certificate("other")
    for query, why in (
        (f"ssl_ca_certs={tmp_path}/none", r"ssl_ca_certs=.*/none: No such file"),
        (f"ssl_certfile={file}&ssl_keyfile={tmp_path}/none", r"ssl_keyfile=.*/none: No such file"),
        (f"ssl_certfile={file}&ssl_keyfile={other}", "don't fit together"),
        (f"ssl_ca_certs={key}", "don't fit together"),
        ("ssl_cert_reqs=perhaps", "perhaps"),
        ("ssl_verify=yes", "ssl_verify: not known"),
    ):
        with pytest.raises(SettingsError, match=why):
            Link(f"{scheme}?{query}")
    with pytest.raises(SettingsError, match=r"ssl_ca_certs.*: needs rediss"):
        Link(tls_server.at(scheme.replace("rediss", "redis")))


def test_passwords_among_the_options_are_not_shown() -> None:
    url = "rediss+sentinel://h/lab?sentinel_password=hidden&ssl_password=hidden&db=2"
    assert shown(url) == "rediss+sentinel://h/lab?sentinel_password=***&ssl_password=***&db=2"
