"""The spool: short text passes, long text goes to a file nobody can redirect."""

from pathlib import Path

import pytest

from agents.executors import output
from agents.executors.output import Spool


def files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (folder / "output").iterdir()}


def test_short_text_passes_and_leaves_no_file(tmp_path: Path) -> None:
    assert Spool(tmp_path, cap=100).cap("x" * 100, "call") == "x" * 100
    assert not (tmp_path / "output").exists()


def test_long_text_is_kept_whole_and_shown_head_and_tail(tmp_path: Path) -> None:
    text = "HEAD" + "x" * 1000 + "TAIL"
    shown = Spool(tmp_path, cap=90).cap(text, "t1-2-run_shell")
    assert shown.startswith("HEAD")
    assert shown.endswith("TAIL")
    assert "918 characters left out; whole output: tmp/output/t1-2-run_shell.txt" in shown
    assert files(tmp_path) == {"t1-2-run_shell.txt": text}


def test_a_second_text_of_the_same_name_gets_a_file_of_its_own(tmp_path: Path) -> None:
    spool = Spool(tmp_path, cap=10)
    spool.cap("a" * 20, "call")
    shown = spool.cap("b" * 20, "call")
    assert sorted(files(tmp_path).values()) == ["a" * 20, "b" * 20]
    assert "tmp/output/call-" in shown


@pytest.mark.parametrize(
    ("name", "file"), [("../../etc/passwd", "etc-passwd.txt"), ("a b\x1b[31m", "a-b-31m.txt"), ("", "output.txt")]
)
def test_a_name_can_lead_nowhere(tmp_path: Path, name: str, file: str) -> None:
    Spool(tmp_path, cap=10).cap("x" * 20, name)
    assert list(files(tmp_path)) == [file]


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    inside = tmp_path / "tmp"
    inside.mkdir()
    (inside / "output").symlink_to(outside)
    shown = Spool(inside, cap=10).cap("x" * 20, "call")
    assert "could not be saved" in shown
    assert list(outside.iterdir()) == []


def test_a_planted_file_link_is_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "call.txt").symlink_to(victim)
    Spool(tmp_path, cap=10).cap("x" * 20, "call")
    assert victim.read_text() == "mine"


def test_a_full_disk_is_said_and_the_ends_are_shown_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "output").write_text("a file where the folder should be")
    shown = Spool(tmp_path, cap=9).cap("HEAD-x-x-x-x-x-x-TAIL", "call")
    assert "could not be saved to tmp/output" in shown
    assert shown.startswith("HEAD-")


def test_only_the_last_files_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "KEPT_FILES", 3)
    spool = Spool(tmp_path, cap=1)
    for number in range(6):
        spool.cap("xx", f"call-{number}")
    assert len(files(tmp_path)) == 3


def test_a_huge_text_is_cut_in_the_file_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "MAX_FILE_BYTES", 1 << 20)
    shown = Spool(tmp_path, cap=10).cap("x" * (2 << 20), "call")
    assert "(its first 1 MiB)" in shown
    assert len(files(tmp_path)["call.txt"]) == 1 << 20


def test_no_name_free_is_an_error_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda size: "00")
    spool = Spool(tmp_path, cap=1)
    for _ in range(2):
        spool.cap("xx", "call")
    assert "no free file name" in spool.cap("xx", "call")
