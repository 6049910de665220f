"""Redis behind Sentinel: `redis+sentinel://[user:password@]host:26379,host2:26379/master[?db=0&sentinel_password=…]`.

`rediss+sentinel://` speaks TLS with the servers and with the sentinels, by the same `ssl_…` options;
`sentinel_ssl=no` leaves the sentinels without.
"""

from typing import Any
from urllib.parse import unquote, urlsplit

from redis.asyncio.connection import AbstractConnection, ConnectionPool, SSLConnection
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool

from agents.room import address

SCHEMES = ("redis+sentinel", "rediss+sentinel")
PORT = 26379
ASK_TIMEOUT = 1.0  # seconds one sentinel is given; then the next is asked


def pool(url: str, options: dict[str, Any]) -> ConnectionPool:
    """Connections to whichever server is master when they are opened. Raise ValueError for a URL that can't be."""
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    sentinels = address.hosts(hosts, PORT, "sentinel")
    master = unquote(parts.path.strip("/"))
    if not master or "/" in master:
        raise ValueError("name the master after the sentinels: …/mymaster")
    query, tls = address.options(parts.query)
    secret = query.pop("sentinel_password", None)
    secure = parts.scheme == SCHEMES[1]
    watched = secure and query.pop("sentinel_ssl", "yes").lower() not in ("no", "0", "false")
    options = {**options, "db": int(query.pop("db", 0)), **address.login(login), **tls}
    if query:
        raise ValueError(f"{', '.join(query)}: not known here; db, sentinel_password and ssl_… are")
    if tls and not secure:
        raise ValueError(f"{', '.join(tls)}: needs {SCHEMES[1]}://")
    if secure:
        address.checked(ConnectionPool(connection_class=SSLConnection, **tls))
    asking = {"socket_timeout": ASK_TIMEOUT, "socket_connect_timeout": ASK_TIMEOUT, "password": secret}
    asking["retry"] = options["retry"]  # the next is asked instead
    if watched:
        asking |= {"ssl": True, **tls}
    watch = Sentinel(sentinels, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
    return SentinelConnectionPool(master, watch, ssl=secure, **options)  # type: ignore[no-untyped-call]


def doors(pool: ConnectionPool) -> list[AbstractConnection]:
    """Connections, not opened, to all who may be at fault when the master can't be reached."""
    if not isinstance(pool, SentinelConnectionPool):
        return [pool.make_connection()]  # type: ignore[no-untyped-call]
    found = [one.connection_pool.make_connection() for one in pool.sentinel_manager.sentinels]
    if pool.master_address:
        master = pool.make_connection()  # type: ignore[no-untyped-call]
        master.host, master.port = pool.master_address
        found.append(master)
    return found


async def close(pool: ConnectionPool) -> None:
    """Close the connections to the sentinels, where the pool has any."""
    if isinstance(pool, SentinelConnectionPool):
        for one in pool.sentinel_manager.sentinels:
            await one.aclose()
