"""Keys: made once, never over another, read by their owner alone."""

import base64
import json
import shutil
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agents.domain.errors import BadInput, SettingsError
from agents.room.keyring import Keyring, create, fingerprint, read_public

NAMES = ("Coder", "User")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A folder with the keys of two."""
    assert create(tmp_path / "keys", NAMES) == ["Coder", "User"]
    return tmp_path / "keys"


def test_keys_are_their_owners_alone(keys: Path) -> None:
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    assert {stat.S_IMODE((keys / f"{name}.key").stat().st_mode) for name in NAMES} == {0o600}
    assert sorted(json.loads((keys / "public.json").read_text())) == ["Coder", "User"]


def test_what_one_signs_all_can_verify(keys: Path) -> None:
    coder, user = Keyring.load(keys, ["Coder"]), Keyring.load(keys, ["User"])
    sig = coder.sign("Coder", b"words")
    assert user.verify("Coder", b"words", sig)
    for name, payload, wrong in (
        ("Coder", b"Words", sig),
        ("User", b"words", sig),
        ("Nobody", b"words", sig),
        ("Coder", b"words", ""),
        ("Coder", b"words", "ünot base64"),
        ("Coder", b"words", base64.b64encode(b"x" * 64).decode()),
    ):
        assert not user.verify(name, payload, wrong)


def test_only_the_keys_one_asks_for_are_held(keys: Path) -> None:
    coder = Keyring.load(keys, ["Coder"])
    assert coder.held == ("Coder",)
    assert coder.known == ("Coder", "User")
    with pytest.raises(BadInput, match="nothing can be signed as User"):
        coder.sign("User", b"words")
    coder.require(["Coder"])
    with pytest.raises(SettingsError, match="no private key of User here"):
        coder.require(["Coder", "User"])


def test_a_second_time_changes_nothing(keys: Path) -> None:
    before = {file.name: file.read_bytes() for file in keys.iterdir()}
    assert create(keys, NAMES) == []
    assert {file.name: file.read_bytes() for file in keys.iterdir()} == before
    assert create(keys, (*NAMES, "QA")) == ["QA"]
    assert (keys / "User.key").read_bytes() == before["User.key"]


def test_a_key_that_is_on_another_machine_is_not_made_again(keys: Path) -> None:
    (keys / "User.key").unlink()
    before = (keys / "public.json").read_bytes()
    assert create(keys, NAMES) == []
    assert not (keys / "User.key").exists()
    assert (keys / "public.json").read_bytes() == before


def test_a_key_can_be_renewed(keys: Path) -> None:
    before = {name: fingerprint(key) for name, key in read_public(keys).items()}
    assert create(keys, NAMES, ["User"]) == ["User"]
    after = {name: fingerprint(key) for name, key in read_public(keys).items()}
    assert after["Coder"] == before["Coder"]
    assert after["User"] != before["User"]
    Keyring.load(keys, NAMES)


def test_lost_public_keys_are_made_of_the_private_ones(keys: Path) -> None:
    before = (keys / "public.json").read_bytes()
    (keys / "public.json").unlink()
    assert create(keys, NAMES) == []
    assert (keys / "public.json").read_bytes() == before


def test_what_is_wrong_with_keys_is_said(keys: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no keys in .*nowhere.*minilab keys init"):
        Keyring.load(tmp_path / "nowhere", [])
    (keys / "Coder.key").chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        Keyring.load(keys, NAMES)
    (keys / "Coder.key").chmod(0o640)  # a group's, as container secrets are
    Keyring.load(keys, NAMES)
    shutil.copy(keys / "User.key", keys / "Coder.key")
    with pytest.raises(SettingsError, match="isn't the key that"):
        Keyring.load(keys, NAMES)
    (keys / "Coder.key").write_text("no key at all")
    with pytest.raises(SettingsError, match="isn't a private key"):
        Keyring.load(keys, NAMES)
    other = generate_private_key(SECP256R1())
    (keys / "Coder.key").write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(SettingsError, match="isn't an Ed25519 key"):
        Keyring.load(keys, NAMES)
    (keys / "Coder.key").unlink()
    (keys / "Coder.key").mkdir()
    with pytest.raises(SettingsError, match=r"Coder\.key"):
        Keyring.load(keys, NAMES)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"User": 1}', '{"User": "AAAA"}', '{"User": "?"}'])
def test_public_keys_that_are_none_are_refused(keys: Path, text: str) -> None:
    (keys / "public.json").write_text(text)
    with pytest.raises(SettingsError, match=r"public\.json holds no public keys"):
        Keyring.load(keys, NAMES)


def test_a_place_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "public.json").mkdir()
    with pytest.raises(SettingsError, match=r"public\.json: "):
        read_public(tmp_path)
