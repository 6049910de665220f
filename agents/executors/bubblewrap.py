"""The command line of a bubblewrap sandbox. Pure but for a look at which system folders there are."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HOME = "/home/agent"
UID = 1000  # the user's number inside; outside it is whoever we are

SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
# never /etc/ssl/private and the like: if we are root, the sandbox could read them
ETC = (
    "alternatives",
    "ca-certificates",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "pki/ca-trust",
    "pki/tls/certs",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
)
NETWORK_ETC = ("hosts", "nsswitch.conf", "resolv.conf")
_STUBS = {
    "passwd": f"root:x:0:0:root:/nonexistent:/usr/sbin/nologin\nagent:x:{UID}:{UID}:agent:{HOME}:/bin/bash\n",
    "group": f"root:x:0:\nagent:x:{UID}:\n",
}
USERS = tuple(_STUBS)
NOTHING = Path("/dev/null")


@dataclass(frozen=True, slots=True)
class Bind:
    """A host folder and where it appears."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """What a sandbox holds: `binds` in order (a later one may lie in an earlier one), sizes of its own file systems
    in bytes, `stubs` the folder with the files made by `write_stubs`."""

    binds: Sequence[Bind]
    stubs: Path
    tmp_bytes: int
    python: Sequence[Path] = field(default_factory=lambda: python_folders())


def arguments(layout: Layout, argv: Sequence[str], *, cwd: str, network: bool) -> list[str]:
    """The command line that runs `argv` in the sandbox.

    bubblewrap's own environment must be the program's, no more: whoever is inside can read it.
    """
    return [
        *("bwrap", "--unshare-all", "--unshare-user", "--disable-userns"),
        *(["--share-net"] if network else []),
        *("--die-with-parent", "--new-session", "--cap-drop", "ALL"),
        *("--uid", str(UID), "--gid", str(UID), "--hostname", "minilab"),
        *_system(layout, network),
        *_own(layout.tmp_bytes),
        *_python(layout.python),  # after the file systems of its own: a checkout may lie below /tmp
        *_bound(layout.binds),
        # if we are root, files below /proc/sys and /proc/sysrq-trigger are ours to write, capabilities or not
        *("--remount-ro", "/proc", "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", cwd, "--", *argv),
    ]


def write_stubs(folder: Path) -> None:
    """Make the stand-ins for the host's user lists."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in _STUBS.items():
        (folder / name).write_text(text, encoding="utf-8")


def python_folders() -> tuple[Path, ...]:
    """Where our Python lies, as far as it isn't below /usr: the environment's folder and the interpreter's."""
    base = Path(getattr(sys, "_base_executable", sys.executable))
    found = (Path(sys.prefix), Path(sys.base_prefix), base.parent.parent, Path(os.path.realpath(base)).parent.parent)
    return tuple(dict.fromkeys(path for path in found if not path.is_relative_to("/usr") and path != Path("/")))


def _system(layout: Layout, network: bool) -> Iterator[str]:
    for name in SYSTEM:
        path = Path("/") / name
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), str(path))
        elif path.is_dir():
            yield from ("--ro-bind", str(path), str(path))
    for name in (*ETC, *(NETWORK_ETC if network else ())):
        yield from ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")
    for name in _STUBS:
        yield from ("--ro-bind", str(layout.stubs / name), f"/etc/{name}")


def _python(folders: Sequence[Path]) -> Iterator[str]:
    for folder in folders:
        yield from ("--ro-bind", str(folder), str(folder))


def _own(size: int) -> Iterator[str]:
    """File systems of its own: without a size each could take half of the memory."""
    yield from ("--proc", "/proc", "--dev", "/dev")
    for target in ("/dev/shm", "/tmp", "/run", HOME):  # noqa: S108  inside the sandbox
        yield from ("--size", str(size), "--tmpfs", target)


def _bound(binds: Sequence[Bind]) -> Iterator[str]:
    yield from ("--dir", "/app")
    for bind in binds:
        yield from ("--bind" if bind.writable else "--ro-bind", str(bind.source), bind.target)


def workspace_binds(roots: Mapping[str, Path], *, read_only: bool) -> list[Bind]:
    """The workspace at its four places. `docs` is never writable: execution logs and the manual lie there."""
    return [Bind(path, inside(name), name != "docs" and not read_only) for name, path in roots.items()]


def masks(states: Iterable[str]) -> list[Bind]:
    """Binds that put nothing in the place of Terraform's state files (workspace names): they hold secrets."""
    return [Bind(NOTHING, inside(name)) for name in states]


def inside(name: str) -> str:
    """The path inside of a workspace place such as "config/site"."""
    root, _, rest = name.partition("/")
    return "/".join(("/tmp/app" if root == "tmp" else f"/app/{root}", *([rest] if rest else [])))  # noqa: S108
