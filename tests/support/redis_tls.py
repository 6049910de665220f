"""Certificates of a test's own authority, and a redis-server that speaks TLS by them."""

import contextlib
import datetime
import ipaddress
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from redis import Redis
from redis.exceptions import RedisError

from tests.support.redis_server import program

LOOPBACK = ipaddress.ip_address("127.0.0.1")


def free_port() -> int:
    """A port nobody listens at; low enough for a cluster's bus, 10,000 above it."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < 55000:
            return port


class Authority:
    """Signs certificates, in files of `folder`."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self.file = folder / f"{name}.crt"
        self._write(self.file, self._signed(self._name, self._key, True, days=2))

    def certificate(self, name: str, *hosts: str, days: int = 2) -> tuple[Path, Path]:
        """The files of a certificate and its key; for the loopback address unless `hosts` names others."""
        key = ec.generate_private_key(ec.SECP256R1())
        file, secret = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        self._write(file, self._signed(_name(name), key, False, days, hosts))
        form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
        return file, secret

    def query(self, own: tuple[Path, Path] | None = None) -> str:
        """What a URL says to trust this authority, and to show a certificate."""
        shown = f"&ssl_certfile={own[0]}&ssl_keyfile={own[1]}" if own else ""
        return f"ssl_ca_certs={self.file}{shown}"

    def _signed(
        self,
        name: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        authority: bool,
        days: int,
        hosts: tuple[str, ...] = (),
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        names: list[x509.GeneralName] = [*map(x509.DNSName, hosts)] or [x509.IPAddress(LOOPBACK)]
        made = x509.CertificateBuilder().subject_name(name).issuer_name(self._name).public_key(key.public_key())
        made = made.serial_number(x509.random_serial_number())
        made = made.not_valid_before(now - datetime.timedelta(3)).not_valid_after(now + datetime.timedelta(days))
        made = made.add_extension(x509.BasicConstraints(authority, None), critical=True)
        return made.add_extension(x509.SubjectAlternativeName(names), critical=False).sign(self._key, hashes.SHA256())

    @staticmethod
    def _write(file: Path, certificate: x509.Certificate) -> None:
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class TlsServer:
    """A redis-server at a TLS port and a plain one. `clients`: whether it wants a client's certificate."""

    def __init__(self, *, clients: bool = True, hosts: tuple[str, ...] = (), days: int = 2) -> None:
        path = program("redis-server")
        if path is None:
            pytest.skip("redis-server isn't installed")
        self.folder = Path(tempfile.mkdtemp(prefix="tls-", dir="/tmp"))
        self.authority = Authority(self.folder)
        self.own = self.authority.certificate("client")
        self.port, self.plain = free_port(), free_port()
        file, key = self.authority.certificate("server", *hosts, days=days)
        tls = [
            "--tls-cert-file",
            str(file),
            "--tls-key-file",
            str(key),
            "--tls-ca-cert-file",
            str(self.authority.file),
        ]
        tls += ["--tls-auth-clients", "yes" if clients else "no", "--dir", str(self.folder)]
        argv = [str(path), "--port", str(self.plain), "--tls-port", str(self.port), "--save", "", *tls]
        self._sentinel = [str(path), "", "--sentinel", "--tls-replication", "yes", *tls]
        self._process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while not self._answers():
            if time.monotonic() > end or self._process.poll() is not None:
                self.close()
                pytest.skip("redis-server can't do TLS here")
            time.sleep(0.02)

    @property
    def url(self) -> str:
        """Its address, with all that is needed."""
        return self.at(f"rediss://127.0.0.1:{self.port}/0")

    def at(self, url: str) -> str:
        """`url`, with the options that fit this server."""
        return f"{url}?{self.authority.query(self.own)}"

    @contextlib.contextmanager
    def watched(self) -> Iterator[str]:
        """A sentinel that speaks TLS, and nothing else, watches it as `lab`; its host:port."""
        port, settings = free_port(), self.folder / "sentinel.conf"
        settings.write_text(f"port 0\ntls-port {port}\nsentinel monitor lab 127.0.0.1 {self.port} 1\n")
        self._sentinel[1] = str(settings)
        child = subprocess.Popen(self._sentinel, stdout=subprocess.DEVNULL)
        try:
            yield f"127.0.0.1:{port}"
        finally:
            child.kill()
            child.wait()

    def close(self) -> None:
        """End it for good."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        with contextlib.suppress(RedisError), Redis(port=self.plain, protocol=2) as client:
            return bool(client.ping())
        return False


def running() -> Iterator[TlsServer]:
    """A running server, ended after use."""
    server = TlsServer()
    yield server
    server.close()
