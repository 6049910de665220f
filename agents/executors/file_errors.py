"""What the system says of a file, in words a model can act on; and what is an ordinary file."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from agents.domain.errors import PathEscape, ToolError
from agents.executors.places import Place

_SAID = {
    errno.ENOTDIR: "a part of it is a file, not a folder",
    errno.EISDIR: "a folder, not a file; list_files shows what is in it",
    errno.EINVAL: "not a regular file (a FIFO, socket or device)",
    errno.ENXIO: "not a regular file (a FIFO, socket or device)",
    errno.ENOTEMPTY: "the folder is not empty; delete its files first",
    errno.EROFS: "the file system is read-only",
    errno.ENOSPC: "the disk is full; nothing was changed",
    errno.EDQUOT: "the disk quota is used up; nothing was changed",
}


@contextmanager
def named(place: Place) -> Iterator[None]:
    """Turn what the system says into an error that names the place. FileNotFoundError passes: callers know more."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise PathEscape(f"{place} is, or leads through, a symbolic link; links are never followed") from None
        said = _SAID.get(error.errno or 0) or os.strerror(error.errno or 0).lower()
        raise ToolError(f"{place}: {said}") from None


def ordinary(place: Place, status: os.stat_result) -> None:
    """Raise PathEscape for a link, and for a file that has a second name, which may lie outside the workspace."""
    if stat.S_ISLNK(status.st_mode):
        raise PathEscape(f"{place} is, or leads through, a symbolic link; links are never followed")
    if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
        raise PathEscape(
            f"{place} has {status.st_nlink} hard links: it may be a file from outside; make a copy of it"
        )
