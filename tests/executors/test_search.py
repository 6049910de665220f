"""Search: what is found, what is left out, and patterns that never end."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agents.domain.errors import InvalidArguments, ToolError, ToolTimeout
from agents.executors import search as module
from agents.executors.process import Finished, Processes
from agents.executors.search import MAX_MATCHES, Match, Search, listing
from agents.executors.search_worker import answer
from agents.executors.workspace import Workspace
from tests.support.files import workspace


def made(tmp_path: Path, processes: Processes | None = None, seconds: float = 10) -> tuple[Workspace, Search]:
    files = workspace(tmp_path)
    return files, Search(files, processes or Processes(), tmp_path, seconds)


async def test_finds_lines(tmp_path: Path) -> None:
    files, search = made(tmp_path)
    files.write_text("config/a.yml", "port: 1\r\nhost: größe\r\nport: 2\r\n")
    files.write_text("config/sub/b.yml", "port: 3")
    files.write_text("docs/c.md", "port: 4\n")
    found = await search.run(r"port: \d$", "config")
    assert found.matches == (
        Match("config/a.yml", 1, "port: 1"),
        Match("config/a.yml", 3, "port: 2"),
        Match("config/sub/b.yml", 1, "port: 3"),
    )
    assert (found.files, found.more, found.left_out) == (2, False, 0)
    assert len((await search.run("PORT")).matches) == 0
    assert len((await search.run("(?i)PORT")).matches) == 4
    assert listing((await search.run("größe")).matches) == "config/a.yml:2: host: größe"
    assert len((await search.run("port", "config/sub/b.yml")).matches) == 1


async def test_leaves_out_what_is_no_text_and_what_is_outside(tmp_path: Path) -> None:
    files, search = made(tmp_path)
    files.write_bytes("tmp/binary", b"OPENAI\0")
    (files.roots["tmp"] / "link").symlink_to(tmp_path / ".env")
    (files.roots["tmp"] / "hard").hardlink_to(tmp_path / ".env")
    (files.roots["infra"] / ".terraform").mkdir()
    (files.roots["infra"] / ".terraform/x").write_text("OPENAI")
    files.write_text("tmp/text", "OPENAI\n")
    found = await search.run("OPENAI")
    assert [match.name for match in found.matches] == ["tmp/text"]
    assert found.left_out == 2


async def test_huge_files_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, search = made(tmp_path)
    monkeypatch.setattr(module, "SEARCHED_BYTES", 5)
    files.write_text("tmp/a", "aaaa")
    files.write_text("tmp/b", "aaaa")
    found = await search.run("a", "tmp")
    assert ([match.name for match in found.matches], found.left_out) == (["tmp/a"], 1)


async def test_long_lines_and_many_matches_are_cut(tmp_path: Path) -> None:
    files, search = made(tmp_path)
    files.write_text("tmp/a", "x" * 1000 + "needle" + "y" * 1000 + "\n")
    (match,) = (await search.run("needle")).matches
    assert "needle" in match.text
    assert len(match.text) == module.LINE_CHARS
    files.write_text("tmp/b", "needle\n" * (MAX_MATCHES + 1))
    found = await search.run("needle", "tmp/b")
    assert (len(found.matches), found.more) == (MAX_MATCHES, True)


@pytest.mark.parametrize("pattern", ["(", "*", "[a", "(?P<a>", "a{5,2}", "\\", "x" * 501])
async def test_what_is_no_pattern_is_told(tmp_path: Path, pattern: str) -> None:
    _, search = made(tmp_path)
    with pytest.raises(InvalidArguments):
        await search.run(pattern)


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|aa)+$", r"^(a?){40}a{40}$"])
async def test_a_pattern_that_never_ends_is_stopped(tmp_path: Path, pattern: str) -> None:
    files, search = made(tmp_path, seconds=0.5)
    files.write_text("tmp/a", "a" * 60 + "b\n")
    with pytest.raises(ToolTimeout, match="simplify it"):
        await search.run(pattern)
    assert len((await search.run("a+b")).matches) == 1


async def test_a_pattern_that_eats_memory_ends(tmp_path: Path) -> None:
    files, search = made(tmp_path)
    files.write_text("tmp/a", "a\n")
    await search.run("(?:(?:a{900}){900}){900}b")  # the engine that unrolls repeats would take all memory


class Broken(Processes):
    """A worker that dies with a word."""

    async def run(self, argv: Sequence[str], **options: Any) -> Finished:
        return await super().run(["bash", "-c", "echo out of luck >&2; exit 3"], **options)


async def test_a_worker_that_dies_is_told(tmp_path: Path) -> None:
    _, search = made(tmp_path, Broken())
    with pytest.raises(ToolError, match="out of luck"):
        await search.run("a")


def test_the_worker_s_answer() -> None:
    request = {"pattern": "a", "files": [["f", "a\nb\na\na"]], "matches": 1, "chars": 10}
    assert answer(request) == {"matches": [("f", 1, "a"), ("f", 3, "a")]}
    assert answer(request | {"matches": 9})["matches"][-1] == ("f", 4, "a")
    assert "error" in answer(request | {"pattern": "("})
