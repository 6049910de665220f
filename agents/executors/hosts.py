"""Which hosts may be logged in to, with which keys, and who they must prove to be."""

import errno
import io
import os
import stat
from collections.abc import Sequence
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from paramiko.hostkeys import InvalidHostKey

from agents.domain.errors import BadInput, Refused, SettingsError, ToolError
from agents.domain.hosts import INVENTORY, Host, Inventory, fingerprint, parse
from agents.executors.remote_errors import Fault, failure
from agents.executors.workspace import Workspace

MAX_KEY_BYTES = 64 * 1024
_CLASSES: tuple[tuple[type, type[paramiko.PKey]], ...] = (
    (ed25519.Ed25519PrivateKey, paramiko.Ed25519Key),
    (ec.EllipticCurvePrivateKey, paramiko.ECDSAKey),
    (rsa.RSAPrivateKey, paramiko.RSAKey),
)


class KeyRing:
    """The private keys agents may log in with: those in `directories`, and the `files` themselves.

    Agents write the inventory, so a key's path is theirs to choose: one that isn't among these is refused before it
    is opened, and no content of a file ever reaches a message. A directory agents can write to would hold links of
    theirs to any file: raise SettingsError for one in `workspace`. A single file there (a bootstrap key the
    team made) is opened without following links.
    """

    def __init__(self, directories: Sequence[Path], files: Sequence[Path] = (), *, workspace: Workspace) -> None:
        self._directories = [_plain(path) for path in directories]
        self._files = [_plain(path) for path in files]
        roots = list(workspace.roots.values())
        for directory in self._directories:
            real = directory.resolve()
            if any(real.is_relative_to(root) or root.is_relative_to(real) for root in roots):
                raise SettingsError(f"{directory}: keys can't lie where agents write, nor above it")

    def load(self, host: Host) -> paramiko.PKey:
        """The host's key. Raise ToolError saying what is wrong with it, never what is in it."""
        path = self._allowed(host)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | self._nofollow(path))
        except FileNotFoundError:
            raise failure(Fault.KEY, host.name, f"there is no key {path}") from None
        except OSError as error:
            reason = "it is a link" if error.errno == errno.ELOOP else error.strerror
            raise failure(Fault.KEY, host.name, f"the key {path} can't be read: {reason}") from None
        try:
            ordinary = stat.S_ISREG(os.fstat(fd).st_mode)
            raw = os.read(fd, MAX_KEY_BYTES + 1) if ordinary else b""
        finally:
            os.close(fd)
        if not ordinary:
            raise failure(Fault.KEY, host.name, f"{path} is no file")
        return _key(host, path, raw)

    def _allowed(self, host: Host) -> Path:
        """The path, if it is one of the allowed. A bare name is looked for in the directories."""
        wanted = Path(host.key).expanduser() if host.key.startswith("~/") else Path(host.key)
        if ".." not in wanted.parts:
            if not wanted.is_absolute():
                candidates = [directory / wanted for directory in self._directories]
                return next((path for path in candidates if path.exists()), candidates[0]) if candidates else wanted
            path = _plain(wanted)
            if path in self._files or any(path.is_relative_to(directory) for directory in self._directories):
                return path
        places = ", ".join(str(path) for path in (*self._directories, *self._files)) or "nowhere yet"
        raise Refused(f"{host.name}: key: {host.key[:200]!r} is none of the keys set aside for the team ({places})")

    def _nofollow(self, path: Path) -> int:
        """Links in a key directory are the User's; a key file named on its own may lie where agents write."""
        return 0 if any(path.is_relative_to(directory) for directory in self._directories) else os.O_NOFOLLOW


def _plain(path: Path) -> Path:
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100  resolve() would follow links


