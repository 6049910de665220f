"""Versions: one commit per write, whatever the names, whoever writes, however git is set up."""

import asyncio
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agents.domain.errors import InvalidArguments, MissingBinary, ToolError
from agents.executors.places import Place
from agents.executors.process import Finished, Processes
from agents.executors.versions import Cause, Versions, blob_id
from agents.executors.workspace import Workspace, Written
from tests.support.files import roots

CAUSE = Cause("Coder", "save_file", "turn01", 3, "call_1")


def made(tmp_path: Path, processes: Processes | None = None) -> Versions:
    for root in roots(tmp_path).values():
        root.mkdir(parents=True, exist_ok=True)
    (tmp_path / "home").mkdir(exist_ok=True)
    return Versions(processes or Processes(), tmp_path / "generated_iac", tmp_path / "home", ("infra", "config"))


def git(tmp_path: Path, *args: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(tmp_path / "generated_iac"), *args], capture_output=True, text=True, check=True, timeout=20
    )
    return done.stdout


def write(name: str, before: bytes | None, after: bytes | None) -> Written:
    root, *parts = name.split("/")
    return Written(Place(root, tuple(parts)), before, after)


async def test_a_write_is_a_commit(tmp_path: Path) -> None:
    versions = made(tmp_path)
    assert versions.covers("config/a")
    assert not versions.covers("docs/a")
    assert await versions.history("config/a") == []
    version = await versions.keep(write("config/a", None, b"one\n"), CAUSE)
    assert await versions.keep(write("config/a", b"one\n", b"one\n"), CAUSE) == ""
    (found,) = await versions.history("config/a")
    assert (found.id, found.author, found.title) == (version, "Coder", "save_file config/a")
    shown = git(tmp_path, "log", "-1", "--format=%an <%ae>%n%B")
    assert shown.splitlines()[0] == "Coder <coder@minilab.local>"
    assert "Turn: turn01\nStep: 3\nCall: call_1" in shown
    assert git(tmp_path, "show", "HEAD:config/a") == "one\n"


async def test_what_was_edited_outside_is_kept_as_found(tmp_path: Path) -> None:
    versions = made(tmp_path)
    first = await versions.keep(write("config/a", None, b"one"), CAUSE)
    await versions.keep(write("config/a", b"by hand", b"two"), CAUSE)
    history = await versions.history("config/a")
    assert [version.author for version in history] == ["Coder", "Outside", "Coder"]
    assert await versions.content("config/a", history[1].id) == b"by hand"
    assert await versions.content("config/a", first) == b"one"


async def test_a_deletion_is_a_version_and_can_be_undone(tmp_path: Path) -> None:
    versions = made(tmp_path)
    first = await versions.keep(write("config/a", None, b"one"), CAUSE)
    gone = await versions.keep(write("config/a", b"one", None), CAUSE)
    assert await versions.content("config/a", gone) is None
    assert await versions.content("config/a", first) == b"one"
    assert "config/a" not in git(tmp_path, "ls-tree", "-r", "HEAD")
    assert git(tmp_path, "status", "--short") == ""


NAMES = [
    "config/a b.txt",
    "config/größe/日本.md",
    'config/"quoted"',
    "config/:(top)x",
    "config/*",
    "config/a/--output=x",
    "config/a'b;c$(id)`id`",
    "config/HEAD",
]


@pytest.mark.parametrize("name", NAMES)
async def test_any_name(tmp_path: Path, name: str) -> None:
    versions = made(tmp_path)
    await versions.keep(write("config/other", None, b"other"), CAUSE)
    version = await versions.keep(write(name, None, b"content"), CAUSE)
    assert [found.id for found in await versions.history(name)] == [version]
    assert await versions.content(name, version) == b"content"


@pytest.mark.parametrize("content", [b"", b"\0\xff\r\n" * 1000, b"data 5\ncommit HEAD\n", b"x" * (2 << 20)])
async def test_any_content(tmp_path: Path, content: bytes) -> None:
    versions = made(tmp_path)
    version = await versions.keep(write("config/a", None, content), CAUSE)
    assert await versions.content("config/a", version) == content
    assert git(tmp_path, "rev-parse", "HEAD:config/a").strip() == blob_id(content)


async def test_what_a_model_says_stays_in_its_field(tmp_path: Path) -> None:
    versions = made(tmp_path)
    cause = Cause("Co<d>er\nx", "save_file", "t\n\nTurn: forged", 1, "call\nCall: forged\x1b[2J")
    await versions.keep(write("config/a", None, b"x"), cause)
    shown = git(tmp_path, "log", "-1", "--format=%an%n%B")
    assert shown.splitlines()[0] == "Coderx"
    assert [line for line in shown.splitlines() if line.startswith(("Turn", "Call"))] == [
        "Turn: tTurnforged",
        "Call: callCall:forged2J",
    ]


