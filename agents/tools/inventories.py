"""Which hosts an Ansible inventory names, read without running it. Pure."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

_RANGE = re.compile(r"\[(\d+):(\d+)\]")
_SECTION = re.compile(r"\[([^\]:]+)(?::(\w+))?\]")
_HOST = re.compile(r"[A-Za-z0-9_.\[\]:-]+")
MOST_HOSTS = 1_000


def hosts_of(text: str) -> frozenset[str] | None:
    """The hosts of a YAML or INI inventory; None where that can't be told."""
    try:
        body = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        body = None
    if isinstance(body, Mapping):
        names = _in_mapping(body, 0)
    elif "{{" in text or "{%" in text:
        return None
    else:
        names = _in_lines(text)
    expanded = {host for name in names or () for host in _expanded(name)}
    return frozenset(expanded) if names is not None and 0 < len(expanded) <= MOST_HOSTS else None


def _in_mapping(node: Mapping[Any, Any], depth: int) -> set[str] | None:
    found: set[str] = set()
    if depth > 20:
        return None
    for key, value in node.items():
        if key == "hosts":
            if not isinstance(value, Mapping):
                return None
            found |= set(map(str, value))
        elif isinstance(value, Mapping) and key != "vars":
            below = _in_mapping(value, depth + 1)
            if below is None:
                return None
            found |= below
    return found


def _in_lines(text: str) -> set[str] | None:
    found: set[str] = set()
    listing = True
    for line in (line.split("#", 1)[0].split(";", 1)[0].strip() for line in text.splitlines()):
        if section := _SECTION.fullmatch(line):
            listing = section[2] is None
        elif line and listing:
            name = line.split()[0]
            if not _HOST.fullmatch(name):
                return None
            found.add(name)
    return found


def _expanded(name: str) -> list[str]:
    """`web[1:3]` is three hosts."""
    match = _RANGE.search(name)
    if match is None:
        return [name]
    first, last = int(match[1]), int(match[2])
    if last - first >= MOST_HOSTS:
        return [f"{name}#{number}" for number in range(MOST_HOSTS + 1)]
    width = len(match[1])
    numbers = (f"{number:0{width}}" for number in range(first, last + 1))
    return [host for number in numbers for host in _expanded(name[: match.start()] + number + name[match.end() :])]
