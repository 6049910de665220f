"""Why TLS fails with a server: the faults that waiting doesn't mend, each with what mends it."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import suppress

from redis import exceptions as fault
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection

PROBE_SECONDS = 1.0  # an examination may take
LAST_WORD = 0.3  # seconds in which a server that wants another certificate says so after the handshake
_ANSWERED = (fault.AuthenticationError, fault.AuthorizationError, fault.BusyLoadingError)

_PLAIN, _SECURE = (b"+", b"-"), (b"\x15", b"\x16")  # how an answer begins

_NO_TLS = "there is no TLS at that port: use redis:// instead of rediss://, or its TLS port"
_TLS = "that port speaks TLS: use rediss:// instead of redis://, and name the authority with ?ssl_ca_certs=/path"
_CLIENT = "it wants a client's certificate: add ssl_certfile=/path and ssl_keyfile=/path to the URL"
_OURS = "it doesn't accept our certificate: ssl_certfile has to be one that the server's authority signed"

# the first that is in the error's text
_FIXES = (
    ("mismatch", "its certificate is for another host: use a name that is in it, or mend the certificate"),
    ("certificate has expired", "its certificate has expired: renew it, or set this machine's clock"),
    ("not yet valid", "its certificate isn't valid yet: set this machine's clock, or the server's"),
    ("CERTIFICATE_VERIFY_FAILED", "who signed its certificate is unknown: name it with ssl_ca_certs=/path"),
    ("ALERT_CERTIFICATE_REQUIRED", _CLIENT),
    ("ALERT_HANDSHAKE_FAILURE", f"no common ground; perhaps {_CLIENT}"),
    ("ALERT_UNKNOWN_CA", _OURS),
    ("ALERT_BAD_CERTIFICATE", _OURS),
    ("ALERT_CERTIFICATE", _OURS),
    ("ALERT_UNSUPPORTED_CERTIFICATE", _OURS),
    ("ALERT_DECRYPT_ERROR", _OURS),
    ("ALERT_PROTOCOL_VERSION", "it wants another version of TLS: see ssl_min_version and the server's tls-protocols"),
    ("UNSUPPORTED_PROTOCOL", "it speaks an old TLS only: raise the server's tls-protocols"),
    ("WRONG_VERSION_NUMBER", _NO_TLS),
)  # fmt: skip


class Misfit(Exception):
    """TLS can't work like this; the text names what mends it."""


def misfit(error: BaseException) -> Misfit | None:
    """What an error says about TLS, if it is a fault that stays."""
    for one in _chain(error):
        if isinstance(one, ssl.SSLError):
            for sign, fix in _FIXES:
                if sign in str(one):
                    return Misfit(f"{fix} ({' '.join(str(one).split())[:160]})")
    return None


async def examined(door: AbstractConnection, error: BaseException) -> Misfit | None:
    """Why the server behind `door` hung up or kept silent: the fault itself is often lost with the line."""
    ours = isinstance(door, SSLConnection)
    silent = isinstance(error, fault.TimeoutError | TimeoutError)
    if not isinstance(door, Connection) or isinstance(error, _ANSWERED):
        return None
    if not (isinstance(error, fault.ConnectionError) or (silent and ours)):
        return None
    if any(isinstance(one, ConnectionRefusedError) for one in _chain(error)):
        return None
    with suppress(OSError, EOFError, fault.RedisError):
        async with asyncio.timeout(PROBE_SECONDS):
            if await _said(door, b"PING\r\n") in _PLAIN:
                return Misfit(_NO_TLS) if ours else None
            if isinstance(door, SSLConnection):
                return await _handshaken(door)
            if await _said(door, _hello()) in _SECURE:
                return Misfit(_TLS)
    return None


async def hang_up(connection: AbstractConnection) -> None:
    """Close without a farewell: TLS would wait half a minute for the answer of one who is gone."""
    writer = connection._writer
    if writer is not None and isinstance(connection, SSLConnection):
        writer.transport.abort()
    await connection.disconnect(nowait=True)


async def _handshaken(door: SSLConnection) -> Misfit | None:
    try:
        reader, writer = await asyncio.open_connection(door.host, door.port, ssl=door.ssl_context.get())
    except ssl.SSLError as error:
        return misfit(error)
    try:
        # TLS 1.3: a server refuses a client's certificate after the handshake
        async with asyncio.timeout(LAST_WORD):
            await reader.read(1)
    except ssl.SSLError as error:
        return misfit(error)
    finally:
        writer.transport.abort()
    return None


async def _said(door: Connection, words: bytes) -> bytes:
    """The first byte of the answer; none from one who hangs up. Nothing secret is sent."""
    reader, writer = await asyncio.open_connection(door.host, door.port)
    try:
        writer.write(words)
        return await reader.read(1)
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


def _hello() -> bytes:
    context = ssl.create_default_context()
    coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(coming, going, server_hostname="redis").do_handshake()
    return going.read()


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
