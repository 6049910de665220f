"""Local stand-ins for the base images, and a local mirror of the programs the build downloads: no registry is asked.

Both images are Debian's own packages in a fresh root; they carry the tags of the images they stand for, under a name
of their own, and are kept from run to run.
"""

import functools
import hashlib
import http.server
import ipaddress
import os
import shutil
import subprocess
import tempfile
import threading
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SUITE = "bookworm"
DEBIAN = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
PYTHON = "minilab-test/python:3.12-slim-bookworm"
REDIS = "minilab-test/redis:7.4-bookworm"
TERRAFORM, KUBECTL = "1.11.4", "1.34.0"
_CERTIFICATES = Path("/usr/local/share/ca-certificates")  # a proxy's, on machines that need one
_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


def lacking() -> str:
    """What this machine lacks to make them; empty: nothing."""
    for name in ("docker", "debootstrap", "terraform", "kubectl"):
        if not shutil.which(name):
            return f"{name} is not installed"
    if os.getuid() != 0:
        return "debootstrap needs root"
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        return "no docker engine runs"
    return ""


def make() -> None:
    """Make the images that are missing."""
    missing = [name for name in (PYTHON, REDIS) if not _is_there(name)]
    if not missing:
        return
    with tempfile.TemporaryDirectory(prefix="minilab-base-") as folder:
        root = Path(folder) / "root"
        _run(["debootstrap", "--variant=minbase", "--include=ca-certificates", SUITE, str(root), DEBIAN])
        shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
        for file in _CERTIFICATES.glob("*.crt"):
            shutil.copy(file, root / "usr/local/share/ca-certificates")
        (root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
        (root / "usr/sbin/policy-rc.d").chmod(0o755)
        _inside(root, "update-ca-certificates")
        if REDIS in missing:
            redis = Path(folder) / "redis"
            _run(["cp", "-a", str(root), str(redis)])
            _inside(
                redis, "groupadd -g 999 redis; useradd -u 999 -g 999 -M redis; install -d -o redis -g redis /data"
            )
            _install(redis, "redis-server")
            _import(redis, REDIS)
        if PYTHON in missing:
            _install(root, "python3 python3-venv")
            _import(root, PYTHON, f"SSL_CERT_FILE={_BUNDLE}", f"PIP_CERT={_BUNDLE}")


@dataclass(frozen=True)
class Mirror:
    """Where the programs are served, and what their checksums are: build arguments."""

    arguments: dict[str, str]


@contextmanager
def mirror(folder: Path) -> Iterator[Mirror]:
    """Serve this machine's terraform and kubectl to the engine's builds, laid out as their publishers do."""
    archive = folder / f"terraform/{TERRAFORM}/terraform_{TERRAFORM}_linux_amd64.zip"
    archive.parent.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
        out.write(_program("terraform"), "terraform")
    kubectl = folder / f"kubectl/v{KUBECTL}/bin/linux/amd64/kubectl"
    kubectl.parent.mkdir(parents=True)
    shutil.copy(_program("kubectl"), kubectl)
    # the gateway of the engine's own network: from there the builds reach it, and nobody outside does
    subnet = _run(["docker", "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Subnet}}"]).strip()
    gateway = str(next(ipaddress.ip_network(subnet).hosts()))
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer((gateway, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        base = f"http://{gateway}:{server.server_address[1]}"
        try:
            yield Mirror(
                {
                    "TERRAFORM_URL": f"{base}/terraform",
                    "TERRAFORM_SHA256_AMD64": _sha256(archive),
                    "KUBECTL_URL": f"{base}/kubectl",
                    "KUBECTL_SHA256_AMD64": _sha256(kubectl),
                }
            )
        finally:
            server.shutdown()
            thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _program(name: str) -> str:
    found = shutil.which(name)
    assert found, name
    return os.path.realpath(found)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _is_there(name: str) -> bool:
    return subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False).returncode == 0


def _inside(root: Path, script: str) -> None:
    _run(["chroot", str(root), "sh", "-euc", script])


def _install(root: Path, packages: str) -> None:
    _inside(root, f"apt-get update -qq; apt-get install -y -qq --no-install-recommends {packages}; apt-get clean")


def _import(root: Path, name: str, *environment: str) -> None:
    changes = [part for variable in environment for part in ("--change", f"ENV {variable}")]
    with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as packed:
        subprocess.run(
            ["docker", "import", *changes, "-", name], stdin=packed.stdout, check=True, capture_output=True
        )
    assert packed.returncode == 0


def _run(argv: Sequence[str]) -> str:
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    )
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stdout[-1000:]} {done.stderr[-1000:]}"
    return done.stdout
