"""Commands where a container is the boundary: they run directly, each under Landlock where the kernel lets it."""

import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from agents.executors import landlock, landlock_rules
from agents.executors.levels import Level
from agents.executors.process import Finished

BOUNDS = "rlimits and a watch over each tree"
FIX = "use a kernel ≥ 5.13 with Landlock in its lsm= list, and an engine whose seccomp profile lets it (Docker ≥ 23)"
_DIRECTLY = "commands run directly, for SANDBOX=container says a container is the boundary"
_REACH = "reaches the workspace, a HOME and TMPDIR of its own and the system's programs"
# what no version of Landlock covers, or none that we know
_OPEN = "UDP, sockets in the file system, modes and times of files, other processes' limits and command lines"
_WHY = {
    errno.ENOSYS: "this kernel has no Landlock, or a seccomp profile hides it",
    errno.EOPNOTSUPP: "Landlock is switched off in this kernel",
    errno.EPERM: "a seccomp profile refuses Landlock",
}
# What must not work, each a line of shell; and beside it what must, or the others would prove nothing. $1 is a secret
# beside the workspace, $2 a file in it, $3 our process, $4 the version of the interface.
_PROBE = """
test "$(cat "$2")" = own || { echo the workspace cannot be read; exit 1; }
touch "$HOME/probe" "$TMPDIR/probe" || { echo HOME and TMPDIR cannot be written; exit 1; }
! cat "$1" >/dev/null 2>&1 || { echo a secret beside the workspace can be read; exit 1; }
! touch "$1.new" 2>/dev/null || { echo the folder above the workspace can be written; exit 1; }
! cat "/proc/$3/environ" >/dev/null 2>&1 || { echo the environment of the agent can be read; exit 1; }
test "$4" -lt 6 || ! kill -0 "$3" 2>/dev/null || { echo the agent can be sent signals; exit 1; }
"""


@dataclass(frozen=True, slots=True)
class Offer:
    """What the kernel offers: a version of Landlock's interface, or 0 and why there is none."""

    abi: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class Bait:
    """For a probe: a workspace with a file in it, and a secret beside it."""

    workspace: Path
    argv: list[str]


def offer() -> Offer:
    """What of Landlock there is here."""
    if not sys.platform.startswith("linux"):
        return Offer(0, "Landlock is Linux's")
    try:
        return Offer(landlock.usable_abi())
    except OSError as error:
        return Offer(0, _WHY.get(error.errno or 0, f"Landlock can't be used ({error.strerror})"))


def bare(why: str) -> Level:
    """Nothing of ours confines commands."""
    return Level("container", f"{_DIRECTLY}; {why}, so they can read this container's secrets", BOUNDS, FIX)


def judged(done: Finished, abi: int) -> Level:
    """What a probe that ran under Landlock tells. One that got through means no commands at all."""
    if done.timed_out or done.exit_code != 0:
        said = (done.stdout.strip() or done.stderr.strip() or "no answer").splitlines()[-1][:300]
        return refused(said)
    still_open = "; ".join([f"not covered are {_OPEN}", *landlock_rules.gaps(abi)])
    return Level("container", f"{_DIRECTLY}; each is under Landlock (ABI {abi}) and {_REACH}; {still_open}", BOUNDS)


def refused(why: str) -> Level:
    """The kernel offers Landlock and it doesn't hold: there is more wrong than a missing feature."""
    return Level("none", f"Landlock can't confine commands here ({why})", fix="see the message; then start again")


@contextmanager
def bait(abi: int) -> Iterator[Bait]:
    """A folder with something to find, for as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="minilab-probe-") as folder:
        secret, workspace = Path(folder) / "secret", Path(folder) / "workspace"
        workspace.mkdir()
        own = workspace / "own"
        secret.write_text("canary")
        own.write_text("own")
        words = (str(secret), str(own), str(os.getpid()), str(abi))
        yield Bait(workspace, ["/bin/sh", "-c", _PROBE, "probe", *words])


def private_folder() -> Path:
    """A home and a place for temporary files, of one call: `home` and `tmp` in a new folder."""
    folder = Path(tempfile.mkdtemp(prefix="minilab-call-"))
    for name in ("home", "tmp"):
        (folder / name).mkdir()
    return folder


def remove(folder: Path) -> None:
    """Remove such a folder, whatever its command did to it."""
    for above, names, _ in os.walk(folder):
        for name in names:
            path = Path(above) / name
            with suppress(OSError):
                if not path.is_symlink():
                    path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
