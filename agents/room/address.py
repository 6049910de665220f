"""What a REDIS_URL says: several hosts, a login, options of TLS; and how it is shown."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from redis import exceptions as fault
from redis.asyncio.connection import ConnectionPool, SSLConnection, parse_url

HINT = (
    "it looks like redis://host:6379/0 (rediss:// with TLS), redis+sentinel://host:26379/master, "
    "or redis+cluster://host:7000,host2:7001"
)
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


def shown(url: str) -> str:
    """`url` without its passwords."""
    parts = urlsplit(url)
    if parts.password is not None:
        host = parts.netloc.rpartition("@")[2]
        parts = parts._replace(netloc=f"{parts.username or ''}:***@{host}")
    if "password" in parts.query:
        query = [(name, "***" if "password" in name else value) for name, value in parse_qsl(parts.query)]
        parts = parts._replace(query=urlencode(query, safe="/*"))
    return urlunsplit(parts)


def hosts(text: str, port: int, what: str) -> list[tuple[str, int]]:
    """The hosts of `host:port,[v6]:port,host`. Raise ValueError."""
    return [_address(one, port, what) for one in text.split(",")]


def _address(host: str, usual: int, what: str) -> tuple[str, int]:
    name, _, port = host.rpartition(":") if host.rpartition(":")[2].isdigit() else (host, "", "")
    if not name:
        raise ValueError(f"{host!r} is no {what}'s host:port")
    return name.strip("[]"), int(port or usual)


def login(text: str) -> dict[str, str]:
    """User and password of `user:password`, as the library names them."""
    user, _, password = text.partition(":")
    return {name: unquote(value) for name, value in (("username", user), ("password", password)) if value}


def options(query: str) -> tuple[dict[str, str], dict[str, Any]]:
    """The options of a URL, and those of TLS among them, read as the library reads them. Raise ValueError."""
    given = {name: values[-1] for name, values in parse_qs(query, strict_parsing=bool(query)).items()}
    tls = {name: given.pop(name) for name in list(given) if name.startswith("ssl_")}
    return given, {name: value for name, value in parse_url(f"rediss:///?{urlencode(tls)}").items() if name in tls}


def checked(pool: ConnectionPool) -> ConnectionPool:
    """`pool`, if connections can be made as it says. Raise ValueError: a missing file doesn't come by waiting."""
    try:
        connection = pool.make_connection()  # type: ignore[no-untyped-call]
    except TypeError as error:
        name = re.search(r"argument '(\w+)'", str(error))
        tls = name and name[1].startswith("ssl_") and not issubclass(pool.connection_class, SSLConnection)
        hint = "needs rediss://" if tls else "not known"
        raise ValueError(f"{name[1]}: {hint}" if name else str(error)) from None
    except fault.RedisError as error:
        raise ValueError(str(error)) from None
    if isinstance(connection, SSLConnection):
        _readable(pool.connection_kwargs)
        try:
            connection.ssl_context.get()
        except (OSError, ValueError) as error:
            raise ValueError(f"the files of TLS don't fit together ({error})") from None
    return pool


def _readable(given: dict[str, Any]) -> None:
    for name in _FILES:
        if file := given.get(name):
            try:
                with Path(file).open("rb"):
                    continue
            except OSError as error:
                raise ValueError(f"{name}={file}: {error.strerror}") from None
