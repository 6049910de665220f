"""The cage: the same answers by openat2 and by the walk, whatever lies or moves in the directory."""

import errno
import multiprocessing
import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agents.executors import confinement
from agents.executors.confinement import Cage, kernel_has_openat2
from agents.executors.places import TEMPORARY_PREFIX

SECRET = b"outside\n"
INSIDE = b"inside\n"


@pytest.fixture(params=[True, False], ids=["openat2", "walk"])
def cage(request: pytest.FixtureRequest, tmp_path: Path) -> Cage:
    """A directory with all sorts of things in it, and a secret outside."""
    if request.param and not kernel_has_openat2():
        pytest.skip("the kernel has no openat2")
    root = tmp_path / "root"
    (root / "sub/deep").mkdir(parents=True)
    (root / "file").write_bytes(INSIDE)
    (root / "sub/file").write_bytes(INSIDE)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(SECRET)
    links = {
        "to_file": outside / "secret",
        "to_folder": outside,
        "to_root": Path("/"),
        "to_self": Path("/proc/self/root"),
        "to_cwd": Path("/proc/self/cwd"),
        "relative": Path("../outside/secret"),
        "inside": Path("file"),
        "inside_folder": Path("sub"),
        "loop": Path("loop"),
        "dangling": outside / "nothing",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    os.mkfifo(root / "fifo")
    return Cage(root, openat2=request.param)


LINKED = [
    ("to_file",),
    ("to_folder", "secret"),
    ("to_root", "etc", "passwd"),
    ("to_self", "etc", "passwd"),
    ("to_cwd", "pyproject.toml"),
    ("relative",),
    ("inside",),
    ("inside_folder", "file"),
    ("loop",),
    ("loop", "x"),
    ("dangling",),
]


@pytest.mark.parametrize("parts", LINKED, ids="/".join)
def test_no_link_is_followed(cage: Cage, parts: tuple[str, ...]) -> None:
    outside = cage.directory.parent / "outside"
    for act in (
        lambda: cage.read(parts, 100),
        lambda: cage.replace(parts, b"overwritten"),
        lambda: cage.listed(parts),
    ):
        with pytest.raises(OSError) as caught:
            act()
        assert caught.value.errno == errno.ELOOP
    assert (outside / "secret").read_bytes() == SECRET
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]


def test_what_is_inside_is_read_and_written(cage: Cage) -> None:
    assert cage.read(("file",), 100)[0] == INSIDE
    assert cage.read(("sub", "file"), 3)[0] == INSIDE[:3]
    cage.replace(("new", "folder", "file"), b"x")
    assert cage.read(("new", "folder", "file"), 100)[0] == b"x"
    assert [name for name, _ in cage.listed(("sub",))] == ["deep", "file"]
    assert stat.S_ISDIR(cage.status(()).st_mode)
    assert stat.S_ISLNK(cage.status(("to_root",)).st_mode)
    with cage.opened(()) as fd:
        assert stat.S_ISDIR(os.fstat(fd).st_mode)


def test_what_is_no_file_is_not_read(cage: Cage) -> None:
    for parts, number in (((), errno.EISDIR), (("sub",), errno.EISDIR), (("fifo",), errno.EINVAL)):
        with pytest.raises(OSError) as caught:
            cage.read(parts, 100)
        assert caught.value.errno == number


