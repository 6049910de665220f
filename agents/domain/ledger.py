"""What is known of a ledger outside its file: enough to notice that its end was cut off."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class LedgerHead:
    """The last line of one ledger as its writer knows it: `ledger` is the file's id, `lines` counts from 1."""

    ledger: str
    host: str
    lines: int
    hash: str


class HeadBoard(Protocol):
    """The heads of the room's ledgers, one for each machine that keeps one. May raise RoomUnavailable."""

    async def publish(self, head: LedgerHead) -> None:
        """Keep the head; one with fewer lines than the known one of that ledger changes nothing."""
        ...

    async def heads(self) -> list[LedgerHead]:
        """Every known head."""
        ...
