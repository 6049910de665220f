"""Prompts on disk: edits count from the next turn on, faults keep the last good version."""

import shutil
from pathlib import Path

import pytest

from agents.domain.errors import PromptError
from agents.runtime.prompts import THREAT_MODEL_CHARS, PromptLibrary
from tests.conftest import REPOSITORY

GOOD = "---\ntag: '@QA'\ntitle: Tester\naliases: [QA_Tester]\ntools: [run_checks]\n---\nProbe things.\n"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "_shared.md").write_text("Be honest.")
    (tmp_path / "QA.md").write_text(GOOD)
    return tmp_path


def test_an_edit_takes_effect_at_the_next_reading(directory: Path) -> None:
    prompts = PromptLibrary(directory, pytest.fail)
    before = prompts.role("QA")
    (directory / "QA.md").write_text(GOOD.replace("Probe things", "Probe everything"))
    after = prompts.role("QA")
    assert (before.prose, after.prose) == ("Probe things.", "Probe everything.")
    assert before.sha != after.sha


def test_the_shared_rules_count_in_the_hash(directory: Path) -> None:
    prompts = PromptLibrary(directory)
    before = prompts.role("QA").sha
    (directory / "_shared.md").write_text("Be very honest.")
    assert prompts.role("QA").sha != before


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("no front matter", "front matter"),
        (GOOD.replace("title: Tester\n", ""), "title"),
        (GOOD.replace("@QA", "@QC"), "@QC"),
        ("---\n: [\n---\nx", "YAML"),
    ],
)
def test_a_broken_edit_keeps_the_last_good_version_and_says_so_once(directory: Path, text: str, named: str) -> None:
    complaints: list[str] = []
    prompts = PromptLibrary(directory, complaints.append)
    good = prompts.role("QA")
    (directory / "QA.md").write_text(text)
    assert prompts.role("QA") == good
    assert prompts.role("QA") == good
    assert len(complaints) == 1
    assert "prompts/QA.md" in complaints[0]
    assert named in complaints[0]
    (directory / "QA.md").write_text(GOOD)
    prompts.role("QA")
    (directory / "QA.md").write_text(text)
    prompts.role("QA")
    assert len(complaints) == 2


def test_a_prompt_that_never_was_good_is_an_error_naming_file_and_fix(directory: Path) -> None:
    with pytest.raises(PromptError, match=r"prompts/Coder\.md: No such file.*restore"):
        PromptLibrary(directory).role("Coder")
    (directory / "Coder.md").write_bytes(b"\xff\xfe")
    with pytest.raises(PromptError, match="not UTF-8"):
        PromptLibrary(directory).role("Coder")


def test_the_roster_holds_the_roles_that_are_there(directory: Path) -> None:
    roster = PromptLibrary(directory).roster()
    assert roster.names == ("QA",)
    assert roster.tagged("@qa_tester probe") == ("QA",)


def test_security_is_given_the_threat_model_and_nobody_else(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "prompts", tmp_path / "prompts")
    model = tmp_path / "threat_model.md"
    library = PromptLibrary(tmp_path / "prompts", threat_model=model)
    without = library.role("Security")
    model.write_text("posture: homelab\n" + "x" * THREAT_MODEL_CHARS)
    given = library.role("Security")
    assert "posture: homelab" in given.prose
    assert "17 more in docs/threat_model.md" in given.prose
    assert given.sha != without.sha
    assert "posture" not in library.role("Coder").prose
