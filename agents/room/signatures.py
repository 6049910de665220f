"""Who really said and decided what: signs what leaves this process, finds the forged in what comes."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from agents.domain.approval import Approval, Decision
from agents.domain.errors import BadInput
from agents.domain.message import SYSTEM, Message
from agents.domain.signing import decision_bytes, is_replayed, message_bytes, request_bytes
from agents.room.keyring import Keyring

MOST_KNOWN = 2048  # messages whose verdict is remembered: the window is read again at each turn
_GENUINE = ""
Complain = Callable[[str, str], None]
"""Told of each dropped message: who it claims to be from, and what is wrong with it."""


class Signatures:
    """The signatures of one room. Without a keyring nothing is signed and everything believed: tests, one process."""

    def __init__(self, room: str, keyring: Keyring | None = None) -> None:
        self._room = room
        self._keyring = keyring
        self.complain: Complain = lambda sender, why: None
        self._verdicts: OrderedDict[str, tuple[Message, str]] = OrderedDict()
        self._places: OrderedDict[str, str] = OrderedDict()
        self._ours: OrderedDict[str | None, Message] = OrderedDict()

    def signed(self, message: Message) -> Message:
        """The message with its sender's signature, "<who>:<signature>". Raise BadInput without the sender's key.

        The System's words are signed by whichever role's process says them.
        """
        if self._keyring is None:
            return message
        name = message.sender
        if name == SYSTEM and self._keyring.held:
            name = self._keyring.held[0]
        sig = self._keyring.sign(name, message_bytes(self._room, message))
        signed = replace(message, sig=f"{name}:{sig}")
        _remember(self._ours, signed.sig, signed)
        return signed

    def accepts(self, message: Message) -> bool:
        """Whether it is from whom it says, said when it was posted, and posted once. Complain of a fault once."""
        if self._keyring is None:
            return True
        known = self._verdicts.get(message.seq)
        if known and known[0] == message:
            return known[1] == _GENUINE
        fault = self._fault(self._keyring, message)
        _remember(self._verdicts, message.seq, (message, fault))
        if fault:
            self.complain(message.sender, fault)
        return fault == _GENUINE

    def request(self, approval: Approval, card: Mapping[str, Any]) -> Approval:
        """The request with its requester's signature."""
        if self._keyring is None:
            return approval
        return replace(approval, sig=self._keyring.sign(approval.requester, request_bytes(approval, card)))

    def decision(self, approval: str, decision: Decision) -> Decision:
        """The decision with its decider's signature."""
        if self._keyring is None:
            return decision
        return replace(decision, sig=self._keyring.sign(decision.by, decision_bytes(approval, decision)))

    def is_genuine(self, approval: Approval, card: Mapping[str, Any]) -> bool:
        """Whether the requester asked exactly this."""
        if self._keyring is None:
            return True
        if self._verified(approval.requester, partial(request_bytes, approval, card), approval.sig):
            return True
        self.complain(approval.requester, "an approval it didn't ask for")
        return False

    def without_forgeries(self, approval: Approval) -> Approval:
        """The approval with those decisions only that their deciders signed."""
        if self._keyring is None:
            return approval
        genuine = []
        for decision in approval.decisions:
            if self._verified(decision.by, partial(decision_bytes, approval.id, decision), decision.sig):
                genuine.append(decision)
            else:
                self.complain(decision.by, "a decision it didn't take")
        return replace(approval, decisions=tuple(genuine))

    def _verified(self, name: str, payload: Callable[[], bytes], sig: str) -> bool:
        try:
            return self._keyring is not None and self._keyring.verify(name, payload(), sig)
        except BadInput:  # what has no canonical form was never signed
            return False

    def _fault(self, keyring: Keyring, message: Message) -> str:
        """What is wrong with it, or nothing."""
        if message.sig is None:
            return "not signed"
        name, _, sig = message.sig.partition(":")
        if message.sender not in (name, SYSTEM):
            return "signed by another"
        if name not in keyring.known:
            return "signed by nobody we know"
        ours = self._ours.get(message.sig)  # verifying takes three times as long as signing: not what we signed here
        if (ours is None or replace(message, seq="", epoch=ours.epoch) != ours) and not keyring.verify(
            name, message_bytes(self._room, message), sig
        ):
            return "wrong signature"
        if is_replayed(message):
            return "signed at another time than it was posted: repeated, or a clock is off"
        if self._places.setdefault(message.id, message.seq) != message.seq:
            return "posted before"
        _remember(self._places, message.id, message.seq)
        return _GENUINE


def _remember(kept: OrderedDict[Any, Any], name: Any, value: Any) -> None:
    kept[name] = value
    kept.move_to_end(name)
    if len(kept) > MOST_KNOWN:
        kept.popitem(last=False)
