"""The ledger's end is told to the room: on its own, once, and again after an outage."""

import asyncio
from pathlib import Path

import pytest

from agents.domain.errors import RoomUnavailable
from agents.domain.ledger import LedgerHead
from agents.domain.redaction import SecretMask
from agents.telemetry.heads import HeadPublisher
from agents.telemetry.ledger import Ledger


class Board:
    """A head board that can be out of reach."""

    def __init__(self) -> None:
        self.out = False
        self.published: list[LedgerHead] = []

    async def publish(self, head: LedgerHead) -> None:
        """Keep the head."""
        if self.out:
            raise RoomUnavailable("nobody answers")
        self.published.append(head)

    async def heads(self) -> list[LedgerHead]:
        """The heads."""
        return self.published


def kept(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path, "room", SecretMask(), pytest.fail)


async def test_many_lines_are_one_head_and_the_last_is_published_at_the_end(tmp_path: Path) -> None:
    ledger, board = kept(tmp_path), Board()
    for _ in range(5):
        ledger.append("done", {})
    running = asyncio.create_task(HeadPublisher(ledger, board, period=5).run())
    async with asyncio.timeout(10):
        while not board.published:
            await asyncio.sleep(0.01)
    ledger.append("done", {})
    running.cancel()
    await asyncio.wait([running])
    assert [head.lines for head in board.published] == [6, 7]


async def test_an_outage_leaves_the_head_to_the_next_time(tmp_path: Path) -> None:
    ledger, board = kept(tmp_path), Board()
    publisher = HeadPublisher(ledger, board)
    ledger.append("done", {})
    board.out = True
    await publisher.publish()
    assert board.published == []
    board.out = False
    await publisher.publish()
    assert [head.lines for head in board.published] == [2]
