"""The workspace: quotas, line ends, edits, versions of the truth in one step, and clear refusals."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from agents.domain.errors import PathEscape, QuotaExceeded, ToolError, ToolTimeout
from agents.executors import workspace as module
from agents.executors.places import TEMPORARY_PREFIX
from agents.executors.workspace import Quota, Workspace
from tests.support.files import workspace


@pytest.fixture(params=[None, False], ids=["kernel", "walk"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    return workspace(tmp_path, openat2=request.param)


def test_writes_and_reads(files: Workspace, tmp_path: Path) -> None:
    written = files.write_text("/app/config/site/index.html", "grüß\n")
    assert (str(written.place), written.before) == ("config/site/index.html", None)
    assert (tmp_path / "generated_iac/config/site/index.html").read_text() == "grüß\n"
    assert files.read_text("config/site/index.html") == "grüß\n"
    assert files.write_text("config/site/index.html", "").before == "grüß\n".encode()
    assert files.shown("/tmp/app/x") == "tmp/x"
    assert files.kind("config/site") == "folder"
    assert files.kind("config/none") is None


def test_the_manual_is_read_and_never_written(files: Workspace) -> None:
    assert files.read_text("docs/manual/architecture.md") == "the manual\n"
    for act in (
        lambda: files.write_text("docs/manual/architecture.md", "x"),
        lambda: files.append_text("docs/manual/new.md", "x"),
        lambda: files.edit("docs/manual/architecture.md", "the", "no"),
        lambda: files.delete("docs/manual/architecture.md"),
        lambda: files.write_bytes("docs/execution_log_Coder.md", b""),
        lambda: files.write_text("config/.git/hooks/pre-commit", "#!/bin/sh"),
        lambda: files.write_text("prompts/Coder.md", "x"),
        lambda: files.read_text("../.env"),
    ):
        with pytest.raises(PathEscape):
            act()
    assert files.read_text("docs/manual/architecture.md") == "the manual\n"
    files.write_text("docs/manual.md", "x")


def test_links_are_refused_by_name(files: Workspace, tmp_path: Path) -> None:
    config = files.roots["config"]
    (config / "leak").symlink_to(tmp_path / ".env")
    (config / "away").symlink_to("/")
    for path in ("config/leak", "config/away/etc/passwd"):
        with pytest.raises(PathEscape, match="symbolic link"):
            files.read(path)
        with pytest.raises(PathEscape, match="symbolic link"):
            files.write_text(path, "x")
        with pytest.raises(PathEscape, match="symbolic link"):
            files.host_path(path)
    assert files.kind("config/leak") == "link"
    assert files.delete("config/leak").before is None
    assert (tmp_path / ".env").read_text() == "OPENAI_API_KEY=outside\n"


def test_a_hard_link_to_the_outside_is_not_read(files: Workspace, tmp_path: Path) -> None:
    (files.roots["config"] / "leak").hardlink_to(tmp_path / ".env")
    for act in (
        lambda: files.read("config/leak"),
        lambda: files.append_text("config/leak", "x"),
        lambda: files.write_text("config/leak", "x"),
        lambda: files.host_path("config/leak"),
    ):
        with pytest.raises(PathEscape, match="2 hard links"):
            act()
    assert files.delete("config/leak").before is None
    assert (tmp_path / ".env").read_text() == "OPENAI_API_KEY=outside\n"


def test_what_is_no_file_says_what_it_is(files: Workspace) -> None:
    os.mkfifo(files.roots["tmp"] / "fifo")
    files.write_text("tmp/folder/file", "x")
    for path, why in (
        ("tmp/fifo", "not a regular file"),
        ("tmp/folder", "a folder, not a file"),
        ("tmp/folder/file/x", "a part of it is a file"),
        ("tmp/none", "tmp/none does not exist; tmp/ holds: fifo, folder"),
        ("tmp/folder/a/b", "tmp/folder/ holds: file"),
    ):
        with pytest.raises(ToolError, match=why):
            files.read(path)
    with pytest.raises(ToolError, match="does not exist"):
        files.edit("tmp/none", "a", "b")
    with pytest.raises(ToolError, match="does not exist"):
        files.delete("tmp/none")
    with pytest.raises(ToolError, match="not empty"):
        files.delete("tmp/folder")
    with pytest.raises(PathEscape, match="names no file"):
        files.read("")


def test_host_paths(files: Workspace, tmp_path: Path) -> None:
    files.write_text("config/site.yml", "x")
    root = tmp_path / "generated_iac/config"
    assert files.host_path("config/site.yml") == root / "site.yml"
    assert files.host_path("/app/config") == root
    assert files.host_path("config/new/x", must_exist=False) == root / "new/x"
    with pytest.raises(ToolError, match="does not exist"):
        files.host_path("config/new/x")
    (root / "away").symlink_to("/")
    with pytest.raises(PathEscape):
        files.host_path("config/away/new", must_exist=False)


BINARY = {
    b"\x7fELF\0\0": "a binary file of 6 bytes",
    "größe".encode("latin-1"): r"not UTF-8 \(byte 0xf6 at offset 2\)",
    "text".encode("utf-16"): "10 bytes of UTF-16 text",
}


def test_states_are_kept_from_every_way_in(files: Workspace) -> None:
    module = files.roots["infra"] / "site"
    (module / "terraform.tfstate.d").mkdir(parents=True)
    for name in ("terraform.tfstate", "terraform.tfstate.d/x", "main.tf", ".terraform.lock.hcl"):
        (module / name).write_text('{"secret": "hunter2"}')
    for act in (files.read, files.read_text, files.host_path, files.delete):
        with pytest.raises(PathEscape, match="Terraform's state"):
            act("infra/site/terraform.tfstate")
    with pytest.raises(PathEscape):
        files.write_text("infra/site/terraform.tfstate", "{}")
    assert [str(entry.place) for entry in files.entries("infra/site")] == [
        "infra/site/.terraform.lock.hcl",
        "infra/site/main.tf",
    ]
    shown = {str(entry.place): entry.kind for entry in files.entries("infra", states=True)}
    assert shown["infra/site/terraform.tfstate"] == shown["infra/site/terraform.tfstate.d/x"] == "state"
    # the control: what lies beside them is read, written and taken away as ever
    assert "hunter2" in files.read_text("infra/site/main.tf")
    files.write_text("infra/site/main.tf", "")
    files.delete("infra/site/.terraform.lock.hcl")


def test_what_killed_writes_left_behind_is_swept(files: Workspace) -> None:
    files.write_text("config/site/page", "kept")
    folder = files.roots["config"] / "site"
    for name in ("old", "fresh"):
        (folder / (TEMPORARY_PREFIX + name)).write_text("half a")
    os.utime(folder / (TEMPORARY_PREFIX + "old"), (0, 0))
    os.utime(folder / "page", (0, 0))
    assert files.sweep() == 1
    assert sorted(path.name for path in folder.iterdir()) == [TEMPORARY_PREFIX + "fresh", "page"]
    assert files.sweep() == 0


@pytest.mark.parametrize(("raw", "why"), BINARY.items())
def test_what_is_no_text_is_told_and_kept(files: Workspace, raw: bytes, why: str) -> None:
    files.write_bytes("tmp/it", raw)
    content = files.read("tmp/it")
    assert content.text is None
    for act in (
        lambda: files.read_text("tmp/it"),
        lambda: files.append_text("tmp/it", "x"),
        lambda: files.edit("tmp/it", "a", "b"),
    ):
        with pytest.raises(ToolError, match=why):
            act()
    assert (files.roots["tmp"] / "it").read_bytes() == raw


def test_half_a_character_is_not_written(files: Workspace) -> None:
    files.write_text("tmp/it", "kept")
    with pytest.raises(ToolError, match="surrogate"):
        files.write_text("tmp/it", "a\ud800")
    assert files.read_text("tmp/it") == "kept"


def test_crlf_is_kept(files: Workspace) -> None:
    files.write_text("tmp/dos", "one\r\ntwo\r\n")
    files.edit("tmp/dos", "one\ntwo", "eins\nzwei")
    files.append_text("tmp/dos", "drei\n")
    assert files.read_text("tmp/dos") == "eins\r\nzwei\r\ndrei\r\n"
    files.write_text("tmp/mixed", "one\r\ntwo\n")
    files.append_text("tmp/mixed", "three\n")
    assert files.read_text("tmp/mixed") == "one\r\ntwo\nthree\n"
    files.append_text("tmp/new", "x\n")
    assert files.read_text("tmp/new") == "x\n"


def test_quotas(tmp_path: Path) -> None:
    files = workspace(tmp_path, quota=Quota(file_bytes=100, total_bytes=250, files=5))
    files.write_text("tmp/a", "x" * 100)
    with pytest.raises(QuotaExceeded, match="101 bytes"):
        files.write_text("tmp/a", "x" * 101)
    with pytest.raises(QuotaExceeded):
        files.append_text("tmp/a", "x")
    files.write_text("tmp/b", "x" * 100)
    with pytest.raises(QuotaExceeded, match="delete what is not needed"):
        files.write_text("tmp/c", "x" * 100)
    files.write_text("tmp/b", "x")  # smaller is always possible
    files.write_text("tmp/c", "x")
    files.write_text("tmp/d", "x")
    with pytest.raises(QuotaExceeded, match="6 files"):
        files.write_text("tmp/e", "x")
    files.delete("tmp/d")
    files.write_text("tmp/e", "x")


def test_a_huge_file_is_neither_read_whole_nor_lost(files: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ_BYTES", 10)
    (files.roots["tmp"] / "huge").write_bytes(b"x" * 11)
    with pytest.raises(ToolError, match="too large to be read whole"):
        files.read_text("tmp/huge")
    with pytest.raises(QuotaExceeded, match="too large for the file tools"):
        files.write_text("tmp/huge", "")
    assert files.kind("tmp/huge") == "file"


def test_lists_everything_and_enters_no_link(files: Workspace) -> None:
    files.write_text("config/site/index.html", "x")
    (files.roots["config"] / "away").symlink_to("/")
    (files.roots["infra"] / "m/.terraform/providers").mkdir(parents=True)
    (files.roots["tmp"] / ".minilab-writing-1").write_text("")
    names = {str(entry.place): entry.kind for entry in files.entries()}
    assert names == {
        "infra": "folder",
        "infra/m": "folder",
        "infra/m/.terraform": "folder",
        "config": "folder",
        "config/away": "link",
        "config/site": "folder",
        "config/site/index.html": "file",
        "docs": "folder",
        "docs/manual": "folder",
        "docs/manual/architecture.md": "file",
        "tmp": "folder",
    }
    assert [str(entry.place) for entry in files.entries("config/site/index.html")] == ["config/site/index.html"]
    assert [entry.size for entry in files.entries("config/site")] == [1]
    with pytest.raises(ToolError, match="does not exist"):
        list(files.entries("config/none"))


async def test_a_root_that_was_taken_away_is_made_again(files: Workspace, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "generated_iac")
    assert next(str(entry.place) for entry in files.entries()) == "docs"
    with pytest.raises(ToolError, match="config/a does not exist"):
        files.read("config/a")
    async with files.exclusive("config/a"):
        files.write_text("config/a", "x")
    assert files.read_text("config/a") == "x"
    (tmp_path / "generated_iac/infra").symlink_to(tmp_path)
    with pytest.raises(ToolError, match=r"infra/\.env"):
        files.write_text("infra/.env", "x")
    assert (tmp_path / ".env").read_text() == "OPENAI_API_KEY=outside\n"
    (tmp_path / "generated_iac/infra").unlink()
    (tmp_path / "generated_iac/infra").write_text("a file")
    with pytest.raises(ToolError, match="infra/x: file exists"):
        files.write_text("infra/x", "x")


async def test_one_writer_at_a_time(files: Workspace) -> None:
    files.write_text("tmp/count", "0")

    async def add() -> None:
        async with files.exclusive("tmp/count"):
            value = int(files.read_text("tmp/count"))
            await asyncio.sleep(0)
            files.write_text("tmp/count", str(value + 1))

    await asyncio.gather(*(add() for _ in range(20)))
    assert files.read_text("tmp/count") == "20"


async def test_a_lock_that_never_comes_is_told(files: Workspace) -> None:
    async with files.exclusive("tmp/a"):
        with pytest.raises(ToolTimeout, match="another agent"):
            async with files.exclusive("tmp/b", timeout=0.02):
                pytest.fail("held twice")
    async with files.exclusive("tmp/b", timeout=0.02):
        pass
