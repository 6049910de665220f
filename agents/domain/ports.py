"""What the runtime needs of the world, as protocols. Redis and the in-memory doubles implement the room's;
one contract suite holds them to it.

Every method of the room may raise RoomUnavailable. Times are seconds.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agents.domain.budget import Budget
from agents.domain.effect import EffectRecord, EffectState, Lease
from agents.domain.governance import ApprovalBoard as ApprovalBoard
from agents.domain.governance import FindingBoard as FindingBoard
from agents.domain.governance import Governor as Governor
from agents.domain.governance import LeaseBoard as LeaseBoard
from agents.domain.ledger import HeadBoard
from agents.domain.message import Message
from agents.domain.mission import Check, Control, HostedApp, Mission, Presence, Probe, RoomState, Verdict
from agents.domain.role import Role
from agents.domain.turn import Claim, Effect, JournalEntry, Outcome, ToolCall, ToolResult


class Room(Protocol):
    """Post and read along."""

    @property
    def name(self) -> str: ...

    async def post(self, message: Message, *, epoch: int | None = None) -> Message:
        """Log, deliver to `message.to`'s inboxes and publish, atomically; return it with seq and epoch.

        A repeated id changes nothing and returns the first one's place. With `epoch`, raise StaleEpoch unless
        it is the room's. A User's `say` sets the state to running and joins the mission (a new mission if the
        last is done or none is there). Raise MessageTooLarge.
        """
        ...

    def follow(self, after: str | None = None) -> AsyncIterator[Message]:
        """Every event after log position `after` (None: from now on), live, each once, in order, across reconnects.

        What isn't a message on the channel is yielded as one local SYSTEM message that names the fault.
        """
        ...

    async def said(self, limit: int) -> list[Message]:
        """The last `limit` said messages (kinds say and system), oldest first."""
        ...

    async def events(self, after: str = "0", limit: int = 1000) -> list[Message]:
        """Logged events after position `after`, oldest first."""
        ...


class Inbox(Protocol):
    """The inbox of one role, seen by one consumer."""

    async def claim(self) -> Claim | None:
        """Take the next turn, or None.

        In this order: a turn this consumer already holds; an open turn of the role whose lease ran out (fence
        and attempt rise); everything pending in the inbox as one new turn. Deliveries of an older epoch are
        acknowledged and left out. Claiming and opening the turn are one step: a delivery is always in an open
        turn or still pending. While the room is paused there is none to take.
        """
        ...

    async def renew(self, claim: Claim) -> None:
        """Prolong the lease. Raise LeaseLost."""
        ...

    async def release(self, claim: Claim) -> None:
        """Hand an open turn back to whoever claims it next, at once: no death, `attempt` stays. Raise LeaseLost."""
        ...

    async def pending(self) -> int:
        """Messages waiting, not in any open turn."""
        ...


class Journal(Protocol):
    """What a turn did, written before it goes on."""

    async def record(self, claim: Claim, entries: Sequence[JournalEntry], events: Sequence[Message] = ()) -> None:
        """Append entries and post events (thoughts, tool events; delivered to nobody), in one round trip.

        Raise LeaseLost if the fence is old, StaleEpoch if the room's epoch moved on. An INTENT of effect mutate
        or destroy counts in `Mission.acts`. In a paused room it returns once the room goes on: an INTENT is written
        then, everything else at once. Where the answer to an INTENT came late, the claim is proven once more.
        """
        ...

    async def commit(self, claim: Claim, outcome: Outcome, replies: Sequence[Message] = ()) -> list[Message]:
        """End the turn: post `replies`, acknowledge the deliveries and close the journal, in one step.

        With outcome `done`, `awaiting_input` or `over_budget` the room's state follows. Repeating it changes
        nothing. Raise LeaseLost. After a STOP (stale epoch) the turn is closed and acknowledged all the same, and
        replies are posted to nobody's inbox.
        """
        ...

    async def begin_effect(
        self,
        claim: Claim,
        intent: JournalEntry,
        *,
        approval: str | None,
        digest: str,
        lease: Lease | None = None,
    ) -> str:
        """In one step: append `intent`, record the effect as started, and use `approval` up; return the effect's id.

        `approval` None: the policy asks for none. Nothing happens but an error where the fence is old (LeaseLost),
        the epoch moved on (StaleEpoch), the approval isn't one of exactly this digest that may be used now, by the
        server's clock (ApprovalUnusable), or `lease` ran out (Refused). An effect mutate or destroy counts in
        `Mission.acts`.
        """
        ...

    async def end_effect(self, effect: str, state: EffectState) -> None:
        """How it ended. A known end stays; unfenced, since what happened has happened."""
        ...

    async def effects(self) -> list[EffectRecord]:
        """What was started in this room, oldest first; ends older than the journals' retention may be gone."""
        ...


