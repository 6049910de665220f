"""The names of a room's keys: the one place that knows them."""

import re

from agents.domain.errors import BadInput

_ROOM = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Keys:
    """Keys of one room. All share the hash tag `{room}`, so that a cluster keeps them together.

    Raise BadInput for a name that can't be a room's.
    """

    def __init__(self, room: str) -> None:
        if not _ROOM.fullmatch(room):
            raise BadInput(f"{room!r} can't name a room: use 1 to 64 of A-Z a-z 0-9 _ . -")
        self._tag = f"{{{room}}}"
        self.channel = room
        self.control = f"{self._tag}:control"
        self.log = f"{self._tag}:log"
        self.said = f"{self._tag}:said"
        self.turns = f"{self._tag}:turns"
        self.mission = f"{self._tag}:mission"
        self.roles = f"{self._tag}:roles"
        self.presence = f"{self._tag}:presence"
        self.hosted = f"{self._tag}:hosted"
        self.failures = f"{self._tag}:failures"
        self.heads = f"{self._tag}:ledgers"
        self.approvals = f"{self._tag}:approvals"
        self.findings = f"{self._tag}:findings"
        self.leases = f"{self._tag}:leases"
        self.effects = f"{self._tag}:effects"
        ids = f"{self._tag}:ids"
        # the order scripts/lib.lua takes them in
        self.common = (
            self.control, self.log, self.said, ids, f"{ids}:old", self.turns, self.mission, self.roles
        )  # fmt: skip

    def within(self, pattern: str) -> str:
        """The room's keys whose rest matches `pattern`."""
        return f"{self._tag}:{pattern}"

    def inbox(self, role: str) -> str:
        """The inbox of a role."""
        return f"{self._tag}:inbox:{role}"

    def journal(self, turn: str) -> str:
        """The journal of a turn."""
        return f"{self._tag}:turn:{turn}"

    def budget(self) -> tuple[str, ...]:
        """The account of the room and the installation's, in the order scripts/budget/lib.lua takes them.

        A script may touch one slot of a cluster only, and a query is weighed against both: so all accounts share one
        tag, and a room's survives what wipes the room.
        """
        account = "{minilab}:budget"
        room = [f"{account}:{part}:{self.channel}" for part in ("room", "open", "window", "line")]
        return (*room, *(f"{account}:all{part}" for part in ("", ":window", ":line", ":reserved")))
