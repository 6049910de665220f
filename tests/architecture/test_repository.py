"""The repository speaks of the product alone, and holds nothing that isn't source."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

LEFTOVERS = re.compile(r"\b(TODO|FIXME|XXX|HACK|NotImplementedError)\b")
SECRETS = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n[A-Za-z0-9+/=]{40}")


def tracked(*patterns: str) -> list[str]:
    if not (REPOSITORY / ".git").exists() or not shutil.which("git"):
        pytest.skip("not a git checkout")
    command = ["git", "-c", f"safe.directory={REPOSITORY}", "ls-files", "-z", "--", *patterns]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split("\0") if name and (REPOSITORY / name).is_file()]


def pages() -> list[Path]:
    """The manual and the pages at the root."""
    return [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs" / "manual").rglob("*.md")]


def test_no_leftovers_in_the_sources() -> None:
    marks = {
        name: found[0]
        for name in tracked("*.py", "*.lua", "*.sh", "minilab")
        if "tests/architecture" not in name and (found := LEFTOVERS.search((REPOSITORY / name).read_text()))
    }
    assert not marks


def test_nothing_the_team_or_a_machine_made_is_tracked() -> None:
    made = [
        name
        for name in tracked()
        if name.startswith(("generated_iac/", "tmp/", "client/logs/", ".venv/", ".minilab/"))
        or (name.startswith("docs/") and not name.startswith("docs/manual/"))
        or name == ".env"
    ]
    assert [name for name in made if not name.endswith(".gitkeep")] == []


def test_no_private_key_is_tracked() -> None:
    assert [name for name in tracked() if SECRETS.search((REPOSITORY / name).read_text(errors="replace"))] == []
    assert SECRETS.search("-----BEGIN OPENSSH PRIVATE KEY-----\n" + "b" * 64)


def test_every_test_folder_mirrors_a_source_folder() -> None:
    free = {"architecture", "cases", "chaos", "containers", "e2e", "safety", "support", "domain", "prompts"}
    for folder in (REPOSITORY / "tests").iterdir():
        if folder.is_dir() and folder.name not in free and folder.name != "__pycache__":
            homes = (REPOSITORY / "agents" / folder.name, REPOSITORY / folder.name)
            assert any(home.is_dir() for home in homes), folder.name


def test_every_dependency_says_why_it_is_there() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    table = (REPOSITORY / "docs/manual/reference/dependencies.md").read_text()
    names = {re.split(r"[\[><=;]", requirement)[0].strip().lower() for requirement in project["dependencies"]}
    assert {
        name for name in names if not re.search(rf"^\|.*\b{re.escape(name)}\b", table.lower(), re.MULTILINE)
    } == set()
    assert "redis" in names


@pytest.mark.parametrize("page", sorted(str(path.relative_to(REPOSITORY)) for path in pages()))
def test_links_of_a_page_lead_somewhere(page: str) -> None:
    text = (REPOSITORY / page).read_text()
    targets = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", text)
    folder = (REPOSITORY / page).parent
    assert [target for target in targets if not (folder / target).exists()] == []