class ControlBoard(Protocol):
    """The room's state."""

    async def read(self) -> Control: ...

    async def set_state(self, state: RoomState, reason: str = "") -> None:
        """Set it. Of a paused room it is the state that will be back."""
        ...

    async def stop(self, message: Message) -> Control:
        """Raise the epoch, set the state to stopped and post `message` (a control event), in one step."""
        ...

    async def stop_role(self, role: str, message: Message) -> int:
        """Close the open turns of one role as stopped, drop what waits for it and post `message`, in one step.

        Return how many turns that were. Whoever holds one gets LeaseLost from then on.
        """
        ...

    async def pause(self, message: Message) -> Control:
        """Hold the room and post `message`, in one step: no turn is claimed, no step recorded, no effect started."""
        ...

    async def resume(self, message: Message) -> Control:
        """Let a paused room go on, and post `message`, in one step."""
        ...

    async def found(self, known: Control | None = None) -> Control:
        """Give the room an incarnation if it has none.

        `known`: what it was before its data went away. Its epoch is passed over, and the room is stopped unless the
        User has spoken since.
        """
        ...

    async def clear(self, message: Message) -> Control:
        """`stop`, and wipe the said history, inboxes, open turns, mission. The log keeps only `message`."""
        ...


class MissionBoard(Protocol):
    """The pinned mission. No method edits the User's words."""

    async def read(self) -> Mission: ...

    async def propose(self, probes: Sequence[Probe]) -> Mission:
        """Add probes as checks; one already there stays as it is. At most 30."""
        ...

    async def judge(self, check: str, verdict: Verdict, evidence: str) -> None:
        """Record a verdict."""
        ...

    async def waive(self, check: str, why: str) -> Check:
        """The User's act: the check stands in nobody's way. Raise BadInput for an unknown id."""
        ...


class PresenceBoard(Protocol):
    """Who is here, and what is served."""

    async def beat(self, presence: Presence) -> None: ...

    async def leave(self, consumer: str) -> None: ...

    async def present(self, max_age: float = 15.0) -> list[Presence]: ...

    async def host(self, app: HostedApp) -> None: ...

    async def unhost(self, name: str) -> None: ...

    async def hosted(self) -> list[HostedApp]: ...


class Verifier(Protocol):
    """Runs the mission's checks without any model."""

    async def run(self, checks: Sequence[Check]) -> list[Check]:
        """The checks with fresh verdicts, recorded in the mission too."""
        ...


class OpenRoom(Protocol):
    """One room, opened: its parts share a connection."""

    @property
    def room(self) -> Room: ...
    @property
    def control(self) -> ControlBoard: ...
    @property
    def mission(self) -> MissionBoard: ...
    @property
    def presence(self) -> PresenceBoard: ...
    @property
    def journal(self) -> Journal: ...
    @property
    def approvals(self) -> ApprovalBoard: ...
    @property
    def findings(self) -> FindingBoard: ...
    @property
    def leases(self) -> LeaseBoard: ...
    @property
    def heads(self) -> HeadBoard: ...

    def inbox(self, role: str, consumer: str) -> Inbox: ...

    def governor(self, budget: Budget | None = None) -> Governor:
        """The room's governor; who only looks, or sets caps, needs no `budget`."""
        ...

    async def aclose(self) -> None: ...


class Ledger(Protocol):
    """Every decision and effect, for good. Kinds: decision, intent, started, done, failed, unknown, read-material."""

    def append(self, kind: str, body: Mapping[str, Any]) -> str:
        """Write one line; return its hash. Raise LedgerUnavailable: what can't be recorded must not be done."""
        ...

    def note(self, kind: str, body: Mapping[str, Any]) -> None:
        """`append` for what has happened already: a ledger that fails costs the line alone."""
        ...


def _quiet(step: int, activity: str) -> None:
    """Nobody follows the progress."""


@dataclass(frozen=True, slots=True)
class TurnContext:
    """What the gate knows of the turn a call belongs to. `progress` is told the step and what goes on in it."""

    role: Role
    claim: Claim
    step: int
    progress: Callable[[int, str], None] = _quiet


class Gate(Protocol):
    """The one way from a model's wish to an act."""

    def effect(self, call: ToolCall, turn: TurnContext) -> Effect:
        """What the call would do; an unknown tool or invalid arguments do nothing (read)."""
        ...

    async def call(self, call: ToolCall, turn: TurnContext) -> ToolResult:
        """Do it, or say why not.

        A call that is no mere read is journaled (INTENT) before it starts; writing the RESULT is the loop's part.
        The result is redacted and capped. Never raises but StaleEpoch, LeaseLost, RoomUnavailable, cancellation.
        """
        ...


class ExecutionLog(Protocol):
    """`docs/execution_log_<Role>.md`."""

    def write(self, role: str, call: ToolCall, result: ToolResult) -> None: ...


class Redactor(Protocol):
    """Masks secrets; every sink goes through it."""

    def text(self, text: str) -> str: ...

    def value(self, value: Any) -> Any:
        """The same JSON value with every text in it masked."""
        ...
