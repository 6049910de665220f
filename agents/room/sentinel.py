"""Redis behind Sentinel: `redis+sentinel://[user:password@]host:26379,host2:26379/master[?db=0&sentinel_password=…]`."""

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from redis.asyncio.connection import ConnectionPool
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool

SCHEMES = ("redis+sentinel", "rediss+sentinel")
PORT = 26379
ASK_TIMEOUT = 1.0  # seconds one sentinel is given; then the next is asked


def pool(url: str, options: dict[str, Any]) -> ConnectionPool:
    """Connections to whichever server is master when they are opened. Raise ValueError for a URL that can't be."""
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    sentinels = [_address(host) for host in hosts.split(",")]
    master = unquote(parts.path.strip("/"))
    if not master or "/" in master:
        raise ValueError("name the master after the sentinels: …/mymaster")
    query = {name: values[-1] for name, values in parse_qs(parts.query, strict_parsing=bool(parts.query)).items()}
    secret = query.pop("sentinel_password", None)
    options = {**options, "db": int(query.pop("db", 0)), **_login(login)}
    if query:
        raise ValueError(f"{', '.join(query)}: not known here; db and sentinel_password are")
    asking = {"socket_timeout": ASK_TIMEOUT, "socket_connect_timeout": ASK_TIMEOUT, "password": secret}
    watch = Sentinel(sentinels, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
    return SentinelConnectionPool(master, watch, ssl=parts.scheme == SCHEMES[1], **options)  # type: ignore[no-untyped-call]


async def close(pool: ConnectionPool) -> None:
    """Close the connections to the sentinels, where the pool has any."""
    if isinstance(pool, SentinelConnectionPool):
        for one in pool.sentinel_manager.sentinels:
            await one.aclose()


def _address(host: str) -> tuple[str, int]:
    name, _, port = host.rpartition(":") if host.rpartition(":")[2].isdigit() else (host, "", "")
    if not name:
        raise ValueError(f"{host!r} is no sentinel's host:port")
    return name.strip("[]"), int(port or PORT)


def _login(login: str) -> dict[str, str]:
    user, _, password = login.partition(":")
    return {name: unquote(value) for name, value in (("username", user), ("password", password)) if value}
