"""Who is here, and what the team serves."""

import json
from dataclasses import asdict, replace

from agents.domain.mission import HostedApp, Presence
from agents.room.connection import Link
from agents.room.keys import Keys
from agents.room.wire import dumped

_FORGET = 3600 * 1000  # ms after which a silent worker's entry is dropped


class RedisPresence:
    """The `PresenceBoard` port on Redis. Ages are told by the server's clock."""

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys

    async def beat(self, presence: Presence) -> None:
        """See the port."""
        body = dumped(asdict(replace(presence, age=0.0)))
        keys = [*self._keys.common, self._keys.presence]
        await self._link.script("beat", keys, [presence.consumer, body])

    async def leave(self, consumer: str) -> None:
        """See the port."""
        await self._link.command("HDEL", self._keys.presence, consumer)

    async def present(self, max_age: float = 15.0) -> list[Presence]:
        """Workers whose last beat is at most `max_age` seconds old."""
        beats = (
            replace(Presence(**json.loads(body)), age=max(0.0, -since / 1000))
            for since, body in await self._current(self._keys.presence, _FORGET)
        )
        return sorted((beat for beat in beats if beat.age <= max_age), key=lambda beat: (beat.role, beat.consumer))

    async def host(self, app: HostedApp) -> None:
        """See the port."""
        body = f"{round(app.expires * 1000)} {dumped(asdict(app))}"
        await self._link.command("HSET", self._keys.hosted, app.name, body)

    async def unhost(self, name: str) -> None:
        """See the port."""
        await self._link.command("HDEL", self._keys.hosted, name)

    async def hosted(self) -> list[HostedApp]:
        """What is served now, expired ones left out."""
        apps = [HostedApp(**json.loads(body)) for _, body in await self._current(self._keys.hosted, 0)]
        return sorted(apps, key=lambda app: app.name)

    async def _current(self, key: str, past: int) -> list[tuple[int, bytes]]:
        _, flat = await self._link.script("current", [*self._keys.common, key], [past])
        return list(zip(flat[::2], flat[1::2], strict=True))
