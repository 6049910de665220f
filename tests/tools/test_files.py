"""The file tools as a model calls them."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agents.domain.errors import InvalidArguments, PathEscape, ToolError
from agents.domain.redaction import MASK
from agents.domain.turn import Effect
from agents.executors.process import Finished, Processes
from agents.tools.file_acts import LISTED, PAGE_CHARS
from tests.support.files import Desk, desk

EFFECTS = {
    "save_file": Effect.WRITE,
    "append_file": Effect.WRITE,
    "read_file": Effect.READ,
    "list_files": Effect.READ,
    "delete_file": Effect.WRITE,
    "search_files": Effect.READ,
    "edit_file": Effect.WRITE,
    "file_history": Effect.READ,
    "file_diff": Effect.READ,
    "file_restore": Effect.WRITE,
}


@pytest.fixture
def table(tmp_path: Path) -> Desk:
    return desk(tmp_path)


async def said(table: Desk, tool: str, **args: Any) -> str:
    return (await table.call(tool, **args)).content


def test_the_tools_and_what_they_do(table: Desk) -> None:
    assert {name: tool.effect for name, tool in table.tools.items()} == EFFECTS
    for tool in table.tools.values():
        schema = tool.schema()["function"]
        assert len(schema["description"]) > 40
        assert all("description" in field for field in schema["parameters"]["properties"].values())


async def test_save_read_edit_append_delete(table: Desk) -> None:
    saved = await said(table, "save_file", path="/app/config/site/a.txt", content="one\ntwo\n")
    assert saved.startswith("Saved config/site/a.txt (8 bytes, lines: 2). Version ")
    assert await said(table, "read_file", path="config/site/a.txt") == (
        "config/site/a.txt — lines: 2, 8 bytes\none\ntwo"
    )
    edited = await said(table, "edit_file", path="config/site/a.txt", old="two", new="zwei")
    assert edited.endswith("@@ -1,2 +1,2 @@\n one\n-two\n+zwei")
    appended = await said(table, "append_file", path="config/site/a.txt", content="drei\n")
    assert appended.startswith("Appended; now config/site/a.txt (14 bytes, lines: 3)")
    deleted = await said(table, "delete_file", path="config/site/a.txt")
    assert deleted.startswith("Deleted config/site/a.txt. Version ")
    assert await said(table, "delete_file", path="config/site") == "Deleted config/site."
    with pytest.raises(ToolError, match="does not exist"):
        await table.call("read_file", path="config/site/a.txt")


async def test_saving_tells_the_linter_s_verdict(table: Desk) -> None:
    assert (await said(table, "save_file", path="config/a.json", content="{}")).endswith("\nlint ok: JSON")
    broken = await said(table, "save_file", path="config/a.json", content="{")
    assert "lint: 1 problem" in broken
    assert table.workspace.read_text("config/a.json") == "{"  # saved all the same
    assert "lint: 1 problem" in await said(table, "append_file", path="config/a.json", content="\n")
    assert (await said(table, "edit_file", path="config/a.json", old="{", new="{}")).endswith("lint ok: JSON")


async def test_pages(table: Desk) -> None:
    text = "".join(f"line {number}\n" for number in range(1, 1001))
    await table.call("save_file", path="tmp/long", content=text)
    first = await said(table, "read_file", path="tmp/long")
    assert len(first) < PAGE_CHARS + 200
    until = int(first.rsplit("start_line=", 1)[1]) - 1
    assert first.startswith(f"tmp/long — lines: 1,000, {len(text):,} bytes; lines 1–{until}\nline 1\n")
    second = await said(table, "read_file", path="tmp/long", start_line=until + 1)
    assert f"\n{until + 1}| line {until + 1}\n" in second
    assert await said(table, "read_file", path="tmp/long", start_line=999) == (
        f"tmp/long — lines: 1,000, {len(text):,} bytes; lines 999–1000\n 999| line 999\n1000| line 1000"
    )
    assert (await said(table, "read_file", path="tmp/long", end_line=2)).endswith("lines 1–2\n1| line 1\n2| line 2")
    assert (await said(table, "read_file", path="tmp/long", start_line=1000, end_line=9999)).endswith("| line 1000")
    for first_line, last_line in ((1001, None), (5, 4)):
        with pytest.raises(InvalidArguments, match="has 1000 lines"):
            await table.call("read_file", path="tmp/long", start_line=first_line, end_line=last_line)


async def test_odd_files(table: Desk) -> None:
    await table.call("save_file", path="tmp/empty", content="")
    assert await said(table, "read_file", path="tmp/empty") == "tmp/empty — lines: 0, 0 bytes\n"
    await table.call("save_file", path="tmp/dos", content="\ufeffa\r\nb\r\n")
    assert await said(table, "read_file", path="tmp/dos") == "tmp/dos — lines: 2, 9 bytes, CRLF line ends\na\nb"
    await table.call("save_file", path="tmp/wide", content="x" * (PAGE_CHARS + 5) + "\nend\n")
    wide = await said(table, "read_file", path="tmp/wide")
    assert "… (5 more characters in this line)\n… more: read_file with start_line=2" in wide
    (table.workspace.roots["tmp"] / "binary").write_bytes(b"\0\1")
    assert await said(table, "read_file", path="tmp/binary") == "tmp/binary: a binary file of 2 bytes"


async def test_lists(table: Desk) -> None:
    assert await said(table, "list_files", path="config") == "config/ is empty."
    await table.call("save_file", path="config/site/a.txt", content="one\n")
    (table.workspace.roots["config"] / "\x1b[2J").write_text("")
    (table.workspace.roots["config"] / "link").symlink_to("/")
    assert await said(table, "list_files", path="config") == (
        "config/\\x1b[2J  0 bytes\nconfig/link  (link: not readable)\nconfig/site/\nconfig/site/a.txt  4 bytes"
    )
    assert "docs/manual/architecture.md" in await said(table, "list_files")
    for number in range(LISTED):
        (table.workspace.roots["tmp"] / f"{number}").write_text("")
    assert (await said(table, "list_files")).endswith("more; list a smaller folder")


async def test_searches(table: Desk) -> None:
    await table.call("save_file", path="config/a.txt", content="port: 8089\n")
    assert await said(table, "search_files", pattern=r"\d{4}") == "1 matching lines\nconfig/a.txt:1: port: 8089"
    assert "No line of 2 files matches 'nobody'." in await said(table, "search_files", pattern="nobody")
    await table.call("save_file", path="config/b.txt", content="port\n" * 200)
    assert "there are more" in await said(table, "search_files", pattern="port", path="config/b.txt")
    (table.workspace.roots["tmp"] / "binary").write_bytes(b"\0\1")
    assert "(1 binary or very large files were left out)" in await said(
        table, "search_files", pattern="x", path="tmp"
    )


async def test_versions(table: Desk) -> None:
    for text in ("one\n", "two\n", "three\n"):
        await table.call("save_file", path="config/a.txt", content=text)
    history = (await said(table, "file_history", path="config/a.txt")).splitlines()
    assert history[0] == "Versions of config/a.txt, newest first:"
    assert [line.split()[2:] for line in history[1:]] == [["Coder", "save_file", "config/a.txt"]] * 3
    oldest = history[-1].split()[0]
    assert (await said(table, "file_diff", path="config/a.txt")).endswith("-two\n+three")
    assert (await said(table, "file_diff", path="config/a.txt", version=oldest)).endswith("-one\n+three")
    await table.call("delete_file", path="config/a.txt")
    assert (await said(table, "file_diff", path="config/a.txt", version=oldest)).endswith("-one")
    restored = await said(table, "file_restore", path="config/a.txt", version=oldest)
    assert restored.startswith(f"Restored config/a.txt (4 bytes, lines: 1) from version {oldest}. Version ")
    assert table.workspace.read_text("config/a.txt") == "one\n"
    assert (await said(table, "file_diff", path="config/a.txt", version=oldest)).endswith("no difference")


async def test_what_has_no_versions_says_so(table: Desk) -> None:
    assert "Version" not in await said(table, "save_file", path="docs/a.md", content="x")
    for tool in ("file_history", "file_diff"):
        with pytest.raises(ToolError, match="only infra/ and config/ have"):
            await table.call(tool, path="docs/a.md")
    assert "no versions yet" in await said(table, "file_history", path="config/none")
    with pytest.raises(ToolError, match="no versions yet"):
        await table.call("file_diff", path="config/none")
    await table.call("save_file", path="config/a", content="x")
    assert (await said(table, "file_diff", path="config/a")).endswith("+x")
    other = (await said(table, "save_file", path="config/b", content="y")).split("Version ")[1][:10]
    first = (await said(table, "file_history", path="config/a")).split("\n")[1].split()[0]
    with pytest.raises(InvalidArguments, match="did not exist"):
        await table.call("file_restore", path="config/b", version=first)
    with pytest.raises(InvalidArguments, match="take an id from file_history"):
        await table.call("file_restore", path="config/b", version="nonsense")
    assert other
    assert "Nothing changed" in await said(table, "save_file", path="config/a", content="x")


async def test_a_binary_file_is_restored_byte_by_byte(table: Desk) -> None:
    path = table.workspace.roots["config"] / "logo.png"
    path.write_bytes(b"\x89PNG\0\xff")
    await table.call("delete_file", path="config/logo.png")
    newest, found = (await said(table, "file_history", path="config/logo.png")).split("\n")[1:]
    assert "as found" in found
    assert "lint" not in await said(table, "file_restore", path="config/logo.png", version=found.split()[0])
    assert path.read_bytes() == b"\x89PNG\0\xff"
    assert newest


class NoGit(Processes):
    """A machine on which git isn't installed."""

    async def run(self, argv: Sequence[str], **options: Any) -> Finished:
        return await super().run(["no-such-git" if argv[0] == "git" else argv[0], *argv[1:]], **options)


