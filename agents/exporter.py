"""`python -m agents.exporter`: a room's state as Prometheus metrics. A composition root of its own; it only reads.

It needs a Redis user that may read the room (the Observer's), and no signing key: what it reads nobody signs.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from agents.domain.budget import Budget
from agents.domain.errors import MiniLabError, SettingsError
from agents.domain.ports import OpenRoom
from agents.domain.redaction import SecretMask
from agents.domain.role import ROLES
from agents.room import open_room
from agents.settings import Settings, load
from agents.telemetry.logs import configure
from agents.telemetry.metrics import Reading, families

log = structlog.get_logger()

PORT = 9464
NAME = "exporter"  # as a consumer it only looks: it never claims
PATIENCE = 2.0  # seconds Redis is given; a scraper's own limit is 10 by default
READ_WITHIN = 4.0  # seconds


class Watcher:
    """Reads a room. It opens it when first asked, and again after a failure: Redis may come and go."""

    def __init__(self, opening: Callable[[], Awaitable[OpenRoom]], budget: Budget) -> None:
        self._opening = opening
        self._budget = budget
        self._opened: OpenRoom | None = None
        self._one_at_a_time = asyncio.Lock()
        self._failing = False

    async def read(self) -> Reading | None:
        """The room now, None where it can't be read; why is logged once."""
        async with self._one_at_a_time:
            try:
                async with asyncio.timeout(READ_WITHIN):
                    self._opened = self._opened or await self._opening()
                    reading = await _look(self._opened, self._budget)
            except (MiniLabError, TimeoutError) as error:
                if not self._failing:
                    log.warning("the room can't be read", error=str(error) or f"no answer within {READ_WITHIN} s")
                self._failing = True
                return None
            if self._failing:
                log.info("the room can be read again")
            self._failing = False
            return reading

    async def aclose(self) -> None:
        """Close the room."""
        if self._opened is not None:
            await self._opened.aclose()


async def _look(opened: OpenRoom, budget: Budget) -> Reading:
    waiting = await asyncio.gather(*(opened.inbox(role, NAME).pending() for role in ROLES))
    return Reading(
        dict(zip(ROLES, waiting, strict=True)),
        await opened.presence.present(),
        await opened.control.read(),
        await opened.governor(budget).spent(),
    )


class RoomCollector(Collector):
    """Asks `read` at each scrape."""

    def __init__(self, room: str, read: Callable[[], Reading | None]) -> None:
        self._room = room
        self._read = read

    def collect(self) -> Iterable[Metric]:
        """The metrics now."""
        return families(self._room, self._read())

    def describe(self) -> Iterable[Metric]:
        """Nothing: else registering would read the room already."""
        return ()


async def serve(room: str, watcher: Watcher, host: str, port: int, stop: asyncio.Event) -> None:
    """Answer scrapes until `stop`. The HTTP server has threads of its own; the room is read in this loop."""
    loop = asyncio.get_running_loop()

    def read() -> Reading | None:
        return asyncio.run_coroutine_threadsafe(watcher.read(), loop).result()

    registry = CollectorRegistry()
    registry.register(RoomCollector(room, read))
    server, thread = start_http_server(port, host, registry)
    log.info("metrics served", host=host, port=server.server_port, room=room)
    try:
        await stop.wait()
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        await asyncio.to_thread(thread.join)
        await watcher.aclose()


async def run(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT. Raise SettingsError without a REDIS_URL."""
    url = settings.room_url
    if url is None:
        raise SettingsError("REDIS_URL: not set; the exporter reads a room that others keep")
    configure(settings.log_level, SecretMask(settings.secrets()))
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    budget = Budget(usd=settings.budget_usd, tokens=settings.budget_tokens)
    watcher = Watcher(lambda: open_room(url, settings.room, patience=PATIENCE), budget)
    await serve(settings.room, watcher, host, port, stop)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 after SIGTERM, 1 where it can't listen, 2 for bad usage or settings."""
    parser = argparse.ArgumentParser(
        prog="python -m agents.exporter", description="A room's state as Prometheus metrics."
    )
    parser.add_argument("--port", type=int, default=PORT, help="default: %(default)s")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        asyncio.run(run(load(), options.host, options.port))
    except MiniLabError as error:
        print(f"minilab: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"minilab: can't serve metrics on {options.host}:{options.port}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
