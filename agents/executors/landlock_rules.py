"""What a command may reach under Landlock, as data for the supervisor. Pure but for a look at what there is."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from agents.executors import bubblewrap, landlock
from agents.executors.bubblewrap import NOTHING, Bind

_READ = landlock.ACCESS_FS_READ_FILE | landlock.ACCESS_FS_READ_DIR
_RUN = _READ | landlock.ACCESS_FS_EXECUTE
_CHANGE = (
    landlock.ACCESS_FS_WRITE_FILE
    | landlock.ACCESS_FS_TRUNCATE
    | landlock.ACCESS_FS_REMOVE_DIR
    | landlock.ACCESS_FS_REMOVE_FILE
    | landlock.ACCESS_FS_MAKE_DIR
    | landlock.ACCESS_FS_MAKE_REG
    | landlock.ACCESS_FS_MAKE_SOCK
    | landlock.ACCESS_FS_MAKE_FIFO
    | landlock.ACCESS_FS_MAKE_SYM
    | landlock.ACCESS_FS_REFER
)
_DEVICE = (
    landlock.ACCESS_FS_READ_FILE
    | landlock.ACCESS_FS_WRITE_FILE
    | landlock.ACCESS_FS_TRUNCATE
    | landlock.ACCESS_FS_IOCTL_DEV
)
# That a file is there can't be hidden, and programs give up over one they can't read (Python's http.server does over
# mime.types): so this is more of /etc than bubblewrap shows.
_CONFIGURATION = (
    "bash.bashrc",
    "debian_version",
    "gai.conf",
    "host.conf",
    "hostname",
    "inputrc",
    "locale.alias",
    "magic",
    "magic.mime",
    "mime.types",
    "os-release",
    "perl",
    "profile",
    "protocols",
    "services",
    "shells",
    "timezone",
)
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
# All of /proc, for a rule on /proc/self would name one process and not its children. What processes outside hold
# (environ, mem, maps, fd, cwd, root) is refused by Landlock's own rule on ptrace; their command lines are not.
_KERNEL = "/proc"
_SHARED_MEMORY = "/dev/shm"  # noqa: S108  locks of Python's multiprocessing lie there

# what stays open below a version of the interface
_GAPS = (
    (3, "files outside can be emptied (truncate)"),
    (4, "TCP isn't refused"),
    (6, "processes outside can be signalled, abstract Unix sockets reached"),
)


@dataclass(frozen=True, slots=True)
class Rule:
    """Rights on `path`, or on what lies `below` it where no link is followed, and on all beneath."""

    path: Path
    allowed: int
    below: str = ""


@dataclass(frozen=True, slots=True)
class Ruleset:
    """What is refused unless a rule allows it: rights on files, on TCP ports, and ways out of the call's own tree."""

    fs: int
    net: int
    scoped: int
    rules: tuple[Rule, ...]

    def request(self) -> dict[str, object]:
        """As the supervisor reads it."""
        rules = [(str(rule.path), rule.below, rule.allowed) for rule in self.rules]
        return {"fs": self.fs, "net": self.net, "scoped": self.scoped, "rules": rules}


@dataclass(frozen=True, slots=True)
class Reach:
    """What one call may reach. `binds` are the workspace and its masks as bubblewrap takes them, though each appears
    where it is; `private` is the call's own folder; of `listed` and below, names alone are shown."""

    binds: Sequence[Bind]
    private: Path
    network: bool = False
    listed: Path | None = None
    python: Sequence[Path] = field(default_factory=bubblewrap.python_folders)


def ruleset(abi: int, reach: Reach) -> Ruleset:
    """The ruleset for a call, in rights that the version of the interface knows."""
    fs = landlock.known(landlock.FS_SINCE, abi)
    rules = (Rule(rule.path, rule.allowed & fs, rule.below) for rule in _rules(reach))
    return Ruleset(
        fs,
        0 if reach.network else landlock.known(landlock.NET_SINCE, abi),
        landlock.known(landlock.SCOPE_SINCE, abi),
        tuple(rules),
    )


def gaps(abi: int) -> list[str]:
    """What a kernel with that version leaves open and a newer one doesn't."""
    return [gap for version, gap in _GAPS if abi < version]


def _rules(reach: Reach) -> Iterator[Rule]:
    for name in bubblewrap.SYSTEM:
        yield Rule(Path("/") / name, _RUN)
    for name in (*bubblewrap.ETC, *bubblewrap.NETWORK_ETC, *bubblewrap.USERS, *_CONFIGURATION):
        yield Rule(Path("/etc") / name, _READ)
    for folder in reach.python:
        yield Rule(folder, _RUN)
    yield Rule(Path(_KERNEL), _READ)
    for name in _DEVICES:
        yield Rule(Path("/dev") / name, _DEVICE)
    yield Rule(Path(_SHARED_MEMORY), _READ | _CHANGE)
    yield Rule(reach.private, _RUN | _CHANGE)
    if reach.listed:
        yield Rule(reach.listed, landlock.ACCESS_FS_READ_DIR)
    hidden = {bind.target for bind in reach.binds if bind.source == NOTHING}
    for bind in reach.binds:
        if bind.source != NOTHING:
            below = {target.removeprefix(f"{bind.target}/") for target in hidden if _is_below(target, bind)}
            yield from _around(bind.source, below, _RUN | _CHANGE if bind.writable else _RUN)


def _is_below(target: str, bind: Bind) -> bool:
    return target.startswith(f"{bind.target}/")


def _around(root: Path, hidden: set[str], allowed: int) -> Iterator[Rule]:
    """Rules for all of `root` but what is hidden in it.

    A rule on a folder covers all beneath, and none takes anything away. So a folder with something hidden in it, or
    further below, can only be listed, and each of its other entries has a rule: those can be changed, none be made.
    """
    if not hidden:
        yield Rule(root, allowed)
        return
    split = {str(above) for name in hidden for above in Path(name).parents}
    for folder in sorted(split):
        prefix = "" if folder == "." else f"{folder}/"
        yield Rule(root, landlock.ACCESS_FS_READ_DIR, prefix.removesuffix("/"))
        with suppress(OSError), os.scandir(root / folder) as entries:
            for entry in entries:
                name = f"{prefix}{entry.name}"
                if name not in hidden and name not in split:
                    yield Rule(root, allowed, name)


def variables(private: Path, roots: Mapping[str, Path]) -> dict[str, str]:
    """What programs need to be told so that they don't look where they can't."""
    above = dict.fromkeys(str(path.parent) for path in roots.values())
    return {
        "TMPDIR": str(private / "tmp"),
        # git gives up over a configuration that is there and can't be read: the machine's, and that of a repository
        # above the workspace
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CEILING_DIRECTORIES": os.pathsep.join(above),
    }
