"""Small scenarios and conversations for tests."""

from typing import Any

from rehearsal.scenario import Scenario, parse

HEAD = "name: tiny\nplays: say hello\n"


def tiny(rules: str, facts: str = "{}") -> Scenario:
    """A scenario of the rules (YAML list items)."""
    return parse(f"{HEAD}facts: {facts}\nrules:\n{rules}", "tiny.yaml")


def said(role: str, text: str, *more: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages of a turn of `role` that `text` woke, followed by `more`."""
    return [
        {"role": "system", "content": f"You are @{role} (tests) in the room.\n\nMore rules."},
        {"role": "user", "content": text},
        *more,
    ]


def called(tool: str, result: str, arguments: str = "{}", call_id: str = "c1") -> list[dict[str, Any]]:
    """A step: the call and its result."""
    call = {"id": call_id, "type": "function", "function": {"name": tool, "arguments": arguments}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call_id, "content": result},
    ]
