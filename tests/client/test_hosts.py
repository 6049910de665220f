"""`minilab hosts` and the doctor's row, against a real sshd."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agents.domain.errors import BadInput, SessionError
from agents.domain.hosts import fingerprint
from client import hosts
from client.doctor.hosts import hosts as examined
from client.doctor.rows import Level, Subject
from client.hosts import Lab
from tests.support.sshd import Sshd, running_sshd

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def lab(tmp_path: Path, sshd: Sshd) -> Lab:
    made = hosts.lab(tmp_path, tmp_path / ".minilab", sshd.directory)
    made.inventory.parent.mkdir(parents=True)
    inventory(made, sshd, box={})
    return made


def inventory(lab: Lab, sshd: Sshd, **named: dict[str, Any]) -> None:
    server = {"address": sshd.address, "port": sshd.port, "user": sshd.user, "key": "user"}
    lab.inventory.write_text(yaml.safe_dump({"hosts": {name: server | fields for name, fields in named.items()}}))


def trust(lab: Lab, name: str = "box", *, wanted: str | None = None, replace: bool = False, yes: bool = True) -> str:
    said: list[str] = []
    hosts.trust(lab, name, wanted=wanted, replace=replace, ask=lambda _: yes, say=said.append)
    return "\n".join(said)


def subject(lab: Lab) -> Subject:
    return Subject(lab.inventory.parents[2], lab.known_hosts.parents[1], None, "lab", "auto", None, lab.keys)


def test_a_key_is_pinned_when_the_user_says_so(lab: Lab, sshd: Sshd) -> None:
    assert "not trusted: ./minilab hosts trust box" in hosts.listing(lab)
    with pytest.raises(BadInput, match="nothing was pinned"):
        trust(lab, yes=False)
    assert not lab.known_hosts.exists()
    assert "shows ssh-ed25519 SHA256:" in trust(lab)
    assert lab.known_hosts.read_text() == sshd.known_hosts.read_text()
    assert lab.known_hosts.stat().st_mode & 0o777 == 0o600
    assert "pinned ssh-ed25519" in hosts.listing(lab)
    assert "trusted already" in trust(lab, yes=False)


def test_a_fingerprint_instead_of_a_question(lab: Lab) -> None:
    with pytest.raises(BadInput, match="nothing was pinned"):
        trust(lab, wanted="SHA256:another")
    assert not lab.known_hosts.exists()
    found = fingerprint(hosts.shown_key(hosts.read(lab).line("box"), lab, hosts.pinned(lab)).asbytes())
    trust(lab, wanted=found, yes=False)
    assert lab.known_hosts.exists()


def test_a_changed_key_is_pinned_only_as_a_replacement(lab: Lab, sshd: Sshd) -> None:
    lab.known_hosts.parent.mkdir(parents=True, exist_ok=True)
    others = "other.lan ssh-ed25519 " + sshd.known_hosts.read_text().split()[2] + "\n"
    lab.known_hosts.write_text(sshd.wrong_known_hosts.read_text() + others)
    with pytest.raises(BadInput, match="somebody may be answering in its place"):
        trust(lab)
    trust(lab, replace=True)
    assert lab.known_hosts.read_text() == others + sshd.known_hosts.read_text()


def test_through_a_jump_host_that_is_trusted(lab: Lab, sshd: Sshd) -> None:
    inventory(lab, sshd, gate={}, inner={"jump": "gate", "address": "localhost"})
    with pytest.raises(BadInput, match=r"first \./minilab hosts trust gate"):
        trust(lab, "inner")
    trust(lab, "gate")
    trust(lab, "inner")
    assert f"[localhost]:{sshd.port} ssh-ed25519" in lab.known_hosts.read_text()
    inventory(lab, sshd, gate={"key": "../user"}, inner={"jump": "gate", "port": 1})
    with pytest.raises(SessionError, match="is not in"):
        trust(lab, "inner")


def test_a_jump_hosts_key_that_can_not_be_used(lab: Lab, sshd: Sshd, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "a passphrase", "-f", str(keys / "locked")]
    subprocess.run(argv, check=True, capture_output=True)
    place = hosts.Lab(lab.inventory, keys, lab.known_hosts)
    inventory(lab, sshd, gate={"key": "locked"}, inner={"jump": "gate"})
    trust(place, "gate")
    with pytest.raises(SessionError, match="password-protected"):
        trust(place, "inner", replace=True)


def test_nobody_to_trust(lab: Lab, sshd: Sshd) -> None:
    with pytest.raises(BadInput, match="'nas' is not in"):
        trust(lab, "nas")
    inventory(lab, sshd, box={"port": 1})
    with pytest.raises(SessionError, match=r"box .* shows no key: .*refused"):
        trust(lab)
    lab.inventory.write_bytes(b"\xff")
    with pytest.raises(BadInput, match="can't be read"):
        hosts.listing(lab)
    lab.inventory.unlink()
    assert hosts.listing(lab).startswith("no hosts yet: write ")


async def test_the_doctor_tries_each_host(lab: Lab, sshd: Sshd) -> None:
    row = await examined(subject(lab))
    assert (row.level, row.detail) == (Level.WARN, "box: its key is not pinned")
    trust(lab)
    row = await examined(subject(lab))
    assert (row.level, row.detail) == (Level.OK, "1 answering with the pinned key")
    lab.known_hosts.write_text(sshd.wrong_known_hosts.read_text())
    assert (await examined(subject(lab))).detail == "box: ITS KEY HAS CHANGED"
    lab.known_hosts.write_text("box ssh-ed25519 x\n")
    assert "known_hosts can't be read" in (await examined(subject(lab))).detail
    kind, key = sshd.known_hosts.read_text().split()[1:]
    lab.known_hosts.write_text(f"[127.0.0.1]:{sshd.port},[127.0.0.1]:1 {kind} {key}\n")
    inventory(lab, sshd, box={}, down={"port": 1})
    row = await examined(subject(lab))
    assert row.level is Level.WARN
    assert row.detail.startswith("down: ")
    lab.inventory.write_text("hosts: [")
    assert (await examined(subject(lab))).level is Level.WARN
    lab.inventory.unlink()
    assert (await examined(subject(lab))).level is Level.OK
