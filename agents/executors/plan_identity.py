"""What makes a plan the same plan again: a keyed hash of all it says, and the facts its risk is computed from. Pure.

The hash covers sensitive values too, so that a plan with another password is another plan. It is keyed with a
secret of this installation: nobody who sees it in the room can try out values against it.
"""

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from typing import Any

_PASSING = ("timestamp", "relevant_attributes")  # differ between two plans of the same thing, and change nothing
_CHECK_FIELDS = ("address", "status")


def identity(show: Mapping[str, Any], key: bytes) -> str:
    """The hash (hex) of a plan's `show -json`."""
    said = {name: value for name, value in show.items() if name not in _PASSING}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def facts(show: Mapping[str, Any]) -> dict[str, Any]:
    """What of a plan's `show -json` tells its risk: addresses, types, actions, what is unknown; no value."""
    found: dict[str, Any] = {name: show[name] for name in ("format_version", "errored", "complete") if name in show}
    found["resource_changes"] = [_change(entry) for entry in show.get("resource_changes", ())]
    found["resource_drift"] = [{"address": entry.get("address")} for entry in show.get("resource_drift", ())]
    found["checks"] = list(_checks(show.get("checks", ())))
    found["deferred_changes"] = [{"reason": entry.get("reason")} for entry in show.get("deferred_changes", ())]
    return found


def _change(entry: Mapping[str, Any]) -> dict[str, Any]:
    change = entry.get("change", {})
    return {
        "address": entry.get("address"),
        "type": entry.get("type"),
        "change": {"actions": change.get("actions"), "after_unknown": change.get("after_unknown")},
    }


def _checks(checks: Any) -> Iterator[dict[str, Any]]:
    return ({name: check.get(name) for name in _CHECK_FIELDS} for check in checks)
