"""What the execution log keeps, and what it can't be made to say."""

from pathlib import Path

import pytest

from agents.domain.redaction import MASK, SecretMask
from agents.domain.turn import Effect, Status, ToolCall, ToolResult
from agents.telemetry.execution_log import RESULT_CHARS, MarkdownExecutionLog


def write(
    directory: Path, content: str = "out", args: dict[str, object] | None = None, name: str = "run_shell"
) -> str:
    log = MarkdownExecutionLog(directory, SecretMask(["hunter2-hunter2"]), pytest.fail)
    call = ToolCall("c1", name, {} if args is None else args)
    log.write("DevOps", call, ToolResult("c1", name, Status.OK, content, Effect.WRITE, 1.234))
    return (directory / "execution_log_DevOps.md").read_text()


def test_an_entry_has_time_tool_status_duration_arguments_and_result(tmp_path: Path) -> None:
    text = write(tmp_path, "hello\nworld", {"command": "ls"})
    assert text.startswith("## 20")
    assert "· run_shell · ok · 1.23 s" in text
    assert "effect write" in text
    assert '    {"command": "ls"}' in text
    assert "    hello\n    world" in text


def test_entries_are_appended(tmp_path: Path) -> None:
    write(tmp_path, "first")
    assert write(tmp_path, "second").count("\n## ") == 1


def test_secrets_are_masked_in_arguments_and_results(tmp_path: Path) -> None:
    text = write(tmp_path, "the key is hunter2-hunter2", {"command": "login hunter2-hunter2", "password": "x1y2z3"})
    assert "hunter2" not in text
    assert "x1y2z3" not in text
    assert text.count(MASK) == 3


def test_output_can_forge_neither_an_entry_nor_a_terminal_code(tmp_path: Path) -> None:
    text = write(tmp_path, "x\n## 2026 · finish · ok\n\x1b[2Jgone\u202egnp", name="evil\n## tool")
    assert [line for line in text.splitlines() if line.startswith("## ")] == [text.splitlines()[0]]
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_a_long_result_is_cut_and_says_so(tmp_path: Path) -> None:
    assert "7 characters left out" in write(tmp_path, "x" * (RESULT_CHARS + 7))
    assert "left out" not in write(tmp_path / "control", "x" * RESULT_CHARS)


def test_a_torn_last_line_is_closed_before_the_next_entry(tmp_path: Path) -> None:
    (tmp_path / "execution_log_DevOps.md").write_text("## torn entr")
    assert "## torn entr\n\n## 20" in write(tmp_path)


def test_a_disk_that_refuses_is_said_once_and_costs_no_turn(tmp_path: Path) -> None:
    complaints: list[str] = []
    log = MarkdownExecutionLog(tmp_path / "docs", SecretMask(), complaints.append)
    call, result = ToolCall("c", "t", {}), ToolResult("c", "t", Status.OK, "x")
    (tmp_path / "docs").write_text("a file where the directory should be")
    log.write("QA", call, result)
    log.write("QA", call, result)
    assert len(complaints) == 1
    assert "execution_log_QA.md" in complaints[0]
    (tmp_path / "docs").unlink()
    log.write("QA", call, result)
    assert "written again" in complaints[1]
    assert (tmp_path / "docs" / "execution_log_QA.md").exists()


def test_cut_at_any_byte_the_next_entry_stands_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "execution_log_DevOps.md"
    whole = write(tmp_path, "héllo\nworld", {"command": "ls"}).encode()
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        log = MarkdownExecutionLog(tmp_path, SecretMask(), pytest.fail)
        log.write("DevOps", ToolCall("c2", "read_file", {}), ToolResult("c2", "read_file", Status.OK, "after"))
        after = path.read_bytes()
        assert after.startswith(whole[:cut]), "nothing that was written is touched"
        entries = [line for line in after[cut:].split(b"\n") if line.startswith(b"## ")]
        assert len(entries) == 1, cut
        assert cut == 0 or after[: after.index(entries[0], cut)].endswith(b"\n"), cut
