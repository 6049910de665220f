"""`minilab keys`: make the keys that messages and decisions are signed with, show them, write Redis' users."""

import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from agents.domain.errors import SettingsError
from agents.domain.message import USER
from agents.domain.role import ROLES
from agents.room import acl
from agents.room.keyring import create, fingerprint, read_public

EVERYBODY = (*ROLES, USER)


def init(directory: Path, renew: Sequence[str]) -> int:
    """Make what is missing, and the keys of `renew` anew. Exit code."""
    if unknown := [name for name in renew if name not in EVERYBODY]:
        print(f"minilab: no key of {', '.join(unknown)}; there are {', '.join(EVERYBODY)}", file=sys.stderr)
        return 2
    made = create(directory, EVERYBODY, renew)
    print(f"made in {directory}: {', '.join(made)}" if made else f"nothing to make: the keys in {directory} stay")
    if renew:
        print(
            "copy public.json to every machine, start the agents again, and /clear the room: what was signed is void"
        )
    return 0


def show(directory: Path) -> int:
    """Whose keys are here, and the public ones in short. Exit code: 1 without any."""
    public = read_public(directory)
    for name, key in public.items():
        held = "private and public" if (directory / f"{name}.key").exists() else "public"
        print(f"{name:10} {fingerprint(key)}  {held}")
    if not public:
        print(f"no keys in {directory}: ./minilab keys init, or ./minilab up, makes them", file=sys.stderr)
    return 0 if public else 1


def write_acl(directory: Path, room: str, target: Path | None) -> int:
    """Redis' users: a password each, kept beside the keys. To `target`, or standard output. Exit code."""
    try:
        text = acl_text(directory, room)
        if target is None:
            print(text, end="")
            return 0
        target.touch(mode=0o600)
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{error.filename}: {error.strerror}") from None
    print(
        f"wrote {target}: start Redis with aclfile {target}, and give each process its own\n"
        f"REDIS_URL=redis://<Name>:<password>@host:6379/0 with the password in {directory}/<Name>.redis-password",
        file=sys.stderr,
    )
    return 0


def acl_text(directory: Path, room: str) -> str:
    """Redis' users, with the passwords that lie in `directory`; those that are missing are made. Raise OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return acl.users(room, {name: _password(directory / f"{name}.redis-password") for name in EVERYBODY})


def _password(file: Path) -> str:
    """The password in `file`, made if there is none."""
    if not file.exists():
        file.touch(mode=0o600, exist_ok=False)
        file.write_text(secrets.token_urlsafe(24) + "\n", encoding="utf-8")
    return file.read_text(encoding="utf-8").strip()
