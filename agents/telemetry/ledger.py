"""`.minilab/ledger/<room>.jsonl`: every decision and effect, one hash-chained line each, never rewritten.

A line is one O_APPEND write under a file lock, so several processes may share the file. Written is not yet on the
platter: `sync` does that, and who publishes the head calls it first, about once a second. So a crashed process loses
nothing, a power cut that second at most, and a head in Redis never speaks of a line the disk might not have.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agents.domain.errors import LedgerUnavailable
from agents.domain.ledger import LedgerHead
from agents.domain.message import new_id, now
from agents.domain.ports import Redactor
from agents.telemetry import chain

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class _Tail:
    """Where the file ends: the size of its whole lines, the last one's number and hash; `torn`: bytes after them."""

    size: int
    n: int
    hash: str
    torn: bytes = b""
    damage: str = ""


class Ledger:
    """Appends lines to one room's ledger. `complain` hears once when it can't be written, and once when it can again.

    Bodies name what they are about in these fields, where they have them: `who`, `turn`, `step`, `call`, `tool`,
    `effect`, `targets`, `message` (the id that asked for it), `approval`, `digest`, `args`, `status`, `why`.
    """

    def __init__(
        self,
        directory: Path,
        room: str,
        redactor: Redactor,
        complain: Callable[[str], None],
        *,
        host: str = "",
    ) -> None:
        self.path = directory / f"{room}.jsonl"
        self._room = room
        self._redactor = redactor
        self._complain = complain
        self._host = host
        self._id = ""
        self._fd = -1
        self._inode = 0
        self._genesis = chain.genesis(room)
        self._tail = _Tail(-1, 0, self._genesis)
        self._failing = False
        self._lock = threading.Lock()

    def append(self, kind: str, body: Mapping[str, Any]) -> str:
        """Write one line; return its hash. Raise LedgerUnavailable: what can't be recorded must not be done."""
        fitted = chain.fitted(self._redactor.value(chain.plain(body)))
        try:
            with self._lock, self._held() as fd:
                self._catch_up(fd)
                digest = self._write(fd, kind, fitted)
        except OSError as error:
            text = f"the ledger {self.path} can't be written: {error.strerror}; free space or mend its permissions"
            if not self._failing:
                self._failing = True
                self._complain(f"{text}. Until then nothing but reads is done")
            raise LedgerUnavailable(text) from error
        if self._failing:
            self._failing = False
            self._complain(f"the ledger {self.path.name} is written again")
        return digest

    def note(self, kind: str, body: Mapping[str, Any]) -> None:
        """`append` for what has happened already, or changes nothing: a ledger that fails costs the line alone."""
        with contextlib.suppress(LedgerUnavailable):
            self.append(kind, body)

    def sync(self) -> LedgerHead | None:
        """Put what is written on the disk; return the head that is safe there, or None if there is none."""
        with self._lock:
            if self._fd < 0 or not self._id:
                return None
            head, fd = LedgerHead(self._id, self._host, self._tail.n, self._tail.hash), os.dup(self._fd)
        try:
            os.fdatasync(fd)
        except OSError:
            return None
        finally:
            os.close(fd)
        return head

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._drop()

    @contextlib.contextmanager
    def _held(self) -> Iterator[int]:
        """The open file, locked against other processes."""
        if self._fd >= 0 and not self._is_there():
            self._drop()
        if self._fd < 0:
            self._open()
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            yield self._fd
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _open(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fd = os.open(self.path, _FLAGS, 0o600)
        inode = os.fstat(self._fd).st_ino
        if inode != self._inode:
            self._inode, self._tail = inode, replace(self._tail, size=-1)

    def _is_there(self) -> bool:
        """Whether the path still names the open file."""
        try:
            return self.path.lstat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def _drop(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _catch_up(self, fd: int) -> None:
        """Learn what other processes wrote since; mend what a crash tore; note what somebody took away."""
        size, known = os.fstat(fd).st_size, self._tail
        if size == known.size:
            return
        grown = 0 < known.size < size
        seen = _read(fd, known if grown else _Tail(0, 0, self._genesis), known)
        if seen.torn:
            seen = self._mended(fd, seen)
        self._tail = replace(seen, torn=b"", damage="")
        if not seen.n:
            self._id = new_id()
            self._write(fd, chain.OPENED, {"ledger": self._id, "room": self._room, "host": self._host})
        elif not grown:
            self._id = _identity(fd)
        if seen.torn:
            self._write(fd, chain.TORN, {"bytes": len(seen.torn), "sha256": hashlib.sha256(seen.torn).hexdigest()})
        if seen.damage:
            self._complain(f"the ledger {self.path} was changed: {seen.damage}; `minilab ledger verify` says more")
            self._write(fd, chain.GAP, {"what": seen.damage, "lines": known.n, "hash": known.hash})

    def _mended(self, fd: int, seen: _Tail) -> _Tail:
        """End a line that lacks its newline alone; put any other torn bytes aside."""
        with contextlib.suppress(ValueError):
            line = chain.parsed(seen.torn)
            _write_all(fd, b"\n")
            return replace(seen, size=seen.size + len(seen.torn) + 1, n=seen.n + 1, hash=line.hash, torn=b"")
        self._put_aside(fd, seen)
        return seen

    def _put_aside(self, fd: int, seen: _Tail) -> None:
        """Move the torn bytes to `<room>.jsonl.torn`. A crash in between puts them there twice, and loses none."""
        aside = os.open(self.path.with_name(self.path.name + ".torn"), _FLAGS, 0o600)
        try:
            _write_all(aside, seen.torn + b"\n")
            os.fsync(aside)
        finally:
            os.close(aside)
        os.ftruncate(fd, seen.size)

    def _write(self, fd: int, kind: str, body: Mapping[str, Any]) -> str:
        """One line at the end. What can't be written whole isn't there at all."""
        tail = self._tail
        raw, digest = chain.sealed(tail.n + 1, tail.hash, now(), kind, body)
        try:
            _write_all(fd, raw)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(fd, tail.size)
            raise
        self._tail = _Tail(tail.size + len(raw), tail.n + 1, digest)
        return digest


def _write_all(fd: int, data: bytes) -> None:
    """One write; a short one means that there is no more room."""
    if os.write(fd, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _read(fd: int, start: _Tail, known: _Tail) -> _Tail:
    """The tail of the file, read from the end of `start`; `known` must be met on the way there."""
    size, n, last, torn, met = start.size, start.n, b"", b"", start.n >= known.n
    with os.fdopen(os.dup(fd), "rb") as file:
        file.seek(size)
        for raw in file:
            if not raw.endswith(b"\n"):
                torn = raw
                break
            size, n, last = size + len(raw), n + 1, raw
            if n == known.n:
                met = chain.link(raw) == known.hash
    damage = "" if met else f"line {known.n:,} isn't there any more as it was written"
    if last:
        try:
            chain.parsed(last[:-1])
        except ValueError as error:
            damage = damage or f"line {n:,} {error}"
    return _Tail(size, n, chain.link(last) if last else start.hash, torn, damage)


def _identity(fd: int) -> str:
    """The id in the file's first line; empty where that line is damaged."""
    with os.fdopen(os.dup(fd), "rb") as file:
        file.seek(0)
        try:
            return str(chain.parsed(file.readline().removesuffix(b"\n")).body.get("ledger", ""))
        except ValueError:
            return ""