@pytest.mark.parametrize("version", ["", "HEAD", "--all", "main", "deadbeef", "zz11", "a" * 41, "HEAD~1:config/a"])
async def test_what_is_no_version(tmp_path: Path, version: str) -> None:
    versions = made(tmp_path)
    with pytest.raises(InvalidArguments):
        await versions.content("config/a", version)
    await versions.keep(write("config/a", None, b"x"), CAUSE)
    with pytest.raises(InvalidArguments, match="take an id from file_history"):
        await versions.content("config/a", version)


async def test_nothing_of_git_s_own_settings_acts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hooks, filters, fsmonitor and the user's configuration would run programs: none does."""
    versions = made(tmp_path)
    await versions.keep(write("config/a", None, b"x"), CAUSE)
    proof = tmp_path / "ran"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {proof}\n")
    script.chmod(0o755)
    hooks = tmp_path / "generated_iac/.git/hooks"
    hooks.mkdir(exist_ok=True)
    for hook in ("pre-commit", "post-commit", "reference-transaction", "post-index-change", "post-rewrite"):
        (hooks / hook).symlink_to(script)
    git(tmp_path, "config", "core.fsmonitor", str(script))
    git(tmp_path, "config", "filter.evil.clean", str(script))
    git(tmp_path, "config", "diff.evil.textconv", str(script))
    proof.unlink(missing_ok=True)
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    await versions.keep(write("config/.gitattributes", None, b"* filter=evil diff=evil\n"), CAUSE)
    version = await versions.keep(write("config/a", b"x", b"y"), CAUSE)
    await versions.history("config/a")
    assert await versions.content("config/a", version) == b"y"
    assert not proof.exists()
    monkeypatch.delenv("GIT_DIR")
    subprocess.run(["git", "add", "-A"], cwd=tmp_path / "generated_iac", check=False, capture_output=True, timeout=20)
    assert proof.exists()  # the positive control: plain git does run them


async def test_another_repository_further_up_is_never_touched(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True, timeout=20)
    versions = made(tmp_path)
    await versions.keep(write("config/a", None, b"x"), CAUSE)
    assert not list((tmp_path / ".git/refs/heads").iterdir())
    assert (tmp_path / "generated_iac/.git/refs/heads/main").exists()


async def test_a_busy_index_costs_no_version(tmp_path: Path) -> None:
    versions = made(tmp_path)
    await versions.keep(write("config/a", None, b"x"), CAUSE)
    (tmp_path / "generated_iac/.git/index.lock").write_text("")
    version = await versions.keep(write("config/a", b"x", b"y"), CAUSE)
    assert await versions.content("config/a", version) == b"y"


async def test_a_repository_that_was_removed_is_begun_again(tmp_path: Path) -> None:
    versions = made(tmp_path)
    await versions.keep(write("config/a", None, b"x"), CAUSE)
    (tmp_path / "generated_iac/.git").rename(tmp_path / "away")
    await versions.keep(write("config/a", b"x", b"y"), CAUSE)
    assert [version.author for version in await versions.history("config/a")] == ["Coder", "Outside"]


async def test_what_git_says_is_passed_on(tmp_path: Path) -> None:
    versions = made(tmp_path)
    await versions.keep(write("config/a", None, b"x"), CAUSE)
    (tmp_path / "generated_iac/.git/HEAD").write_text("nonsense\n")
    with pytest.raises(ToolError, match=r"^git "):
        await versions.keep(write("config/a", b"x", b"y"), CAUSE)


class WithoutGit(Processes):
    """A machine on which git isn't installed."""

    async def run(self, argv: Sequence[str], **options: Any) -> Finished:
        return await super().run(["no-such-git", *argv[1:]], **options)


async def test_without_git(tmp_path: Path) -> None:
    versions = made(tmp_path, WithoutGit())
    with pytest.raises(MissingBinary):
        await versions.keep(write("config/a", None, b"x"), CAUSE)
    assert await versions.history("config/a") == []


async def test_two_teams_write_at_once(tmp_path: Path) -> None:
    """Each write finds the last one, and every one of them is a version."""
    one, other = made(tmp_path), made(tmp_path)
    here, there = Workspace(roots(tmp_path)), Workspace(roots(tmp_path))

    async def add(files: Workspace, versions: Versions, name: str) -> None:
        async with files.exclusive("config/a"):
            written = files.append_text("config/a", f"{name}\n")
            await versions.keep(written, CAUSE)

    await asyncio.gather(
        *(add(here, one, f"one {n}") for n in range(8)), *(add(there, other, f"other {n}") for n in range(8))
    )
    assert len(here.read_text("config/a").splitlines()) == 16
    history = await one.history("config/a", limit=100)
    assert [version.author for version in history] == ["Coder"] * 16
    git(tmp_path, "fsck", "--strict")
