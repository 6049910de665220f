"""`minilab ledger verify`: is the ledger what the team wrote?"""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from agents.domain.errors import RoomError, SessionError
from agents.domain.ledger import LedgerHead
from agents.domain.ports import OpenRoom
from agents.telemetry import chain
from client.session import Place, visit
from client.text import logged

Say = Callable[[str], None]


def path_of(place: Place) -> Path:
    """Where the room's ledger lies on this machine."""
    return place.state_dir / "ledger" / f"{place.room}.jsonl"


async def verify(place: Place, host: str, say: Say) -> int:
    """Say what is wrong with the room's ledger, or that nothing is. Exit code: 1 if something is."""
    async with reachable(place) as opened:
        heads = None if opened is None else await opened.heads.heads()
    return report(path_of(place), place.room, host, heads, say)


@contextlib.asynccontextmanager
async def reachable(place: Place) -> AsyncIterator[OpenRoom | None]:
    """The room, or None where no Redis is up."""
    async with contextlib.AsyncExitStack() as stack:
        try:
            session = await stack.enter_async_context(visit(place))
        except (SessionError, RoomError, OSError):
            yield None
            return
        yield session.opened


def report(path: Path, room: str, host: str, heads: Sequence[LedgerHead] | None, say: Say) -> int:
    """Follow the chain in `path`, and compare its end with what Redis knows (None: it can't be asked)."""
    known = {head.ledger: (head.lines, head.hash) for head in heads or ()}
    found = chain.Chain()
    if path.exists():
        with path.open("rb") as file:
            found = chain.walk(file, room, known)
    for remark in found.remarks:
        say(logged(remark))
    if found.fault:
        say(f"{path}: line {found.fault.line:,} {logged(found.fault.what)}")
        say(f"the {found.lines:,} lines before it are as they were written")
    gone = [head for head in heads or () if head.host == host and head.ledger != found.ledger]
    for head in gone:
        say(f"{path}: a ledger of {head.lines:,} lines that was kept here is gone (id {head.ledger[:8]})")
    for head in heads or ():
        if head.host != host:
            say(f"another ledger of this room, {head.lines:,} lines, is on {logged(head.host)}: verify it there")
    if found.fault or gone:
        return 1
    if not path.exists():
        say(f"{path}: no ledger yet: nothing was decided or done in room {room} on this machine")
        return 0
    say(f"{path}: {found.lines:,} lines, each as it was written")
    if found.ledger not in known:
        say("Redis wasn't asked or knows no head of it: whether its end was cut off can't be told")
    return 0
