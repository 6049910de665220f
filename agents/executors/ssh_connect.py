"""Opening an SSH connection, host by host along the way, and saying what went wrong. Blocking: for threads."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import paramiko

from agents.domain.hosts import Host
from agents.executors.hosts import Hosts
from agents.executors.remote_errors import Fault, failure

CONNECT_SECONDS = 10.0
HANDSHAKE_SECONDS = 15.0
KEEPALIVE_SECONDS = 15
_RSA = ("rsa-sha2-512", "rsa-sha2-256")


class _Closable(Protocol):
    def close(self) -> Any: ...


class Attempt:
    """A connection being made. `abandon`, from any thread, closes what is open of it and ends it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened: list[_Closable] = []
        self.abandoned = False

    def keep(self, opened: _Closable) -> None:
        """Take what was opened along."""
        with self._lock:
            self._opened.append(opened)
            late = self.abandoned
        if late:
            opened.close()

    def abandon(self) -> None:
        """Close everything."""
        with self._lock:
            self.abandoned = True
            opened = self._opened[::-1]
        for one in opened:
            one.close()


def connect(line: Sequence[Host], hosts: Hosts, attempt: Attempt) -> paramiko.Transport:
    """Log in to each host of the line through the one before. Raise ToolError naming host and fault."""
    keys = [hosts.key(host) for host in line]  # a missing key is told before anything is dialled
    transport: paramiko.Transport | None = None
    for host, key in zip(line, keys, strict=True):
        try:
            sock = _dialled(host) if transport is None else _through(transport, host, line)
            attempt.keep(sock)
            transport = _logged_in(host, sock, key, hosts, attempt)
        except Exception:
            attempt.abandon()  # every way out closes what is half open
            raise
    if transport is None:
        raise ValueError("a line of no hosts")
    return transport


def _dialled(host: Host) -> socket.socket:
    try:
        found = socket.getaddrinfo(host.address, host.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no such name"
        raise failure(Fault.NAME, host.name, f"{host.address} does not resolve: {reason}") from None
    fault: OSError = OSError("no address")
    for *_, address in found:
        try:
            sock = socket.create_connection(address[:2], CONNECT_SECONDS)  # type: ignore[arg-type]
            # a call is a few small packets: none of them is to wait for an acknowledgement
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        except OSError as error:
            fault = error
    if isinstance(fault, TimeoutError):
        detail = f"no answer from {host.address} port {host.port} in {CONNECT_SECONDS:g} s: is the host on?"
        raise failure(Fault.TIMEOUT, host.name, detail)
    reason = fault.strerror or str(fault)
    raise failure(Fault.ROUTE, host.name, f"{host.address} port {host.port}: {reason}")


def _through(transport: paramiko.Transport, host: Host, line: Sequence[Host]) -> paramiko.Channel:
    try:
        return transport.open_channel(
            "direct-tcpip", (host.address, host.port), ("127.0.0.1", 0), timeout=CONNECT_SECONDS
        )
    except paramiko.ChannelException as error:
        detail = f"{host.address} port {host.port}: {error.text} (asked of jump host {host.jump})"
        raise failure(Fault.ROUTE, host.name, detail) from None
    except (paramiko.SSHException, EOFError, OSError) as error:
        detail = f"jump host {host.jump} opened no way on: {_words(error)}"
        raise failure(Fault.ROUTE, host.name, detail) from None


def _logged_in(
    host: Host, sock: socket.socket | paramiko.Channel, key: paramiko.PKey, hosts: Hosts, attempt: Attempt
) -> paramiko.Transport:
    with _faults(host, "key exchange"):
        transport = paramiko.Transport(sock)
        attempt.keep(transport)
        transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = HANDSHAKE_SECONDS
        _prefer(transport, hosts.pinned_kinds(host))
        transport.start_client(timeout=HANDSHAKE_SECONDS)
        if not transport.is_active() or not transport.initial_kex_done:
            raise failure(Fault.TIMEOUT, host.name, f"no key exchange in {HANDSHAKE_SECONDS:g} s")
        shown = transport.get_remote_server_key()
    hosts.verify(host, shown)
    try:
        with _faults(host, "login"):
            transport.auth_publickey(host.user, key)
            if not transport.is_authenticated():
                raise failure(Fault.KEY, host.name, "the host wants more than a key to log in")
    except paramiko.BadAuthenticationType as error:
        ways = ", ".join(error.allowed_types) or "nothing"
        raise failure(Fault.KEY, host.name, f"the host takes no keys for {host.user}, only {ways}") from None
    except paramiko.AuthenticationException:
        detail = f"{host.shown()} refused the key {host.key}: is its public half in authorized_keys of {host.user}?"
        raise failure(Fault.KEY, host.name, detail) from None
    transport.set_keepalive(KEEPALIVE_SECONDS)
    return transport


def _prefer(transport: paramiko.Transport, kinds: Sequence[str]) -> None:
    """Ask for the kinds of key that are pinned first: a host has several, and shows one."""
    options = transport.get_security_options()
    wanted = [name for kind in kinds for name in (_RSA if kind == "ssh-rsa" else (kind,))]
    known = [name for name in wanted if name in options.key_types]
    options.key_types = (*known, *(name for name in options.key_types if name not in known))


@contextmanager
def _faults(host: Host, what: str) -> Iterator[None]:
    """Turn what a broken or strange server causes into an error with its name."""
    try:
        yield
    except paramiko.AuthenticationException:
        raise
    except (paramiko.SSHException, EOFError, OSError, ValueError) as error:
        detail = f"{host.address} port {host.port} broke off during {what}: {_words(error)}"
        raise failure(Fault.ROUTE, host.name, detail) from None


def _words(error: BaseException) -> str:
    return str(error)[:200] or type(error).__name__
