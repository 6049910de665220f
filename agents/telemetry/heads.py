"""Tells the room where the ledger ends: on the disk first, then in Redis, about once a second."""

import asyncio
import contextlib

import structlog

from agents.domain.errors import RoomError
from agents.domain.ledger import HeadBoard, LedgerHead
from agents.telemetry.ledger import Ledger

log = structlog.get_logger()
PERIOD = 1.0  # seconds between heads; an end cut off within it is not noticed


class HeadPublisher:
    """Publishes the head of `ledger` whenever it moved. Many lines in a period are one write to Redis."""

    def __init__(self, ledger: Ledger, board: HeadBoard, period: float = PERIOD) -> None:
        self._ledger = ledger
        self._board = board
        self._period = period
        self._last: LedgerHead | None = None

    async def run(self) -> None:
        """Until cancelled; what isn't published then is, if Redis listens."""
        try:
            while True:
                await self.publish()
                await asyncio.sleep(self._period)
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._period):
                    await self.publish()

    async def publish(self) -> None:
        """The head, if it moved since. An outage leaves it to the next time."""
        head = await asyncio.to_thread(self._ledger.sync)
        if head is None or head == self._last:
            return
        try:
            await self._board.publish(head)
        except RoomError as error:
            log.warning("the ledger's head isn't in Redis", error=str(error))
            return
        self._last = head
