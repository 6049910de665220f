"""A real OpenSSH server on a loopback port of its own, with its own host key and user key."""

import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

START_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Sshd:
    """Where it listens, who may log in with which key, and the host keys file that pins it."""

    address: str
    port: int
    user: str
    key: Path  # the private key that is let in
    stranger_key: Path  # a private key that isn't
    known_hosts: Path  # pins the server's host key
    wrong_known_hosts: Path  # pins another key for the same address: the host key "changed"
    directory: Path

    @property
    def inventory_host(self) -> str:
        """The server as a host line of an INI inventory."""
        return (
            f"box ansible_host={self.address} ansible_port={self.port} ansible_user={self.user} "
            f"ansible_ssh_private_key_file={self.key}"
        )


@contextmanager
def running_sshd(directory: Path) -> Iterator[Sshd]:
    """Start an sshd whose files all lie in `directory`; end it and its sessions afterwards. Skip without sshd."""
    program = shutil.which("sshd") or shutil.which("/usr/sbin/sshd")
    if program is None or shutil.which("ssh-keygen") is None:
        pytest.skip("sshd is not installed (package openssh-server)")
    for key in ("host", "other_host", "user", "stranger"):
        _keygen(directory / key)
    (directory / "authorized_keys").write_bytes((directory / "user.pub").read_bytes())
    port = _free_port()
    (directory / "sshd_config").write_text(_config(directory, port))
    # as root, sshd insists on its separation directory, which only the service's start script makes
    separation = Path("/run/sshd")
    if getpass.getuser() == "root" and not separation.exists():
        separation.mkdir(mode=0o755)
    log = directory / "sshd.log"
    argv = [program, "-D", "-e", "-f", str(directory / "sshd_config")]
    with log.open("wb") as output:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        _wait(process, port, log)
        yield Sshd(
            address="127.0.0.1",
            port=port,
            user=getpass.getuser(),
            key=directory / "user",
            stranger_key=directory / "stranger",
            known_hosts=_pinned(directory, "known_hosts", "host.pub", port),
            wrong_known_hosts=_pinned(directory, "wrong_known_hosts", "other_host.pub", port),
            directory=directory,
        )
    finally:
        process.terminate()
        process.wait(10)


def _config(directory: Path, port: int) -> str:
    options = {
        "ListenAddress": "127.0.0.1",
        "Port": port,
        "HostKey": directory / "host",
        "AuthorizedKeysFile": directory / "authorized_keys",
        "PidFile": directory / "sshd.pid",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "StrictModes": "no",  # the directory's parents may be writable to others
        "UsePAM": "no",
        "Subsystem": "sftp internal-sftp",
        "LogLevel": "VERBOSE",
        "SetEnv": "SHLVL=3",  # or bash would take it for a login and run this machine's ~/.bashrc
        "MaxStartups": "100",
    }
    return "".join(f"{name} {value}\n" for name, value in options.items())


def _keygen(path: Path) -> None:
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)]
    subprocess.run(argv, check=True, capture_output=True)


def _pinned(directory: Path, name: str, public_key: str, port: int) -> Path:
    kind, key = (directory / public_key).read_text().split()[:2]
    path = directory / name
    path.write_text(f"[127.0.0.1]:{port} {kind} {key}\n")
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"sshd did not start: {log.read_text()[-2000:]}") from None
            time.sleep(0.05)