async def test_trouble_with_versions_never_costs_the_write(tmp_path: Path) -> None:
    for name in ("on", "off"):
        (tmp_path / name).mkdir()
    off = desk(tmp_path / "off", processes=NoGit())
    assert "Versions are off: git is not installed." in await said(off, "save_file", path="config/a", content="x")
    assert off.workspace.read_text("config/a") == "x"
    broken = desk(tmp_path / "on")
    (tmp_path / "on/generated_iac/.git").write_text("nonsense")
    assert "No version was kept: git" in await said(broken, "save_file", path="config/a", content="x")
    assert broken.workspace.read_text("config/a") == "x"


async def test_a_mask_never_overwrites_a_secret(table: Desk) -> None:
    await table.call("save_file", path="config/db.env", content="password=hunter2hunter2\nport=1\n")
    for tool, args in (
        ("save_file", {"content": f"password={MASK}\nport=2\n"}),
        ("edit_file", {"old": "port=1", "new": f"token={MASK}"}),
        ("edit_file", {"old": f"password={MASK}", "new": "password=x"}),
        ("append_file", {"content": MASK}),
    ):
        with pytest.raises(InvalidArguments, match="redacted"):
            await table.call(tool, path="config/db.env", **args)
    await table.call("edit_file", path="config/db.env", old="port=1", new="port=2")
    assert table.workspace.read_text("config/db.env") == "password=hunter2hunter2\nport=2\n"
    await table.call("save_file", path="docs/report.md", content=f"it said {MASK}")
    (table.workspace.roots["config"] / "bin").write_bytes(b"\0")
    await table.call("save_file", path="config/bin", content="text")


