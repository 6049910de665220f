"""A directory as a cage: every path below it is resolved by the kernel from the directory's own descriptor.

`openat2(RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS)` where the kernel has it, else an equal walk
with O_NOFOLLOW, one component at a time. No symbolic link is ever followed, not even one that stays inside: only
then do both ways agree on every path, whatever another process swaps meanwhile, and only then does a name in the
execution log tell which file was meant.
"""

import ctypes
import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from agents.executors.places import TEMPORARY_PREFIX

_OPENAT2 = 437  # the same number on every Linux architecture
_RESOLVE = 0x08 | 0x04 | 0x02  # BENEATH, NO_SYMLINKS, NO_MAGICLINKS
_PATH = getattr(os, "O_PATH", os.O_RDONLY)
_DIRECTORY = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class _How(ctypes.Structure):
    """`struct open_how` of openat2(2)."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


@cache
def kernel_has_openat2() -> bool:
    """Whether openat2 works here: the kernel is Linux ≥ 5.6 and no seccomp filter forbids the call."""
    if os.uname().sysname != "Linux":
        return False
    here = os.open(".", _PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.close(_openat2(here, ".", _PATH | os.O_DIRECTORY))
    except OSError:
        return False
    finally:
        os.close(here)
    return True


def _openat2(directory: int, path: str, flags: int) -> int:
    how = _How(flags | os.O_CLOEXEC, 0, _RESOLVE)
    libc = _libc()
    for _ in range(128):
        fd: int = libc.syscall(_OPENAT2, directory, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how))
        if fd >= 0:
            return fd
        code = ctypes.get_errno()
        if code not in (errno.EAGAIN, errno.EINTR):  # a rename raced the walk: the kernel asks to try again
            break
    raise OSError(code, os.strerror(code), path)


class Cage:
    """One directory nothing below can lead out of. `openat2` None: if the kernel has it.

    Methods raise OSError: ELOOP where a component is a symbolic link, else as the system call does.
    """

    def __init__(self, directory: Path, *, openat2: bool | None = None) -> None:
        self.directory = directory.resolve()
        self._openat2 = kernel_has_openat2() if openat2 is None else openat2

    @contextmanager
    def opened(self, parts: Sequence[str], flags: int = _READ) -> Iterator[int]:
        """A descriptor of the file or directory at `parts`, without waiting on a FIFO or device."""
        top = os.open(self.directory, _PATH | _DIRECTORY)
        try:
            fd = self._open(top, parts, flags)
        finally:
            os.close(top)
        try:
            yield fd
        finally:
            os.close(fd)

    def listed(self, parts: Sequence[str]) -> list[tuple[str, os.stat_result]]:
        """Names in a directory with what they are (links not followed), sorted."""
        with self.opened(parts, os.O_RDONLY | _DIRECTORY) as fd, os.scandir(fd) as entries:
            found = []
            for entry in entries:
                with suppress(FileNotFoundError):  # gone since it was listed
                    found.append((entry.name, entry.stat(follow_symlinks=False)))
            return sorted(found)

    def status(self, parts: Sequence[str]) -> os.stat_result:
        """What is at `parts`; a link at the end is reported as a link."""
        if not parts:
            with self.opened((), _PATH | _DIRECTORY) as fd:
                return os.fstat(fd)
        with self.opened(parts[:-1], _PATH | _DIRECTORY) as fd:
            return os.stat(parts[-1], dir_fd=fd, follow_symlinks=False)

    def read(self, parts: Sequence[str], limit: int) -> tuple[bytes, os.stat_result]:
        """At most `limit` bytes of a regular file and its status. Raise EINVAL for what is no regular file."""
        with self.opened(parts) as fd:
            status = os.fstat(fd)
            if stat.S_ISDIR(status.st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "not a regular file")
            chunks, left = [], limit
            while left > 0 and (chunk := os.read(fd, min(left, 1 << 20))):
                chunks.append(chunk)
                left -= len(chunk)
            return b"".join(chunks), status

    def replace(self, parts: Sequence[str], content: bytes) -> None:
        """Put `content` there in one step, durably; folders are made. An older file's mode is kept."""
        with self._folder(parts[:-1]) as fd:
            temporary = TEMPORARY_PREFIX + secrets.token_hex(8)
            try:
                _write(fd, temporary, content, _mode(fd, parts[-1]))
                os.rename(temporary, parts[-1], src_dir_fd=fd, dst_dir_fd=fd)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=fd)
                raise
            os.fsync(fd)

    def remove(self, parts: Sequence[str]) -> None:
        """Take away a file, a link (not what it points to) or an empty directory."""
        with self.opened(parts[:-1], _PATH | _DIRECTORY) as fd:
            status = os.stat(parts[-1], dir_fd=fd, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                os.rmdir(parts[-1], dir_fd=fd)
            else:
                os.unlink(parts[-1], dir_fd=fd)

    @contextmanager
    def _folder(self, parts: Sequence[str]) -> Iterator[int]:
        """A descriptor of the directory at `parts`, made where missing."""
        fd = os.open(self.directory, os.O_RDONLY | _DIRECTORY)
        try:
            for part in parts:
                with suppress(FileExistsError):
                    os.mkdir(part, 0o755, dir_fd=fd)
                fd, above = _step(fd, part, os.O_RDONLY | _DIRECTORY), fd
                os.close(above)
            yield fd
        finally:
            os.close(fd)

    def _open(self, top: int, parts: Sequence[str], flags: int) -> int:
        if self._openat2:
            # ENOTDIR may be said of a link at the end: the walk tells which it is
            with suppress(NotADirectoryError):
                return _openat2(top, "/".join(parts) or ".", flags)
        fd = os.dup(top)
        try:
            for part in parts[:-1]:
                fd, above = _step(fd, part, _PATH | _DIRECTORY), fd
                os.close(above)
            return _step(fd, parts[-1] if parts else ".", flags)
        finally:
            os.close(fd)


def _step(directory: int, name: str, flags: int) -> int:
    """Open one component. Raise ELOOP for a link, as openat2 does, where O_DIRECTORY would say ENOTDIR."""
    try:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except NotADirectoryError:
        if stat.S_ISLNK(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name) from None
        raise


def _mode(directory: int, name: str) -> int:
    """The permission bits a new version of `name` gets. Raise where a rename would silently replace no file."""
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return 0o644
    if stat.S_ISLNK(status.st_mode):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", name)
    return stat.S_IMODE(status.st_mode) & 0o777


def _write(directory: int, name: str, content: bytes, mode: int) -> None:
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
        os.fchmod(fd, mode)
        os.fsync(fd)
    finally:
        os.close(fd)
