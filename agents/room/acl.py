"""Redis' users for a room, one per role and one for the User: the least commands, keys and channels each needs.

Needs Redis ≥ 7 or Valkey: what a script may do is checked per command and key, by selectors. What a user list can't
say (which field of a hash, which message) is the signatures' part.
"""

import hashlib
from collections.abc import Iterable, Mapping

from agents.domain.approval import SECURITY
from agents.domain.message import USER
from agents.room.keys import Keys

_SESSION = "+hello +ping +time +cluster|slots +asking"
_SCRIPTS = "+eval +evalsha"
_READS = "+exists +hget +hgetall +hmget +hexists +hlen +hvals +hkeys +xrange +xrevrange +scard +smembers"
_WRITES = "+hset +hdel +xadd +sadd +rename"
_COUNTS = "+hincrby"
_OWN_INBOX = "+xgroup|create +xreadgroup +xpending +xclaim +xack +xdel"
_WIPES = "+hincrby +del +xtrim +xack +xdel"


def users(room: str, passwords: Mapping[str, str]) -> str:
    """The text of an `aclfile`: `default` off, the named users on, of their passwords the SHA-256 only.

    Raise BadInput for a name that can't be a room's.
    """
    # off, so that nobody can be it; with every right, because Redis before November 2025 replays its append-only file
    # as this user, and silently drops each script's writes that it may not make
    lines = ["user default reset off ~* &* +@all"]
    for name, password in passwords.items():
        mark = hashlib.sha256(password.encode()).hexdigest()
        lines.append(" ".join([f"user {name} reset on #{mark}", *_rules(Keys(room), name)]))
    return "".join(f"{line}\n" for line in lines)


def _rules(keys: Keys, name: str) -> Iterable[str]:
    inboxes, journals = keys.inbox("*"), keys.journal("*")
    account = "{minilab}:budget:*"
    everything = [keys.within("*"), account]
    kept = [*keys.common, keys.presence, keys.hosted, keys.failures]
    kept += [keys.approvals, keys.leases, keys.effects, keys.heads]
    yield f"resetchannels &{keys.channel} {_SESSION}"
    yield f"(&{keys.channel} +subscribe +publish)"
    # a script names all its keys; what it does with each is checked again, command by command
    yield _selector(_SCRIPTS, everything)
    yield _selector(_READS, everything)
    yield _selector("+hset +hdel +hincrby +pexpire +del", [account])
    yield _selector("+expire +pexpire", [journals, keys.failures])
    yield _selector(_WRITES, [*kept, inboxes, journals])
    if name in (SECURITY, USER):
        yield _selector("+hset", [keys.findings])
    if name == USER:
        # STOP, CLEAR and a new mission are the User's
        yield _selector(_WIPES, [keys.within("*")])
    else:
        yield _selector(_COUNTS, [keys.mission, keys.leases])
        yield _selector(_OWN_INBOX, [keys.inbox(name)])


def _selector(commands: str, keys: Iterable[str]) -> str:
    return f"({' '.join(f'~{key}' for key in keys)} {commands})"