async def test_secrets_are_masked_in_docs(tmp_path: Path) -> None:
    table = desk(tmp_path, secrets=("s3cr3t-value",))
    await table.call("save_file", path="docs/plan.md", content="use s3cr3t-value\n")
    await table.call("append_file", path="docs/plan.md", content="or s3cr3t-value\n")
    await table.call("edit_file", path="docs/plan.md", old="or", new="s3cr3t-value")
    assert "s3cr3t" not in table.workspace.read_text("docs/plan.md")
    await table.call("save_file", path="config/app.conf", content="use s3cr3t-value\n")
    assert "s3cr3t-value" in table.workspace.read_text("config/app.conf")


ESCAPES = [
    "../.env",
    "/etc/passwd",
    "config/../../.env",
    "/proc/self/root/etc/passwd",
    "config/link/etc/passwd",
    "config/a\0b",
    "docs/manual/x",
    "docs/execution_log_Coder.md",
    "config/.git/config",
    "config/-rf",
]


@pytest.mark.parametrize("path", ESCAPES)
@pytest.mark.parametrize("tool", [name for name, effect in EFFECTS.items() if effect is Effect.WRITE])
async def test_no_writing_tool_leaves_the_workspace(table: Desk, tool: str, path: str) -> None:
    (table.workspace.roots["config"] / "link").symlink_to("/")
    args = {"content": "x", "old": "a", "new": "b", "version": "abcd1234"}
    fields = table.tools[tool].args.model_fields
    with pytest.raises((PathEscape, ToolError)):
        await table.call(tool, path=path, **{name: value for name, value in args.items() if name in fields})
    assert (table.base / ".env").read_text() == "OPENAI_API_KEY=outside\n"
    assert not (table.base / "generated_iac/.git").exists()


@pytest.mark.parametrize("path", ["../.env", "/etc/passwd", "config/link/etc/passwd", "config/leak"])
@pytest.mark.parametrize("tool", ["read_file", "list_files", "search_files", "file_history", "file_diff"])
async def test_no_reading_tool_leaves_the_workspace(table: Desk, tool: str, path: str) -> None:
    (table.workspace.roots["config"] / "link").symlink_to("/")
    (table.workspace.roots["config"] / "leak").symlink_to(table.base / ".env")
    args = {"pattern": "."} if tool == "search_files" else {}
    try:
        answer = await said(table, tool, path=path, **args)
    except (PathEscape, ToolError):
        return
    assert "outside" not in answer.replace(path, "")
    assert "root:" not in answer


async def test_agents_who_write_at_once_lose_nothing(table: Desk) -> None:
    await asyncio.gather(
        *(table.call("append_file", role=role, path="config/log.txt", content=f"{role}\n")
          for role in ("Coder", "DevOps", "QA") for _ in range(4))
    )  # fmt: skip
    assert sorted(table.workspace.read_text("config/log.txt").split()) == ["Coder"] * 4 + ["DevOps"] * 4 + ["QA"] * 4
    authors = [version.author for version in await table.versions.history("config/log.txt")]
    assert sorted(authors) == ["Coder"] * 4 + ["DevOps"] * 4 + ["QA"] * 4


async def test_the_arguments_are_checked(table: Desk) -> None:
    for tool, args in (
        ("save_file", {"path": "", "content": ""}),
        ("edit_file", {"path": "config/a", "old": "", "new": ""}),
        ("read_file", {"path": "config/a", "start_line": 0}),
        ("read_file", {"path": "config/a", "lines": 3}),
    ):
        with pytest.raises(ValidationError):
            await table.call(tool, **args)
