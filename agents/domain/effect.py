"""An act on the world as the room keeps it, and the leases on what it touches."""

from dataclasses import dataclass
from enum import StrEnum

from agents.domain.turn import Claim, Effect, JournalEntry


class EffectState(StrEnum):
    """What is known of an effect's end. `unknown`: nobody saw it."""

    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class EffectRecord:
    """One act: whose, by which call, of which digest, by which approval ("" if none was needed). Unix seconds."""

    id: str
    role: str
    tool: str
    effect: Effect
    digest: str
    approval: str
    epoch: int
    state: EffectState
    started: float
    ended: float | None = None


def effect_id(claim: Claim, intent: JournalEntry) -> str:
    """The id of the act that `intent` starts: models repeat their call ids, so the turn and the step are in it."""
    return f"{claim.turn}:{intent.step}:{intent.call}"


@dataclass(frozen=True, slots=True)
class Lease:
    """The sole right to act on `names` (hosts, modules) for a while. `token` rises with each lease given."""

    names: tuple[str, ...]
    holder: str
    token: int
