"""How agents name files, and which names are refused. Pure: nothing here touches the disk.

A name is `<root>/<path>` with the roots infra, config, docs and tmp; `/app/infra`, `/app/config`, `/app/docs` and
`/tmp/app` are the same roots on every machine. Names are compared as a case-insensitive, Unicode-folding file
system would, so that a protected place has no second spelling.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from agents.domain.errors import PathEscape

MAX_NAME_BYTES = 255
MAX_PATH_CHARS = 1024
MAX_DEPTH = 32
TEMPORARY_PREFIX = ".minilab-writing-"
MACHINE_MADE = (".git", ".terraform")  # neither counted nor searched, and never written by the file tools
_LOCKED = ".terraform.lock.hcl"
_STATE = re.compile(r"\.tfstate(?:\.|$)")  # terraform.tfstate, its backups, its lock, terraform.tfstate.d/
_TREE = "/app"
_SCRATCH = ("/tmp/app", "tmp")  # noqa: S108  an agent-side name, not a directory we create
_INVISIBLE = {"Cc": "a control character", "Cf": "an invisible character", "Cs": "half a character"} | dict.fromkeys(
    ("Zl", "Zp"), "a line break"
)


@dataclass(frozen=True, slots=True)
class Place:
    """A name inside the workspace: a root and the path below it. No parts: the root itself; no root: all of it."""

    root: str
    parts: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "/".join((self.root, *self.parts))

    def child(self, name: str) -> "Place":
        """The place `name` directly below."""
        return Place(self.root, (*self.parts, name)) if self.root else Place(name)


class Naming:
    """Turns agents' paths into places."""

    def __init__(self, roots: Mapping[str, Path], read_only: Sequence[str], protected: Sequence[str]) -> None:
        self._aliases = dict([_SCRATCH])
        self._aliases |= {f"{_TREE}/{root}": root for root in roots if root != _SCRATCH[1]}
        # error messages of programs outside the sandbox carry the host's paths: the model may copy them
        self._aliases |= {str(path): root for root, path in roots.items()}
        self._roots = tuple(roots)
        self._read_only = tuple(folded(path) for path in read_only)
        self._protected = tuple(folded(pattern) for pattern in protected)

    def place(self, path: str) -> Place:
        """The place `path` names. Raise PathEscape with the reason and the roots."""
        if len(path) > MAX_PATH_CHARS:
            raise PathEscape(f"a path of {len(path):,} characters; at most {MAX_PATH_CHARS:,} are allowed")
        parts = self._relative(path)
        for part in parts:
            if fault := _fault(part):
                raise PathEscape(f"{path!r}: {fault}")
        if not parts:
            return Place("")
        if parts[0] not in self._roots:
            raise PathEscape(f"{path!r} is outside the workspace; {self._hint(parts)}")
        if len(parts) > MAX_DEPTH:
            raise PathEscape(f"{path[:80]!r}… is {len(parts)} levels deep; at most {MAX_DEPTH} are allowed")
        return Place(parts[0], tuple(parts[1:]))

    def may_read(self, place: Place) -> None:
        """Raise PathEscape with the reason where agents may not read."""
        if is_state(place):
            raise PathEscape(
                f"{place} is Terraform's state, which holds secrets in clear: use run_terraform with action output, "
                "state_list or state_show, which mask them"
            )

    def may_write(self, place: Place, *, delete: bool = False) -> None:
        """Raise PathEscape with the reason where agents may not write, or take away."""
        if not place.parts:
            raise PathEscape(f"{str(place) or 'the workspace'!r} is a root folder; name a file below it")
        name = folded(str(place))
        for prefix in self._read_only:
            if name == prefix or name.startswith(prefix + "/"):
                raise PathEscape(f"{place} is read-only: {prefix} is the User's; write another file in docs/")
        for pattern in self._protected:
            if fnmatchcase(name, pattern):
                raise PathEscape(f"{place} is written by the runtime alone; write another file")
        _may_change_terraforms(place, delete)
        for part in (folded(part) for part in place.parts):
            if part in MACHINE_MADE:
                raise PathEscape(f"{place}: {part} belongs to {part.removeprefix('.')} and is never edited as a file")
            if part.startswith(TEMPORARY_PREFIX):
                raise PathEscape(f"{place}: names starting with {TEMPORARY_PREFIX} are used for writes under way")

    def _relative(self, path: str) -> list[str]:
        """The path's parts, from the root's name on, with `.` and `..` taken away."""
        rest = path
        if path.startswith("/"):
            rest = self._below_alias(path)
        parts: list[str] = []
        for part in rest.split("/"):
            if part == "..":
                if not parts:
                    raise PathEscape(f"{path!r} leads outside the workspace; {self._hint(())}")
                parts.pop()
            elif part not in ("", "."):
                parts.append(part)
        return parts

    def _below_alias(self, path: str) -> str:
        if path.rstrip("/") == _TREE:
            return ""
        for alias, root in self._aliases.items():
            if path == alias or path.startswith(alias + "/"):
                below = path[len(alias) :]
                if _climbs(below):
                    raise PathEscape(f"{path!r} leads outside the workspace; {self._hint(())}")
                return root + below
        raise PathEscape(f"{path!r} is outside the workspace; {self._hint(())}")

    def _hint(self, parts: Sequence[str]) -> str:
        roots = ", ".join(f"{root}/" for root in self._roots)
        hint = f"its folders are {roots} (the same as /app/<folder>; tmp is /tmp/app)"
        if parts and parts[0].isascii() and parts[0].isprintable() and _fault(parts[0]) is None:
            return hint + f"; did you mean config/{'/'.join(parts)[:80]}?"
        return hint


