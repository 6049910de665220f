"""Control groups, on a tree of plain files that stands for the kernel's."""

from pathlib import Path

import pytest

from agents.executors import cgroups


class Tree:
    """A cgroup file system as files. The kernel fills a new group by itself: so does `mkdir` here."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.own = root / "own"
        self.read_only: set[Path] = set()
        self.made: list[str] = []
        self.files = ("memory.max", "memory.swap.max", "memory.oom.group", "pids.max")
        mkdir, rmdir = Path.mkdir, Path.rmdir

        def make(path: Path, *args: object, **more: object) -> None:
            if path.parent in self.read_only:
                raise PermissionError(13, "Permission denied")
            mkdir(path, *args, **more)  # type: ignore[arg-type]
            if path.name.startswith("minilab-"):
                self.made.append(str(path.parent.relative_to(root)))

        def remove(path: Path) -> None:
            for file in path.iterdir():
                file.unlink()
            rmdir(path)

        monkeypatch.setattr(Path, "mkdir", make)
        monkeypatch.setattr(Path, "rmdir", remove)

    def find(self) -> cgroups.Groups | None:
        return cgroups.find(self.root, self.own)

    def left(self) -> list[Path]:
        return [path for path in self.root.rglob("minilab-*")]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    return Tree(tmp_path, monkeypatch)


def folder(path: Path, subtree: str | None = None) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    if subtree is not None:
        (path / "cgroup.subtree_control").write_text(subtree)
    return path


def test_version_2_takes_the_nearest_parent_that_delegates(tree: Tree) -> None:
    tree.own.write_text("0::/user/app/me.scope\n")
    folder(tree.root, "cpu memory pids")
    folder(tree.root / "user" / "app", "memory pids")
    folder(tree.root / "user" / "app" / "me.scope", "")
    groups = tree.find()
    assert groups is not None
    assert groups.version == 2
    assert set(groups.parents.values()) == {tree.root / "user" / "app"}
    assert tree.left() == []


def test_version_2_goes_on_upwards_where_it_may_not_write(tree: Tree) -> None:
    tree.own.write_text("0::/user/me\n")
    folder(tree.root, "memory pids")
    folder(tree.root / "user" / "me")
    tree.read_only = {folder(tree.root / "user", "memory pids")}
    groups = tree.find()
    assert groups is not None
    assert set(groups.parents.values()) == {tree.root}


def test_version_1_takes_our_group_or_the_mount(tree: Tree) -> None:
    tree.own.write_text("4:memory:/docker/abc\n8:pids:/here\n0::/\n")
    folder(tree.root / "memory")
    folder(tree.root / "pids" / "here")
    groups = tree.find()
    assert groups is not None
    assert groups.version == 1
    assert dict(groups.parents) == {"memory": tree.root / "memory", "pids": tree.root / "pids" / "here"}
    assert tree.left() == []


def test_the_bounds_are_written(tree: Tree) -> None:
    folder(tree.root / "g")
    groups = cgroups.Groups(2, {"memory": tree.root / "g", "pids": tree.root / "g"})
    (made,) = groups.make(memory=1000, pids=7)
    assert (Path(made) / "memory.max").read_text() == "1000"
    assert (Path(made) / "pids.max").read_text() == "7"


def test_a_missing_swap_account_is_no_fault(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_text

    def refuse(path: Path, text: str) -> int:
        if "swap" in path.name:
            raise FileNotFoundError(2, "No such file")
        return write(path, text)

    monkeypatch.setattr(Path, "write_text", refuse)
    folder(tree.root / "g")
    (made,) = cgroups.Groups(2, {"memory": tree.root / "g", "pids": tree.root / "g"}).make(memory=1, pids=1)
    assert (Path(made) / "memory.max").is_file()


@pytest.mark.parametrize("membership", ["", "0::/\n", "4:memory:/\n8:pids:/\n"])
def test_nowhere_to_make_one(tree: Tree, membership: str) -> None:
    tree.own.write_text(membership)
    assert tree.find() is None


def test_no_procfs_no_groups(tmp_path: Path) -> None:
    assert cgroups.find(tmp_path, tmp_path / "missing") is None


def test_half_made_groups_are_taken_away(tree: Tree) -> None:
    tree.own.write_text("4:memory:/\n8:pids:/\n")
    folder(tree.root / "memory")
    tree.read_only = {folder(tree.root / "pids")}
    assert tree.find() is None
    assert tree.made == ["memory"]
    assert tree.left() == []
