"""The bound on the workspace, without any command."""

from pathlib import Path

import pytest

from agents.domain.errors import QuotaExceeded
from agents.executors import disk_watch
from agents.executors.disk_watch import DiskWatch


async def test_within_its_bound_it_admits(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 10_000)
    await DiskWatch((tmp_path,), 1 << 20).admit()


async def test_over_its_bound_it_says_what_to_do_until_it_is_mended(tmp_path: Path) -> None:
    big = tmp_path / "sub" / "big"
    big.parent.mkdir()
    big.write_bytes(b"x" * (3 << 20))
    watch = DiskWatch((tmp_path,), 1 << 20)
    for _ in range(2):
        with pytest.raises(QuotaExceeded, match=r"holds 3 MiB, more than the 1 MiB allowed: delete files"):
            await watch.admit()
    big.unlink()
    await watch.admit()


async def test_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_watch, "MAX_FILES", 5)
    for number in range(6):
        (tmp_path / str(number)).write_text("")
    with pytest.raises(QuotaExceeded, match="more than the 5 files"):
        await DiskWatch((tmp_path,), 1 << 20).admit()


async def test_a_link_counts_as_itself(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"x" * (3 << 20))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    await DiskWatch((folder,), 1 << 20).admit()


async def test_a_folder_that_is_gone_counts_nothing(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    watch = DiskWatch((tmp_path / "gone", tmp_path), 1 << 20)
    monitored = watch._look()
    assert monitored[0] > 0
    assert disk_watch._usage((tmp_path / "never",)) == (0, 0)
