"""Landlock as the kernel has it: its constants, what of it works here, and a ruleset put on this process.

Standard library only, and little of it: the supervisor imports it. Names are those of <linux/landlock.h> without
LANDLOCK_; the meanings are in the kernel's Documentation/userspace-api/landlock.rst.
"""

import ctypes
import errno
import os
import stat
import struct
from contextlib import suppress
from typing import Any

# the same numbers on every architecture that Python's wheels are made for
SYS_CREATE_RULESET, SYS_ADD_RULE, SYS_RESTRICT_SELF = 444, 445, 446
CREATE_RULESET_VERSION = 1 << 0
RULE_PATH_BENEATH = 1
PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_HEADER = struct.pack("=Ii", 0x20080522, 0)  # its third version, for this process
_NO_CAPABILITIES = bytes(24)

ACCESS_FS_EXECUTE = 1 << 0
ACCESS_FS_WRITE_FILE = 1 << 1
ACCESS_FS_READ_FILE = 1 << 2
ACCESS_FS_READ_DIR = 1 << 3
ACCESS_FS_REMOVE_DIR = 1 << 4
ACCESS_FS_REMOVE_FILE = 1 << 5
ACCESS_FS_MAKE_CHAR = 1 << 6
ACCESS_FS_MAKE_DIR = 1 << 7
ACCESS_FS_MAKE_REG = 1 << 8
ACCESS_FS_MAKE_SOCK = 1 << 9
ACCESS_FS_MAKE_FIFO = 1 << 10
ACCESS_FS_MAKE_BLOCK = 1 << 11
ACCESS_FS_MAKE_SYM = 1 << 12
ACCESS_FS_REFER = 1 << 13
ACCESS_FS_TRUNCATE = 1 << 14
ACCESS_FS_IOCTL_DEV = 1 << 15
ACCESS_NET_BIND_TCP = 1 << 0
ACCESS_NET_CONNECT_TCP = 1 << 1
SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0
SCOPE_SIGNAL = 1 << 1

# what a rule on something other than a folder may hold
FILE_RIGHTS = (
    ACCESS_FS_EXECUTE | ACCESS_FS_WRITE_FILE | ACCESS_FS_READ_FILE | ACCESS_FS_TRUNCATE | ACCESS_FS_IOCTL_DEV
)
# rights by the version of the interface (ABI) that brought them
FS_SINCE = (
    (1, ACCESS_FS_REFER - 1),
    (2, ACCESS_FS_REFER),
    (3, ACCESS_FS_TRUNCATE),
    (5, ACCESS_FS_IOCTL_DEV),
)
NET_SINCE = ((4, ACCESS_NET_BIND_TCP | ACCESS_NET_CONNECT_TCP),)
SCOPE_SINCE = ((6, SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL),)

_PATH = os.O_RDONLY | getattr(os, "O_PATH", 0) | os.O_CLOEXEC
# a path that can't be opened gets no rule: less is allowed then, never more
_SKIPPED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES)
_LIBC = ctypes.CDLL(None, use_errno=True)


def known(since: tuple[tuple[int, int], ...], abi: int) -> int:
    """All rights of such a table that the version knows."""
    return sum(rights for version, rights in since if version <= abi)


def usable_abi() -> int:
    """The version of the interface that works here. Raise OSError: ENOSYS where the kernel has none, EOPNOTSUPP where
    it is switched off, ENOSYS or EPERM where a seccomp profile refuses it."""
    abi = int(_syscall(SYS_CREATE_RULESET, None, 0, CREATE_RULESET_VERSION))
    # kernels with parts of it ported back claim more than they know
    while abi > 1:
        with suppress(OSError):
            os.close(_created(known(FS_SINCE, abi), known(NET_SINCE, abi), known(SCOPE_SINCE, abi)))
            break
        abi -= 1
    return abi


def restrict(ruleset: dict[str, Any]) -> None:
    """Put the ruleset on this process and all it will start, for good. Raise OSError if that can't be done.

    `ruleset` holds `fs`, `net` and `scoped`, the rights that are handled, which is to say refused unless a rule
    allows them, and `rules`, each of a path, what lies below it, and the rights it allows. The path is followed as
    the system's owner made it, links and all; in what lies below it no link is followed, for commands can make some.

    Capabilities go as well: with CAP_PERFMON, what Landlock keeps of other processes' memory would be open.
    """
    created = _created(ruleset["fs"], ruleset["net"], ruleset["scoped"])
    try:
        for path, below, allowed in ruleset["rules"]:
            _allow(created, path, below, allowed)
        if _LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "no_new_privs can't be set")
        if _LIBC.capset(_CAPABILITY_HEADER, _NO_CAPABILITIES) != 0:
            raise OSError(ctypes.get_errno(), "capabilities can't be dropped")
        _syscall(SYS_RESTRICT_SELF, created, 0)
    finally:
        os.close(created)


def _created(fs: int, net: int, scoped: int) -> int:
    # older kernels take the longer structure as long as what they don't know is zero
    attributes = struct.pack("=QQQ", fs, net, scoped)
    return _syscall(SYS_CREATE_RULESET, attributes, len(attributes), 0)


def _allow(ruleset: int, path: str, below: str, allowed: int) -> None:
    try:
        descriptor = _opened(path, below)
    except OSError as error:
        if error.errno in _SKIPPED:
            return
        raise
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISDIR(mode):
            allowed &= FILE_RIGHTS
        if allowed and not stat.S_ISLNK(mode):
            _syscall(SYS_ADD_RULE, ruleset, RULE_PATH_BENEATH, struct.pack("=Qi", allowed, descriptor), 0)
    finally:
        os.close(descriptor)


def _opened(path: str, below: str) -> int:
    """A descriptor for rules of `below` in `path`; of a link itself, should the last part be one."""
    descriptor = os.open(path, _PATH)
    parts = below.split("/") if below else []
    for number, part in enumerate(parts):
        kind = os.O_DIRECTORY if number < len(parts) - 1 else 0
        try:
            deeper = os.open(part, _PATH | os.O_NOFOLLOW | kind, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = deeper
    return descriptor


def _syscall(number: int, *arguments: int | bytes | None) -> int:
    # a C int would leave half of the register undefined
    words = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result = int(_LIBC.syscall(ctypes.c_long(number), *words))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
