"""`minilab keys`: made, shown, renewed; Redis' users written without a secret on standard output."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agents.domain.message import USER
from agents.domain.role import ROLES
from agents.room.keyring import Keyring
from tests.conftest import REPOSITORY

NAMES = (*ROLES, USER)


def keys(home: Path, *argv: str) -> "subprocess.CompletedProcess[str]":
    """As a user types it, with a home of its own."""
    return subprocess.run(
        [sys.executable, "-m", "client.cli", "keys", *argv],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "MINILAB_HOME": str(home), "ROOM": "lab"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_keys_are_made_once_and_listed(tmp_path: Path) -> None:
    empty = keys(tmp_path, "list")
    assert (empty.returncode, empty.stdout) == (1, "")
    assert "minilab keys init" in empty.stderr
    made = keys(tmp_path, "init")
    assert made.returncode == 0, made.stderr
    assert all(name in made.stdout for name in NAMES)
    assert Keyring.load(tmp_path / ".minilab" / "keys", NAMES).held == NAMES
    again = keys(tmp_path, "init")
    assert "nothing to make" in again.stdout
    (tmp_path / ".minilab" / "keys" / "QA.key").unlink()
    rows = {line.split()[0]: line for line in keys(tmp_path, "list").stdout.splitlines()}
    assert sorted(rows) == sorted(NAMES)
    assert rows["QA"].endswith("  public")
    assert rows[USER].endswith("  private and public")


def test_one_key_is_made_anew(tmp_path: Path) -> None:
    keys(tmp_path, "init")
    before = keys(tmp_path, "list").stdout.splitlines()
    renewed = keys(tmp_path, "init", "--renew", "Coder")
    assert "made in" in renewed.stdout
    assert "/clear" in renewed.stdout
    after = keys(tmp_path, "list").stdout.splitlines()
    assert {line.split()[0] for line in set(after) - set(before)} == {"Coder"}
    wrong = keys(tmp_path, "init", "--renew", "Cook")
    assert wrong.returncode == 2
    assert "no key of Cook; there are Architect" in wrong.stderr


@pytest.mark.parametrize("to_file", [True, False])
def test_redis_users_are_written_with_hashes_only(tmp_path: Path, to_file: bool) -> None:
    target = tmp_path / "users.acl"
    ran = keys(tmp_path, "acl", *([str(target)] if to_file else []))
    assert ran.returncode == 0, ran.stderr
    text = target.read_text() if to_file else ran.stdout
    assert [line.split()[1] for line in text.splitlines()] == ["default", *NAMES]
    for name in NAMES:
        file = tmp_path / ".minilab" / "keys" / f"{name}.redis-password"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_text().strip() not in text + ran.stderr
    assert keys(tmp_path, "acl").stdout == text  # the same passwords again
    if to_file:
        assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / ".minilab").write_text("in the way")
    for ran in (keys(tmp_path, "init"), keys(tmp_path, "acl")):
        assert ran.returncode == 2
        assert ".minilab" in ran.stderr
        assert "Traceback" not in ran.stderr
