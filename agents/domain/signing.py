"""What exactly is signed: bytes that can't be taken for another kind, room or act.

A message binds its room, id and time; the room gives `seq` and `epoch` afterwards, so they are left out. A decision
and a request bind the act's digest, in which room and epoch are.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from agents.domain.approval import Approval, Decision, canonical
from agents.domain.message import Message, to_wire

MOST_DRIFT = 3600.0  # seconds between a message's own time and its place in the log


def message_bytes(room: str, message: Message) -> bytes:
    """What the sender of `message` signs. The same before it is sent and after it was received."""
    wire = to_wire(replace(message, sig=None) if message.sig is not None else message)
    return f"minilab-message-1\n{room}\n{wire}".encode("utf-8", "replace")


def decision_bytes(approval: str, decision: Decision) -> bytes:
    """What the decider of the approval of that id signs."""
    facts = [approval, decision.by, decision.approve, decision.digest, decision.at, decision.reason]
    return b"minilab-decision-1\n" + canonical(facts)


def request_bytes(approval: Approval, card: Mapping[str, Any]) -> bytes:
    """What the requester signs: the times are left out, the room gives them."""
    facts = [approval.id, approval.room, approval.epoch, approval.requester, approval.digest]
    return b"minilab-request-1\n" + canonical([*facts, sorted(approval.needed), card])


def is_replayed(message: Message) -> bool:
    """Whether it was signed at another time than it was posted: an old message, or a clock that is far off."""
    try:
        signed = datetime.fromisoformat(message.timestamp).timestamp()
        posted = int(message.seq.partition("-")[0]) / 1000
    except ValueError:
        return True
    return abs(posted - signed) > MOST_DRIFT
