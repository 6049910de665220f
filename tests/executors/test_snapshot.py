"""Snapshots: any byte, name or file makes another hash; what can't be pinned is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agents.domain.errors import Refused
from agents.executors import snapshot as module
from agents.executors.snapshot import snapshot
from agents.executors.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    space = Workspace({name: tmp_path / name for name in ("infra", "config", "docs", "tmp")})
    space.write_text("config/site/a.yml", "a: 1\n")
    space.write_text("config/site/b/c.yml", "c: 1\n")
    space.write_text("config/other.yml", "x: 1\n")
    return space


@pytest.mark.parametrize(
    "change",
    [
        lambda space: space.write_text("config/site/a.yml", "a: 2\n"),
        lambda space: space.write_text("config/site/new.yml", ""),
        lambda space: space.delete("config/site/a.yml"),
        lambda space: (space.delete("config/site/b/c.yml"), space.write_text("config/site/b/d.yml", "c: 1\n")),
        lambda space: space.write_text("config/site/empty/x", "") and space.delete("config/site/empty/x"),
    ],
)
def test_every_change_is_another_hash(workspace: Workspace, change: Callable[[Workspace], object]) -> None:
    before = snapshot(workspace, ["config/site"]).sha
    assert snapshot(workspace, ["config/site"]).sha == before
    workspace.write_text("config/other.yml", "x: 2\n")
    assert snapshot(workspace, ["config/site"]).sha == before, "what lies elsewhere doesn't count"
    change(workspace)
    assert snapshot(workspace, ["config/site"]).sha != before


def test_overlapping_paths_count_once(workspace: Workspace) -> None:
    shot = snapshot(workspace, ["config/site", "config"])
    assert sorted(shot.files) == ["config/other.yml", "config/site/a.yml", "config/site/b/c.yml"]
    assert shot.text("config/other.yml") == "x: 1\n"
    assert shot.mentions("c: 1")
    assert not shot.mentions("../")


def test_what_can_t_be_pinned_is_refused(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config/site/link").symlink_to("/etc/hostname")
    with pytest.raises(Refused, match="config/site/link is a link"):
        snapshot(workspace, ["config/site"])
    (tmp_path / "config/site/link").unlink()
    assert len(snapshot(workspace, ["config/site"]).files) == 2
    monkeypatch.setattr(module, "MOST_FILES", 1)
    with pytest.raises(Refused, match="more than can be pinned"):
        snapshot(workspace, ["config/site"])
