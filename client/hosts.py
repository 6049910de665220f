"""`minilab hosts`: which hosts the team knows, and the User's word that a host's key is right."""

import hmac
import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import paramiko
from paramiko.hostkeys import HostKeyEntry, InvalidHostKey
from paramiko.pkey import UnknownKeyType

from agents.domain.errors import BadInput, SessionError
from agents.domain.hosts import INVENTORY, Host, Inventory, fingerprint, parse
from client.text import clean

SECONDS = 5.0
Ask = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Lab:
    """Where inventory, keys and pins are."""

    inventory: Path
    keys: Path
    known_hosts: Path


def lab(home: Path, state_dir: Path, key_dir: Path | None) -> Lab:
    """The files of an installation; agents know the inventory as config/hosts.yaml."""
    keys = (key_dir or state_dir / "keys").expanduser()
    return Lab(home / "generated_iac" / INVENTORY, keys, state_dir / "hosts" / "known_hosts")


def read(place: Lab) -> Inventory:
    """The inventory; none is an empty one. Raise BadInput naming the host and field at fault."""
    try:
        return parse(place.inventory.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Inventory({})
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{place.inventory} can't be read: {error}") from None


def listing(place: Lab) -> str:
    """Every host: how to reach it, its groups, and whether its key is pinned."""
    hosts = read(place).hosts
    if not hosts:
        return f"no hosts yet: write {place.inventory} (docs/manual/how-to/hosts.md says how)"
    pins = pinned(place)
    lines = []
    for host in hosts.values():
        way = f" through {host.jump}" if host.jump else ""
        groups = f" [{', '.join(host.groups)}]" if host.groups else ""
        known = pins.lookup(host.pin_name)
        state = "pinned " + ", ".join(known) if known else f"not trusted: ./minilab hosts trust {host.name}"
        lines.append(f"{host.name:16} {host.shown()}{way}{groups}  key {host.key}  {state}")
    return clean("\n".join(lines))


def trust(place: Lab, name: str, *, wanted: str | None, replace: bool, ask: Ask, say: Callable[[str], None]) -> None:
    """Fetch the host's key, show it, and pin it if the User says so (or it has the `wanted` fingerprint).

    Raise BadInput for a host that isn't in the inventory, a pinned key that differs without `replace`, and another
    fingerprint than the wanted one; SessionError where the host doesn't show a key.
    """
    line = read(place).line(name)
    host, pins = line[-1], pinned(place)
    key = shown_key(line, place, pins)
    found = fingerprint(key.asbytes())
    if pins.check(host.pin_name, key):
        say(f"{host.name} is trusted already: {key.get_name()} {found}")
        return
    before = pins.lookup(host.pin_name)
    if before and not replace:
        old = ", ".join(fingerprint(one.asbytes()) for one in before.values() if one)
        raise BadInput(
            f"{host.name} ({host.pin_name}) shows {found}, pinned is {old}: somebody may be answering in its place. "
            f"If you made the host anew: ./minilab hosts trust {host.name} --replace"
        )
    if wanted is not None and not hmac.compare_digest(wanted.encode(), found.encode()):
        raise BadInput(f"{host.name} shows {found}, which is not {clean(wanted)[:80]}: nothing was pinned")
    say(f"{host.name} ({host.shown()}) shows {key.get_name()} {found}")
    say("compare with: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub, run on the host's own console")
    if wanted is None and not ask("Is it the same?"):
        raise BadInput("nothing was pinned")
    _pin(place.known_hosts, host, key, replace=replace)
    say(f"pinned in {place.known_hosts}")


def shown_key(line: tuple[Host, ...], place: Lab, pins: paramiko.HostKeys, seconds: float = SECONDS) -> paramiko.PKey:
    """The key the last host of the line shows. Those before it are logged in to, so theirs must be pinned."""
    logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)  # what it would print is told as an error
    opened: list[paramiko.Transport] = []
    try:
        for host in line:
            transport = _greeted(host, opened[-1] if opened else None, seconds)
            opened.append(transport)
            key = transport.get_remote_server_key()
            if host is not line[-1]:
                if not pins.check(host.pin_name, key):
                    raise BadInput(f"the way goes through {host.name}: first ./minilab hosts trust {host.name}")
                transport.auth_publickey(host.user, paramiko.PKey.from_path(_key_path(host, place)))
        return key
    except (paramiko.SSHException, EOFError, OSError, ValueError, TypeError, UnknownKeyType) as error:
        detail = clean(str(error))[:200] or type(error).__name__
        raise SessionError(f"{host.name} ({host.shown()}) shows no key: {detail}") from None
    finally:
        for transport in reversed(opened):
            transport.close()


def pinned(place: Lab) -> paramiko.HostKeys:
    """The pinned keys; no file is none. Raise BadInput."""
    pins = paramiko.HostKeys()
    try:
        if place.known_hosts.is_file():
            pins.load(str(place.known_hosts))
    except (OSError, ValueError, paramiko.SSHException, InvalidHostKey) as error:
        raise BadInput(
            f"{place.known_hosts} can't be read ({type(error).__name__}): mend or remove the line"
        ) from None
    return pins


def _greeted(host: Host, through: paramiko.Transport | None, seconds: float) -> paramiko.Transport:
    """A connection after its key exchange, before any login."""
    if through is None:
        sock: socket.socket | paramiko.Channel = socket.create_connection((host.address, host.port), seconds)
    else:
        sock = through.open_channel("direct-tcpip", (host.address, host.port), ("127.0.0.1", 0), timeout=seconds)
    transport = paramiko.Transport(sock)
    transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = seconds
    try:
        transport.start_client(timeout=seconds)
    except (paramiko.SSHException, EOFError):
        transport.close()
        raise
    return transport


def _key_path(host: Host, place: Lab) -> Path:
    path = place.keys / host.key
    if ".." in path.parts or not path.is_relative_to(place.keys):
        raise ValueError(f"its key {host.key} is not in {place.keys}")
    return path


def _pin(path: Path, host: Host, key: paramiko.PKey, *, replace: bool) -> None:
    """Add the key, in one step; with `replace`, instead of those the host had."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    if replace:
        lines = [line for line in lines if not _names(line, host.pin_name)]
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    lines.append(f"{host.pin_name} {key.get_name()} {key.get_base64()}")
    beside.write_text("\n".join([*lines, ""]), encoding="utf-8")
    beside.chmod(0o600)
    beside.replace(path)


def _names(line: str, name: str) -> bool:
    """Whether a known_hosts line is about the host, plainly or hashed."""
    try:
        entry = HostKeyEntry.from_line(line)
    except (paramiko.SSHException, InvalidHostKey):
        return False
    if entry is None or entry.hostnames is None:
        return False
    hashed = paramiko.HostKeys.hash_host
    return any(one == name or (one.startswith("|1|") and hashed(name, one) == one) for one in entry.hostnames)
