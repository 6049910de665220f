"""What the tests of turns say and look at."""

from agents.domain.message import Message
from agents.domain.ports import OpenRoom
from agents.domain.turn import Claim, Effect, EntryKind, JournalEntry, Outcome, StopReason

LEASE = 0.2
REPLIED = Outcome(StopReason.REPLIED, "done so")
INTENT = JournalEntry(EntryKind.INTENT, 1, {"name": "run_shell", "args": {"x": "ü"}}, "call-1", Effect.MUTATE)
REPLY = JournalEntry(EntryKind.REPLY, 1, {"message": {}, "usage": {"n": 1.5}})


def say(text: str, *to: str, sender: str = "Architect") -> Message:
    """A message to the roles `to`."""
    return Message(sender, text, to=to)


async def taken(opened: OpenRoom, role: str = "QA", consumer: str = "one") -> Claim:
    """The turn that must be there."""
    claim = await opened.inbox(role, consumer).claim()
    assert claim is not None
    return claim


async def texts(opened: OpenRoom) -> list[str]:
    """The whole log."""
    return [message.content for message in await opened.room.events()]