def _key(host: Host, path: Path, raw: bytes) -> paramiko.PKey:
    if len(raw) > MAX_KEY_BYTES or b"PRIVATE KEY-----" not in raw:
        raise failure(Fault.KEY, host.name, f"{path} is no private key")
    try:
        try:
            loaded: object = serialization.load_ssh_private_key(raw, None)
        except ValueError:  # not OpenSSH's own format
            loaded = serialization.load_pem_private_key(raw, None)
    except TypeError:
        raise failure(Fault.KEY, host.name, f"{path} has a passphrase; the team needs a key without one") from None
    except (ValueError, UnsupportedAlgorithm):
        raise failure(Fault.KEY, host.name, f"{path} is no private key that can be read") from None
    for kind, made in _CLASSES:
        if isinstance(loaded, kind):
            return made.from_private_key(io.StringIO(raw.decode("ascii", "replace")))
    raise failure(Fault.KEY, host.name, f"{path} is of a kind no longer used: ssh-keygen -t ed25519 makes one")


class Hosts:
    """The inventory as it is now, the keys, and the pinned host keys of `known_hosts` (Ansible's file, too)."""

    def __init__(self, workspace: Workspace, keys: KeyRing, known_hosts: Path) -> None:
        self._workspace = workspace
        self._keys = keys
        self._known_hosts = known_hosts
        self._parsed: tuple[bytes, Inventory] = (b"", Inventory({}))

    def inventory(self) -> Inventory:
        """The inventory. Raise ToolError naming the host and field at fault."""
        raw = b""
        if self._workspace.kind(INVENTORY) is not None:
            raw = self._workspace.read(INVENTORY).required_text().encode()
        if raw != self._parsed[0]:
            try:
                self._parsed = (raw, parse(raw.decode()))
            except BadInput as error:
                raise ToolError(str(error)) from None
        return self._parsed[1]

    def line(self, name: str) -> tuple[Host, ...]:
        """The hosts on the way to `name`, itself last. Raise Refused for one that isn't in the inventory."""
        try:
            return self.inventory().line(name)
        except BadInput as error:
            raise Refused(f"name: {error}") from None

    def key(self, host: Host) -> paramiko.PKey:
        """Its private key."""
        return self._keys.load(host)

    def pinned_kinds(self, host: Host) -> tuple[str, ...]:
        """The kinds of host key that are pinned for it."""
        return tuple(self._pins().lookup(host.pin_name) or ())

    def verify(self, host: Host, key: paramiko.PKey) -> None:
        """Raise Refused unless the host's key is the pinned one."""
        pins = self._pins()
        if pins.check(host.pin_name, key):
            return
        shown = f"{key.get_name()} {fingerprint(key.asbytes())}"
        pinned = pins.lookup(host.pin_name)
        if pinned is None:
            raise failure(
                Fault.HOST_KEY,
                host.name,
                f"{host.pin_name} is unknown; it shows {shown}. The User compares that with the host's own "
                f"(ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub) and then runs ./minilab hosts trust {host.name}",
            )
        before = ", ".join(f"{kind} {fingerprint(old.asbytes())}" for kind, old in pinned.items() if old)
        raise failure(
            Fault.HOST_KEY,
            host.name,
            f"IT HAS CHANGED. {host.pin_name} shows {shown}, pinned is {before}. Somebody may be answering in its "
            "place; nothing was sent. Stop and tell the User; if the host was made anew, the User runs: "
            f"./minilab hosts trust {host.name} --replace",
        )

    def pinned(self, name: str) -> dict[str, str]:
        """Where `name` is, the way there, and every pinned key: what makes it the same host. Raise Refused."""
        pins = self._pins()
        return {
            f"{host.name} {host.shown()}": ", ".join(
                f"{kind} {fingerprint(key.asbytes())}"
                for kind, key in sorted((pins.lookup(host.pin_name) or {}).items())
                if key
            )
            for host in self.line(name)
        }

    def _pins(self) -> paramiko.HostKeys:
        pins = paramiko.HostKeys()
        try:
            pins.load(str(self._known_hosts))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, paramiko.SSHException, InvalidHostKey) as error:
            raise ToolError(f"the pinned host keys can't be read: {type(error).__name__}") from None
        return pins