def _may_change_terraforms(place: Place, delete: bool) -> None:
    if is_state(place):
        raise PathEscape(f"{place} is Terraform's state: it changes by run_terraform alone (plan, then apply)")
    if folded(place.parts[-1]) == _LOCKED and not delete:
        raise PathEscape(
            f"{place} is written by run_terraform with action init: to have provider versions chosen anew, "
            "delete it and run init"
        )


def is_state(place: Place) -> bool:
    """Whether a place is Terraform's state, a backup or a lock of it, or lies in a folder of states."""
    return any(_STATE.search(folded(part)) for part in place.parts)


def folded(name: str) -> str:
    """`name` as a file system that ignores case, width and invisible characters would compare it."""
    visible = "".join(char for char in unicodedata.normalize("NFKC", name) if unicodedata.category(char) != "Cf")
    return unicodedata.normalize("NFKC", visible.casefold())


def printable(name: str) -> str:
    """`name` with what a terminal would act on, or UTF-8 can't hold, written out."""
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _INVISIBLE else char for char in name
    )


def _climbs(below: str) -> bool:
    """Whether `..` leads above the start of `below`."""
    depth = 0
    for part in below.split("/"):
        depth += -1 if part == ".." else part not in ("", ".")
        if depth < 0:
            return True
    return False


def _fault(part: str) -> str | None:
    """What is wrong with one part of a path, or None."""
    for char in part:
        if kind := _INVISIBLE.get(unicodedata.category(char)):
            return f"{kind} (U+{ord(char):04X}) in a name; use plain letters, digits, dots, dashes"
    if part.startswith("-"):
        return f"{part!r} starts with a dash: programs would read it as an option"
    if part != part.strip():
        return f"{part!r} starts or ends with a space"
    if "\\" in part:
        return "a backslash in a name; folders are separated by /"
    if len(part.encode()) > MAX_NAME_BYTES:
        return f"a name of {len(part.encode()):,} bytes; at most {MAX_NAME_BYTES} are allowed"
    plain = folded(part)
    if "/" in plain or plain in (".", ".."):
        return f"{part!r} looks like {plain!r} but is not; use plain characters"
    return None
