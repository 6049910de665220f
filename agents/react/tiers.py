"""Which tier of model a role thinks with: a stronger one after what failed mechanically, its own again after success.

Mechanical is what no argument can be had about: the breaker opened, a check was red where the mission was to end,
the turn was escalated or ran out of steps. Kept per role and mission, in this process: after a restart a role starts
at its own tier again.
"""

from collections.abc import Mapping

from agents.domain.mission import Mission
from agents.domain.turn import Outcome, StopReason
from agents.react.context import Turn
from agents.react.models import Model

LADDER = ("fast", "default", "strong")
_SUCCESS = (StopReason.REPLIED, StopReason.DONE, StopReason.AWAITING_INPUT)
_FAILURE = (StopReason.ESCALATED, StopReason.STEP_LIMIT)


def stronger(tier: str) -> str:
    """The next stronger tier; the strongest stays."""
    return LADDER[min(LADDER.index(tier) + 1, len(LADDER) - 1)]


def after_turn(home: str, tier: str, reason: StopReason, stumbled: bool) -> str:
    """The tier of a role's next turn. `stumbled`: something failed mechanically in this one, which rose for it."""
    if reason in _FAILURE and not stumbled:
        return stronger(tier)
    return home if reason in _SUCCESS and not stumbled else tier


class Tiers:
    """The tier each role thinks with. `models` by tier; a tier that is missing is served by `default`."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        self._models = models
        self._now: dict[str, tuple[str, str]] = {}

    def tier(self, turn: Turn) -> str:
        """The tier of a role in its mission; a new mission starts at the role's own."""
        mission, tier = self._now.get(turn.role.name, ("", ""))
        return tier if tier and mission == _key(turn.mission) else turn.role.tier

    def model(self, turn: Turn) -> Model:
        """What to think with now."""
        return self._models.get(self.tier(turn)) or self._models["default"]

    def stumbled(self, turn: Turn) -> Model:
        """Something failed mechanically: what to think with from now on."""
        self._keep(turn, stronger(self.tier(turn)))
        return self.model(turn)

    def ended(self, turn: Turn, outcome: Outcome, stumbled: bool) -> None:
        """The turn is over. `stumbled`: whether it stumbled at any step."""
        self._keep(turn, after_turn(turn.role.tier, self.tier(turn), outcome.reason, stumbled))

    def _keep(self, turn: Turn, tier: str) -> None:
        self._now.pop(turn.role.name, None)
        if tier != turn.role.tier:
            self._now[turn.role.name] = (_key(turn.mission), tier)


def _key(mission: Mission) -> str:
    return mission.requests[0].message_id if mission.requests else ""
