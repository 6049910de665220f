"""Faults to inject: which answers go wrong, and how often."""

from collections.abc import Iterable
from typing import Any

from rehearsal.scenario import Fault, FaultKind, Rule


def parse(text: str) -> Fault:
    """A fault as the command line writes it: `kind`, `kind:times` or `kind:always`, 429 also `429:times:seconds`.

    Raise ValueError naming the kinds there are.
    """
    kind, _, rest = text.partition(":")
    times, _, retry_after = rest.partition(":")
    try:
        fault: dict[str, Any] = {"kind": FaultKind(kind), "times": None if times == "always" else int(times or 1)}
        if retry_after:
            fault["retry_after"] = float(retry_after)
        return Fault.model_validate(fault)
    except ValueError:
        kinds = ", ".join(FaultKind)
        raise ValueError(
            f"no fault {text!r}: KIND[:TIMES|:always[:SECONDS]], where KIND is one of {kinds} "
            "and SECONDS is the Retry-After of a 429"
        ) from None


class Faults:
    """Hands out the faults due. Counts live as long as the server: `times` is per server and rule."""

    def __init__(self, anywhere: Iterable[Fault] = ()) -> None:
        self._anywhere = [(fault, _Countdown(fault)) for fault in anywhere]
        self._of_rule: dict[str, _Countdown] = {}

    def next_anywhere(self) -> Fault | None:
        """The fault due for the next request, whatever it asks: the given ones, one after the other."""
        return next((fault for fault, countdown in self._anywhere if countdown.due()), None)

    def next_of(self, rule: Rule) -> Fault | None:
        """The fault due for this rule's answer."""
        if rule.fault is None:
            return None
        countdown = self._of_rule.setdefault(rule.id, _Countdown(rule.fault))
        return rule.fault if countdown.due() else None


class _Countdown:
    def __init__(self, fault: Fault) -> None:
        self._left = fault.times

    def due(self) -> bool:
        """Whether it strikes now; counts."""
        if self._left is None:
            return True
        self._left -= 1
        return self._left >= 0
