"""The team's files: confined, bounded, written in one step."""

import asyncio
import fcntl
import os
import stat
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from agents.domain.errors import PathEscape, QuotaExceeded, ToolError, ToolTimeout
from agents.executors.confinement import Cage
from agents.executors.file_errors import named, ordinary
from agents.executors.places import MACHINE_MADE, TEMPORARY_PREFIX, Naming, Place, is_state
from agents.executors.texts import Content, edited, same_line_ends

READ_BYTES = 16 << 20
LOCK_SECONDS = 15.0
USAGE_SECONDS = 5.0
STALE_SECONDS = 600.0  # a write takes no such time: whoever began it was killed
READ_ONLY = ("docs/manual", "docs/threat_model.md")
PROTECTED = ("docs/execution_log_*",)


@dataclass(frozen=True, slots=True)
class Quota:
    """Bounds on what the file tools write: bytes per file, bytes and files in all."""

    file_bytes: int = 2 << 20
    total_bytes: int = 512 << 20
    files: int = 20_000


@dataclass(frozen=True, slots=True)
class Entry:
    """Something in a folder. `kind` is file, folder, link, state (Terraform's) or other; `modified` is Unix time."""

    place: Place
    kind: str
    size: int
    modified: float


@dataclass(frozen=True, slots=True)
class Written:
    """One write: the bytes before (None: there was no file) and after (None: there is none any more)."""

    place: Place
    before: bytes | None
    after: bytes | None


