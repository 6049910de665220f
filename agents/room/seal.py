"""Signatures of what is decided in the room, as its boards need them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from agents.domain.approval import Approval, Decision
from agents.domain.signing import decision_bytes, request_bytes


class Seal(Protocol):
    """Signs as whom it holds the key of, and knows everybody's public key."""

    def sign(self, name: str, payload: bytes) -> str:
        """The signature. Raise BadInput where the key isn't held here."""
        ...

    def verify(self, name: str, payload: bytes, sig: str) -> bool:
        """Whether `name` signed it."""
        ...


class Unsealed:
    """No signatures: a room within one process, in tests and benchmarks."""

    def sign(self, name: str, payload: bytes) -> str:
        """No signature."""
        return ""

    def verify(self, name: str, payload: bytes, sig: str) -> bool:
        """Everything is believed."""
        return True


def signed_request(seal: Seal, approval: Approval, card: Mapping[str, Any]) -> Approval:
    """The request with its requester's signature."""
    return replace(approval, sig=seal.sign(approval.requester, request_bytes(approval, card)))


def signed_decision(seal: Seal, approval: str, decision: Decision) -> Decision:
    """The decision with its decider's signature."""
    return replace(decision, sig=seal.sign(decision.by, decision_bytes(approval, decision)))


def is_genuine(seal: Seal, approval: Approval, card: Mapping[str, Any]) -> bool:
    """Whether the requester asked exactly this."""
    return seal.verify(approval.requester, request_bytes(approval, card), approval.sig)


def without_forgeries(seal: Seal, approval: Approval) -> Approval:
    """The approval with those decisions only that their deciders signed."""
    genuine = tuple(
        decision
        for decision in approval.decisions
        if seal.verify(decision.by, decision_bytes(approval.id, decision), decision.sig)
    )
    return approval if genuine == approval.decisions else replace(approval, decisions=genuine)