def test_devices_and_sockets_are_not_read(cage: Cage) -> None:
    if os.geteuid() == 0:
        with suppress(PermissionError):  # a container may not make devices
            os.mknod(cage.directory / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
            with pytest.raises(OSError, match="regular"):
                cage.read(("null",), 100)
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(cage.directory)  # a socket's path must be short
        try:
            server.bind("socket")
        finally:
            os.chdir(here)
    with pytest.raises(OSError) as caught:
        cage.read(("socket",), 100)
    assert caught.value.errno == errno.ENXIO


@pytest.mark.parametrize("parts", [("fifo",), ("sub",), ("to_file",), ("file", "below")], ids="/".join)
def test_only_files_are_replaced(cage: Cage, parts: tuple[str, ...]) -> None:
    with pytest.raises(OSError):
        cage.replace(parts, b"x")
    assert not list(cage.directory.rglob(TEMPORARY_PREFIX + "*"))


def test_a_file_keeps_its_mode(cage: Cage) -> None:
    (cage.directory / "file").chmod(0o750)
    cage.replace(("file",), b"x")
    assert cage.status(("file",)).st_mode & 0o777 == 0o750
    cage.replace(("fresh",), b"x")
    assert cage.status(("fresh",)).st_mode & 0o777 == 0o644


def test_a_hard_link_is_replaced_and_its_other_name_left_alone(cage: Cage) -> None:
    secret = cage.directory.parent / "outside/secret"
    (cage.directory / "hard").hardlink_to(secret)
    cage.replace(("hard",), b"x")
    assert secret.read_bytes() == SECRET


def test_removes_the_link_and_not_its_target(cage: Cage) -> None:
    cage.remove(("to_file",))
    cage.remove(("to_folder",))
    cage.remove(("fifo",))
    cage.remove(("sub", "deep"))
    assert (cage.directory.parent / "outside/secret").read_bytes() == SECRET
    assert [name for name, _ in cage.listed(("sub",))] == ["file"]
    with pytest.raises(OSError):
        cage.remove(("sub",))
    with pytest.raises(FileNotFoundError):
        cage.remove(("gone",))


def test_a_write_that_breaks_leaves_what_was_there(cage: Cage, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="full"):
        cage.replace(("file",), b"new")
    monkeypatch.undo()
    assert cage.read(("file",), 100)[0] == INSIDE
    assert not list(cage.directory.rglob(TEMPORARY_PREFIX + "*"))


def test_very_deep_paths(cage: Cage) -> None:
    deep = tuple("d" for _ in range(300))
    cage.replace((*deep, "file"), b"x")
    assert cage.read((*deep, "file"), 10)[0] == b"x"


def test_leaks_no_descriptor(cage: Cage) -> None:
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = count()
    for _ in range(20):
        cage.read(("sub", "file"), 10)
        cage.replace(("sub", "file"), INSIDE)
        cage.listed(())
        for parts in LINKED:
            with suppress(OSError):
                cage.read(parts, 10)
            with suppress(OSError):
                cage.replace((*parts, "x"), b"")
    assert count() == before


def _swap(
    directory: str, began: "multiprocessing.synchronize.Event", stop: "multiprocessing.synchronize.Event"
) -> None:
    """Exchange a folder and a link to the outside, and a file and a link to the secret, as fast as it goes."""
    root = Path(directory)
    began.set()
    while not stop.is_set():
        for name, target in (("folder", "../outside"), ("leaf", "../outside/secret")):
            with suppress(OSError):
                (root / name).rename(root / f"{name}.real")
                (root / name).symlink_to(target)
                (root / name).unlink()
                (root / f"{name}.real").rename(root / name)


@pytest.fixture
def swapping(cage: Cage) -> Iterator[Cage]:
    """A cage in which another process swaps links all the time."""
    root = cage.directory
    (root / "folder").mkdir()
    (root / "folder/secret").write_bytes(INSIDE)
    (root / "leaf").write_bytes(INSIDE)
    context = multiprocessing.get_context("spawn")
    began, stop = context.Event(), context.Event()
    other = context.Process(target=_swap, args=(str(root), began, stop), daemon=True)
    other.start()
    try:
        assert began.wait(30)
        yield cage
    finally:
        stop.set()
        other.join(10)


def test_a_swapped_link_never_leads_outside(swapping: Cage) -> None:
    outside = swapping.directory.parent / "outside"
    seen: dict[str, int] = {}
    until = time.monotonic() + 15
    while time.monotonic() < until:
        for parts in (("folder", "secret"), ("leaf",)):
            try:
                content = swapping.read(parts, 100)[0]
            except OSError as error:
                seen[errno.errorcode[error.errno or 0]] = seen.get(errno.errorcode[error.errno or 0], 0) + 1
            else:
                assert content != SECRET
                seen["read"] = seen.get("read", 0) + 1
        with suppress(OSError):
            swapping.replace(("folder", "written"), b"x")
        if seen.get("ELOOP") and seen.get("read") and sum(seen.values()) > 3000:
            break
    # the positive controls: both sides of the race were met
    assert seen.get("read")
    assert seen.get("ELOOP")
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]
    assert (outside / "secret").read_bytes() == SECRET


def test_a_naive_reader_would_be_led_outside(swapping: Cage) -> None:
    """What the race is worth: without the cage the same loop reads the secret."""
    for _ in range(200_000):
        with suppress(OSError):
            if (swapping.directory / "leaf").read_bytes() == SECRET:
                return
    pytest.fail("the swapping process never got between")


def test_without_openat2_the_walk_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(directory: int, path: str, flags: int) -> int:
        raise PermissionError(errno.EPERM, "seccomp")

    monkeypatch.setattr(confinement, "_openat2", forbidden)
    kernel_has_openat2.cache_clear()
    try:
        assert not kernel_has_openat2()
        (tmp_path / "file").write_bytes(INSIDE)
        assert Cage(tmp_path).read(("file",), 10)[0] == INSIDE
    finally:
        kernel_has_openat2.cache_clear()
