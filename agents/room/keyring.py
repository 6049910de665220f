"""Ed25519 keys: one per role and one for the User. Files: `<Name>.key` (PEM, its owner's alone) and `public.json`."""

import base64
import binascii
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from agents.domain.errors import BadInput, SettingsError

PUBLIC = "public.json"
_FOREIGN = 0o007  # a group may read: container secrets are often given so
HOW = (
    "run ./minilab keys init on one machine, then copy public.json to every other one, and to each only the .key "
    "files of those who work there (User.key to yours); see docs/manual/how-to/keys.md"
)


class Keyring:
    """The private keys held here and everybody's public ones."""

    def __init__(self, private: Mapping[str, Ed25519PrivateKey], public: Mapping[str, Ed25519PublicKey]) -> None:
        self._private = dict(private)
        self._public = dict(public)

    @classmethod
    def load(cls, directory: Path, names: Iterable[str]) -> Self:
        """The public keys of `directory`, and of the private ones those of `names` that are there.

        Raise SettingsError for none at all, and for a key that others may read, or that isn't the public one's.
        """
        public = read_public(directory)
        if not public:
            raise SettingsError(f"no keys in {directory}: {HOW}")
        private = {}
        for name in names:
            if (file := directory / f"{name}.key").exists():
                private[name] = _read_private(file)
                if _encoded(private[name].public_key()) != _encoded(public.get(name)):
                    raise SettingsError(f"{file} isn't the key that {directory / PUBLIC} has for {name}: {HOW}")
        return cls(private, public)

    @property
    def held(self) -> tuple[str, ...]:
        """Whose private keys are here."""
        return tuple(self._private)

    @property
    def known(self) -> tuple[str, ...]:
        """Whose public keys are here."""
        return tuple(self._public)

    def require(self, names: Iterable[str]) -> Self:
        """This. Raise SettingsError unless the private keys of all `names` are here."""
        if missing := [name for name in names if name not in self._private]:
            raise SettingsError(f"no private key of {', '.join(missing)} here: {HOW}")
        return self

    def sign(self, name: str, payload: bytes) -> str:
        """The signature by `name`, base64. Raise BadInput where that key isn't held here."""
        key = self._private.get(name)
        if key is None:
            raise BadInput(f"nothing can be signed as {name} here, its key isn't in .minilab/keys: {HOW}")
        return base64.b64encode(key.sign(payload)).decode()

    def verify(self, name: str, payload: bytes, sig: str) -> bool:
        """Whether `name` signed it."""
        key = self._public.get(name)
        if key is None:
            return False
        try:
            key.verify(base64.b64decode(sig, validate=True), payload)
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True


def create(directory: Path, names: Iterable[str], renew: Iterable[str] = ()) -> list[str]:
    """Make the keys that are missing, and those to `renew` anew; return whose.

    A name in `public.json` without a private key here has it on another machine, and keeps it. Raise SettingsError.
    """
    try:
        return _create(directory, tuple(names), renew)
    except OSError as error:
        raise SettingsError(f"{error.filename}: {error.strerror}: no keys can be made there") from None


def _create(directory: Path, names: Iterable[str], renew: Iterable[str]) -> list[str]:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    public = {name: _encoded(key) for name, key in read_public(directory).items()}
    for name in renew:
        (directory / f"{name}.key").unlink(missing_ok=True)
        public.pop(name, None)
    made = []
    for name in names:
        file = directory / f"{name}.key"
        if name in public and not file.exists():
            continue
        if not file.exists():
            _write(file, _pem(Ed25519PrivateKey.generate()))
            made.append(name)
        public[name] = _encoded(_read_private(file).public_key())
    fresh = directory / f"{PUBLIC}.new"
    fresh.write_text(json.dumps(public, indent=1) + "\n", encoding="utf-8")
    fresh.replace(directory / PUBLIC)
    return made


def read_public(directory: Path) -> dict[str, Ed25519PublicKey]:
    """The public keys by name; empty where there is no file. Raise SettingsError."""
    file = directory / PUBLIC
    try:
        texts = json.loads(file.read_text(encoding="utf-8"))
        return {
            name: Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
            for name, text in texts.items()
        }
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror}") from None
    except (ValueError, TypeError, AttributeError, binascii.Error) as error:
        raise SettingsError(f"{file} holds no public keys ({error}): {HOW}") from None


def fingerprint(key: Ed25519PublicKey) -> str:
    """The key in short, for people to compare."""
    return _encoded(key)[:16]


def _read_private(file: Path) -> Ed25519PrivateKey:
    try:
        if file.stat().st_mode & _FOREIGN:
            raise SettingsError(f"{file} can be read by everybody on this machine: chmod 600 it")
        key = load_pem_private_key(file.read_bytes(), None)
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror}") from None
    except (ValueError, TypeError):
        raise SettingsError(f"{file} isn't a private key in PEM: {HOW}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(f"{file} isn't an Ed25519 key: {HOW}")
    return key


def _pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _encoded(key: Ed25519PublicKey | None) -> str:
    return base64.b64encode(key.public_bytes_raw()).decode() if key else ""


def _write(file: Path, data: bytes) -> None:
    # O_EXCL: never over somebody's key, not even in a race
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(data)
