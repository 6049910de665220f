"""Control groups for one call: bounds on the memory and the number of processes of a whole tree.

A group is a directory below one we may write to: version 2 where a parent delegates memory and pids, else the two
hierarchies of version 1.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_NEEDED = ("memory", "pids")


@dataclass(frozen=True, slots=True)
class Groups:
    """Where groups can be made: `parents` holds one directory (version 2) or one per controller (version 1)."""

    version: int
    parents: Mapping[str, Path]

    def make(self, memory: int, pids: int) -> tuple[str, ...]:
        """New groups with these bounds; whoever ends the call removes them. Raise OSError."""
        name = f"minilab-{secrets.token_hex(6)}"
        made = []
        try:
            for parent in dict.fromkeys(self.parents.values()):
                (parent / name).mkdir()
                made.append(parent / name)
            self._bound(name, memory, pids)
        except OSError:
            for group in made:
                group.rmdir()
            raise
        return tuple(str(group) for group in made)

    def _bound(self, name: str, memory: int, pids: int) -> None:
        of_memory, of_pids = self.parents["memory"] / name, self.parents["pids"] / name
        (of_pids / "pids.max").write_text(str(pids))
        files = (
            {"memory.max": memory, "memory.swap.max": 0, "memory.oom.group": 1}
            if self.version == 2
            else {"memory.limit_in_bytes": memory, "memory.memsw.limit_in_bytes": memory}
        )
        first, *others = files.items()
        (of_memory / first[0]).write_text(str(first[1]))
        for file, value in others:
            # without swap accounting these don't exist
            with suppress(FileNotFoundError):
                (of_memory / file).write_text(str(value))


def remove(groups: Sequence[str]) -> None:
    """Take away what a call that never began, or whose guardian was killed, left."""
    for group in groups:
        with suppress(OSError):
            Path(group).rmdir()


def find(root: Path = ROOT, own: Path = Path("/proc/self/cgroup")) -> Groups | None:
    """Where we can make groups, found by making one; None if nowhere."""
    try:
        membership = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:
        return None
    for groups in (*_version_2(root, membership), *_version_1(root, membership)):
        try:
            made = groups.make(memory=64 << 20, pids=8)
        except OSError:
            continue
        for group in made:
            Path(group).rmdir()
        return groups
    return None


def _version_2(root: Path, membership: list[list[str]]) -> Iterator[Groups]:
    """From our own group upwards, each parent that passes both controllers on."""
    for number, _, path in membership:
        if number != "0":
            continue
        start = root / path.lstrip("/")
        for parent in (start, *start.parents):
            with suppress(OSError):
                passed_on = (parent / "cgroup.subtree_control").read_text().split()
                if all(controller in passed_on for controller in _NEEDED):
                    yield Groups(2, dict.fromkeys(_NEEDED, parent))
            if parent == root:
                break


def _version_1(root: Path, membership: list[list[str]]) -> Iterator[Groups]:
    paths = {name: path for _, names, path in membership for name in names.split(",")}
    parents = {}
    for controller in _NEEDED:
        own = root / controller / paths.get(controller, "/").lstrip("/")
        # in a container the path is the host's, and our group is mounted as the root
        parents[controller] = own if own.is_dir() else root / controller
    if all(parent.is_dir() for parent in parents.values()):
        yield Groups(1, parents)