class Workspace:
    """Reads and writes below `roots` (name → host directory), and nowhere else.

    Methods raise PathEscape for a place agents may not touch, QuotaExceeded, and ToolError naming the file otherwise.
    They are synchronous and short; a write waits for the disk, so call it in a thread.
    """

    def __init__(
        self,
        roots: Mapping[str, Path],
        read_only: Sequence[str] = READ_ONLY,
        protected: Sequence[str] = PROTECTED,
        quota: Quota | None = None,
        *,
        openat2: bool | None = None,
    ) -> None:
        for directory in roots.values():
            directory.mkdir(parents=True, exist_ok=True)
        self._cages = {name: Cage(directory, openat2=openat2) for name, directory in roots.items()}
        self._naming = Naming({name: cage.directory for name, cage in self._cages.items()}, read_only, protected)
        self._quota = quota or Quota()
        self._usage = (0, 0, float("-inf"))

    @property
    def roots(self) -> dict[str, Path]:
        """Each root's host directory."""
        return {name: cage.directory for name, cage in self._cages.items()}

    def place(self, path: str) -> Place:
        """The place `path` names; it need not exist. Raise PathEscape."""
        return self._naming.place(path)

    def shown(self, path: str) -> str:
        """The one name everybody uses for `path`: "config/site/index.html". Raise PathEscape."""
        return str(self._naming.place(path))

    def host_path(self, path: str, *, must_exist: bool = True) -> Path:
        """The host's path of `path`, for executors. Raise PathEscape where a link is on the way.

        It is checked now, not when it is used: what runs on it must be confined by other means as well.
        """
        place = self._readable(path)
        cage = self._cages[place.root]
        with named(place):
            depth = len(place.parts)
            while True:
                try:
                    ordinary(place, cage.status(place.parts[:depth]))
                    break
                except FileNotFoundError:
                    if must_exist:
                        raise ToolError(self._missing(place)) from None
                    depth -= 1  # ends at the root: it was made at the start
        return cage.directory.joinpath(*place.parts)

    def kind(self, path: str) -> str | None:
        """What is there: file, folder, link, other; None: nothing."""
        place = self._below_root(path)
        with named(place):
            try:
                return _kind(self._cages[place.root].status(place.parts).st_mode)
            except FileNotFoundError:
                return None

    def read(self, path: str) -> Content:
        """The file's content. Raise ToolError where there is none."""
        place = self._readable(path)
        with named(place):
            try:
                raw, status = self._cages[place.root].read(place.parts, READ_BYTES)
            except FileNotFoundError:
                raise ToolError(self._missing(place)) from None
        ordinary(place, status)
        return Content(str(place), raw, status.st_size)

    def read_text(self, path: str) -> str:
        """The file's text as it is on disk. Raise ToolError where it is binary, not UTF-8 or too large."""
        return self.read(path).required_text()

    def write_text(self, path: str, content: str) -> Written:
        """Put `content` there, as UTF-8, as it stands."""
        return self.write_bytes(path, _encoded(path, content))

    def write_bytes(self, path: str, content: bytes) -> Written:
        """Put `content` there in one step."""
        place = self._writable(path)
        return self._replace(place, self._present(place), content)

    def append_text(self, path: str, content: str) -> Written:
        """Add `content` at the end, with the file's own line ends; a missing file is made."""
        place = self._writable(path)
        before = self._present(place)
        if before is None:
            return self._replace(place, None, _encoded(path, content))
        text = Content(str(place), before, len(before)).required_text()
        return self._replace(place, before, before + _encoded(path, same_line_ends(content, text)))

    def edit(self, path: str, old: str, new: str) -> Written:
        """Replace `old`, which must occur exactly once, by `new`; line ends may be LF or the file's own."""
        place = self._writable(path)
        before = self._present(place)
        if before is None:
            raise ToolError(self._missing(place))
        text = Content(str(place), before, len(before)).required_text()
        return self._replace(place, before, _encoded(path, edited(str(place), text, old, new)))

    def delete(self, path: str) -> Written:
        """Take away a file, a link (not what it points to) or an empty folder."""
        place = self._writable(path, delete=True)
        cage = self._cages[place.root]
        with named(place):
            try:
                status = cage.status(place.parts)
                # a hard link is taken away unread: its content may be somebody else's
                plain = _kind(status.st_mode) == "file" and status.st_nlink == 1
                before = self._present(place) if plain else None
                cage.remove(place.parts)
            except FileNotFoundError:
                raise ToolError(self._missing(place)) from None
        self._usage = (0, 0, float("-inf"))
        return Written(place, before, None)

    def entries(self, path: str = "", *, states: bool = False) -> Iterator[Entry]:
        """Everything at and below `path`, folders before what is in them; a file is listed as itself.

        What programs keep for themselves (`.git`, `.terraform`) is shown and not entered. Terraform's states, which
        may not be read, are left out unless `states`.
        """
        place = self._naming.place(path)
        if place.root:
            cage = self._cages[place.root]
            with named(place):
                try:
                    status = cage.status(place.parts)
                except FileNotFoundError:
                    raise ToolError(self._missing(place)) from None
            if not stat.S_ISDIR(status.st_mode):
                yield _entry(place, status)
                return
            with named(place):
                cage.listed(place.parts)  # says so if it may not be read
            yield from self._below(place, states)
            return
        for name, cage in self._cages.items():
            with suppress(FileNotFoundError):
                yield _entry(Place(name), cage.status(()))
            yield from self._below(Place(name), states)

    def states(self) -> list[str]:
        """Terraform's state files, where its modules are: what runs on the workspace must not see them."""
        found = self._below(Place("infra"), True) if "infra" in self._cages else ()
        return [str(entry.place) for entry in found if entry.kind == "state"]

    def sweep(self, older: float = STALE_SECONDS) -> int:
        """Take away what writes of killed processes left behind, `older` seconds at least; return how many."""
        swept = 0
        for name, cage in self._cages.items():
            folders = [entry.place for entry in self._below(Place(name), True) if entry.kind == "folder"]
            for folder in (Place(name), *folders):
                with suppress(OSError):  # gone, or somebody else's
                    for left, status in cage.listed(folder.parts):
                        if left.startswith(TEMPORARY_PREFIX) and time.time() - status.st_mtime > older:
                            cage.remove(folder.child(left).parts)
                            swept += 1
        return swept

    @asynccontextmanager
    async def exclusive(self, path: str, timeout: float = LOCK_SECONDS) -> AsyncIterator[None]:
        """Hold the workspace's lock, so that reading, changing and keeping a version is one act among all agents.

        The lock is on the directory above the root: no sandboxed command can see it, let alone hold it.
        """
        place = self._writable(path)
        fd = os.open(self._cages[place.root].directory.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            deadline = time.monotonic() + timeout
            while not _locked(fd):
                if time.monotonic() > deadline:
                    raise ToolTimeout(f"{place}: another agent has been writing for {timeout:g} s; try again")
                await asyncio.sleep(0.005)
            yield
        finally:
            os.close(fd)

    def _below_root(self, path: str) -> Place:
        place = self._naming.place(path)
        if not place.root:
            raise PathEscape(f"{path!r} names no file; start with one of: {', '.join(self._cages)}")
        return place

    def _readable(self, path: str) -> Place:
        place = self._below_root(path)
        self._naming.may_read(place)
        return place

    def _writable(self, path: str, *, delete: bool = False) -> Place:
        place = self._naming.place(path)
        self._naming.may_write(place, delete=delete)
        with named(place):  # somebody may have taken the whole root away since the start
            self._cages[place.root].directory.mkdir(parents=True, exist_ok=True)
        return place

    def _present(self, place: Place) -> bytes | None:
        """What is there now, or None. A file over the reading limit is refused, so that no write loses it."""
        with named(place):
            try:
                raw, status = self._cages[place.root].read(place.parts, READ_BYTES)
            except FileNotFoundError:
                return None
        ordinary(place, status)
        if status.st_size > READ_BYTES:
            raise QuotaExceeded(f"{place} has {status.st_size:,} bytes: too large for the file tools; use run_shell")
        return raw

    def _replace(self, place: Place, before: bytes | None, content: bytes) -> Written:
        quota = self._quota
        if len(content) > quota.file_bytes:
            raise QuotaExceeded(
                f"{place} would have {len(content):,} bytes; at most {quota.file_bytes:,} are allowed: split it"
            )
        size, files, _ = self._used()
        size += len(content) - len(before or b"")
        files += before is None
        if files > quota.files or size > quota.total_bytes:
            raise QuotaExceeded(
                f"{place}: the workspace would hold {files:,} files and {size:,} bytes; at most {quota.files:,} "
                f"files and {quota.total_bytes:,} bytes are allowed: delete what is not needed"
            )
        with named(place):
            self._cages[place.root].replace(place.parts, content)
        self._usage = (size, files, self._usage[2])
        return Written(place, before, content)

    def _used(self) -> tuple[int, int, float]:
        """Bytes, files and when they were counted; counted anew every few seconds, as others write too."""
        if time.monotonic() - self._usage[2] > USAGE_SECONDS:
            found = [entry for name in self._cages for entry in self._below(Place(name), True)]
            sizes = [entry.size for entry in found if entry.kind in ("file", "state")]
            self._usage = (sum(sizes), len(sizes), time.monotonic())
        return self._usage

    def _below(self, place: Place, states: bool) -> Iterator[Entry]:
        try:
            found = self._cages[place.root].listed(place.parts)
        except OSError:  # gone, swapped or unreadable since its folder was listed
            return
        for name, status in found:
            if name.startswith(TEMPORARY_PREFIX):
                continue
            entry = _entry(place.child(name), status)
            if not states and is_state(entry.place):
                continue
            yield entry
            if entry.kind == "folder" and name not in MACHINE_MADE:
                yield from self._below(entry.place, states)

    def _missing(self, place: Place) -> str:
        """That `place` isn't there, and what is nearby."""
        for depth in range(len(place.parts) - 1, -1, -1):
            try:
                names = [name for name, _ in self._cages[place.root].listed(place.parts[:depth])]
            except OSError:
                continue
            folder = Place(place.root, place.parts[:depth])
            return f"{place} does not exist; {folder}/ holds: {', '.join(names[:20]) or 'nothing'}"
        return f"{place} does not exist"


def _encoded(path: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ToolError(
            f"{path}: character {error.start} is half of a surrogate pair, which UTF-8 can't hold"
        ) from None


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "link"
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else "other"


def _entry(place: Place, status: os.stat_result) -> Entry:
    kind = _kind(status.st_mode)
    return Entry(place, "state" if kind == "file" and is_state(place) else kind, status.st_size, status.st_mtime)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
