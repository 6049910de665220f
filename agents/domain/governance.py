"""The ports of governance: who must agree, what is held against what, whose turn it is, what may be spent.

Every method may raise RoomUnavailable. Times are seconds.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from agents.domain.approval import Approval, Decision, State
from agents.domain.budget import Ask, Spending, Spent
from agents.domain.effect import Lease
from agents.domain.finding import Finding, FindingStatus, Severity
from agents.domain.message import Message


class ApprovalBoard(Protocol):
    """Requests to act, and their decisions. Times are by the server's clock, rules those of `domain/approval`."""

    async def request(self, approval: Approval, card: Mapping[str, Any], event: Message) -> Approval:
        """Keep it with its card and post `event` to the inboxes of the deciding roles, in one step.

        Where the same requester has one of the same digest that is pending, approved or rejected, that one is
        returned and nothing is posted: a rejected act can't be asked for again unchanged. Raise StaleEpoch.
        """
        ...

    async def decide(self, id: str, decision: Decision, event: Message) -> Approval:
        """Add the decision and post `event` (to no inbox: the requester waits in `until_decided`), in one step.

        Of two deciders at once both count, one after the other. Raise BadInput with the objection.
        """
        ...

    async def find(self, id: str) -> tuple[Approval, Mapping[str, Any]]:
        """The approval of this id, or the only one that starts so, and its card. Raise BadInput naming the open."""
        ...

    async def open(self) -> list[tuple[Approval, Mapping[str, Any]]]:
        """What waits for a decision, oldest first."""
        ...

    async def state(self, approval: Approval) -> State:
        """Where it stands now."""
        ...

    async def until_decided(self, approval: Approval, timeout: float) -> Approval:
        """Wait until it is no longer pending, or `timeout` seconds, and return it. Raise StaleEpoch."""
        ...

    async def seen(self, id: str, by: str) -> None:
        """`by` was shown all that this approval's digest covers."""
        ...

    async def was_seen(self, id: str, by: str) -> bool: ...


class LeaseBoard(Protocol):
    """Who may act on a host or a module."""

    async def acquire(self, names: Sequence[str], holder: str, ttl: float) -> Lease | str:
        """All of `names` for `ttl` seconds, or none: then who holds one of them.

        The same holder gets them again, under a higher token: the earlier lease is void.
        """
        ...

    async def renew(self, lease: Lease, ttl: float) -> bool:
        """Prolong it; False if it ran out or was given to another."""
        ...

    async def release(self, lease: Lease) -> None:
        """Give back what of it is still held."""
        ...


class FindingBoard(Protocol):
    """The findings register. Rules are those of `domain/finding`."""

    async def raise_(
        self,
        rule: str,
        target: str,
        severity: Severity,
        evidence: str,
        *,
        by: str,
        content: str,
        announce: Callable[[Finding], Message] | None = None,
    ) -> Finding:
        """Enter it (again) and post what `announce` makes of it, in one step. Raise BadInput with the objection."""
        ...

    async def move(
        self,
        id: str,
        to: FindingStatus,
        *,
        by: str,
        reason: str,
        content: str,
        announce: Callable[[Finding], Message] | None = None,
    ) -> Finding:
        """Give the finding of this id (or its unique start) a status. Raise BadInput with the objection."""
        ...

    async def list(self) -> list[Finding]:
        """Every finding, gravest first."""
        ...


class Governor(Protocol):
    """The room's share of money and of the endpoint's patience."""

    async def reserve(self, ask: Ask) -> None:
        """Wait until caps and limits have room for `ask`, fairly between roles and rooms; then it counts as spent.

        Raise OverBudget where a cap is reached. Cancelled, it gives its place up. What is never settled (the worker
        died) is booked at its estimate when it lapses.
        """
        ...

    async def settle(self, ask: Ask, spent: Spent) -> bool:
        """Book what the query took instead of the estimate; a repeated call changes nothing.

        Return whether 80 % of a cap are spent and nobody was `told` so.
        """
        ...

    async def release(self, ask: Ask, spent: Spent = Spent()) -> None:  # noqa: B008  frozen
        """Like `settle`, for a query that failed or was cancelled: takes a second at most, and raises nothing.

        Where the room can't be told in time, the reservation lapses.
        """
        ...

    async def told(self) -> None:
        """The Architect knows of the 80 % of the caps in force."""
        ...

    async def slow(self, seconds: float) -> None:
        """The endpoint wants to hear from nobody for that long: no `reserve` and no `ready` ends before, anywhere."""
        ...

    async def ready(self) -> None:
        """Wait until the endpoint wants to hear from us again."""
        ...

    async def spent(self) -> Spending:
        """Who spent what in this room, and its caps as the workers last saw them."""
        ...

    async def set_cap(self, nano: int | None = None, tokens: int | None = None) -> None:
        """The User's caps for this room, in the place of the settings'; None leaves one as it is."""
        ...
