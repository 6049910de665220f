"""Opening a room on Redis."""

import re

from agents.domain.budget import Budget
from agents.domain.errors import SettingsError
from agents.domain.message import new_id
from agents.domain.ports import ControlBoard, Inbox, Journal
from agents.room.approvals import Approvals
from agents.room.connection import Link
from agents.room.control import RedisControl
from agents.room.effects import RedisEffects
from agents.room.failures import RedisFailures
from agents.room.findings import Findings
from agents.room.governor import RedisGovernor
from agents.room.heads import RedisHeads
from agents.room.inbox import RedisInbox
from agents.room.journal import RedisJournal
from agents.room.keyring import Keyring
from agents.room.keys import Keys
from agents.room.leases import RedisLeases
from agents.room.mission import RedisMission
from agents.room.presence import RedisPresence
from agents.room.room import RedisRoom, Retention
from agents.room.sealed import Followed, SealedControl, SealedInbox, SealedJournal, SealedRoom
from agents.room.shelf import RedisShelf
from agents.room.signatures import Signatures

OLDEST = (6, 2)


class RedisOpenRoom:
    """The `OpenRoom` port on Redis: its parts share one link."""

    def __init__(
        self, link: Link, keys: Keys, lease: float, retention: Retention, keyring: Keyring | None = None
    ) -> None:
        self._link = link
        self._keys = keys
        self._lease = lease
        self._life = new_id()
        self.signatures = Signatures(keys.channel, keyring)
        room = RedisRoom(link, keys, retention)
        self.mission = RedisMission(link, keys)
        self.presence = RedisPresence(link, keys)
        approvals = RedisShelf(link, keys, keys.approvals, retention)
        self.approvals = Approvals(approvals, keys.channel, room.follow, self.signatures)
        self.findings = Findings(RedisShelf(link, keys, keys.findings, retention), self.signatures)
        self.leases = RedisLeases(link, keys)
        self.heads = RedisHeads(link, keys)
        self._journal = RedisJournal(link, keys, retention, RedisEffects(link, keys, self.approvals, retention))
        self._sealed = keyring is not None
        self.room: Followed = room
        self.control: ControlBoard = RedisControl(link, keys, retention)
        self.journal: Journal = self._journal
        if self._sealed:
            self.room = SealedRoom(room, self.signatures)
            self.control = SealedControl(self.control, self.signatures)
            self.journal = SealedJournal(self._journal, self.signatures)

    def inbox(self, role: str, consumer: str) -> Inbox:
        """The inbox of `role` as `consumer` sees it."""
        inbox = RedisInbox(self._link, self._keys, self._journal, role, consumer, self._life, self._lease)
        return SealedInbox(inbox, self._journal, role, self.signatures) if self._sealed else inbox

    def governor(self, budget: Budget | None = None) -> RedisGovernor:
        """The room's governor."""
        return RedisGovernor(self._link, self._keys, budget)

    def failures(self, window: float) -> RedisFailures:
        """How calls failed in this room in the last `window` seconds."""
        return RedisFailures(self._link, self._keys, window)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._link.aclose()


async def open_room(
    url: str,
    name: str,
    *,
    patience: float | None = None,
    lease: float = 15.0,
    retention: Retention | None = None,
    keyring: Keyring | None = None,
) -> RedisOpenRoom:
    """Open the room `name` on the Redis at `url` (redis://, rediss://, unix:// or redis+sentinel://).

    Every call waits an outage out: `patience` seconds and then raises RoomUnavailable, or for ever (None).
    `lease`: seconds a silent worker keeps its turn. With a `keyring` all is signed and nothing unsigned believed;
    without, the room is good for facts that nobody signs (presence, state), and for tests. Raise BadInput for a name
    or URL that can't be, SettingsError for a server older than 6.2.
    """
    keys = Keys(name)
    link = Link(url, patience)
    try:
        require_recent(await link.version(), link.url)
    except BaseException:
        await link.aclose()
        raise
    return RedisOpenRoom(link, keys, lease, retention or Retention(), keyring)


def require_recent(version: str, url: str) -> None:
    """Raise SettingsError for a server that lacks what the scripts use."""
    if version and tuple(map(int, re.findall(r"\d+", version))) < OLDEST:
        raise SettingsError(f"REDIS_URL {url}: Redis {version} is too old; use Redis ≥ 6.2 or Valkey ≥ 7.2")
