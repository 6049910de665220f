"""Marked heartbeats are found fresh by the health check, old and missing ones aren't."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agents import healthcheck
from agents.telemetry.pulse import Pulse
from tests.conftest import REPOSITORY


def never(text: str) -> None:
    raise AssertionError(text)


def test_a_mark_is_fresh_for_its_role_alone_until_it_leaves(tmp_path: Path) -> None:
    pulse = Pulse(tmp_path / "pulse", never)
    pulse.mark("QA")
    assert healthcheck.main(["QA"], tmp_path) == 0
    assert healthcheck.main(["Coder"], tmp_path) == 1
    pulse.forget("QA")
    assert healthcheck.main(["QA"], tmp_path) == 1
    pulse.forget("QA")  # twice is no error


def test_an_old_mark_is_stale_until_the_next_heartbeat(tmp_path: Path) -> None:
    pulse = Pulse(tmp_path / "pulse", never)
    pulse.mark("QA")
    old = time.time() - 60
    os.utime(tmp_path / "pulse" / "QA", (old, old))
    assert healthcheck.main(["QA"], tmp_path) == 1
    assert healthcheck.main(["QA", "90"], tmp_path) == 0
    pulse.mark("QA")
    assert healthcheck.main(["QA"], tmp_path) == 0


def test_a_place_that_cannot_be_written_is_complained_of_once(tmp_path: Path) -> None:
    (tmp_path / "pulse").write_text("a file where the folder should be")
    said: list[str] = []
    pulse = Pulse(tmp_path / "pulse", said.append)
    pulse.mark("QA")
    pulse.mark("QA")
    assert len(said) == 1
    assert "health checks will fail" in said[0]


@pytest.mark.parametrize("arguments", [[], ["../../etc/passwd"], ["QA", "1", "2"]])
def test_bad_usage_is_said(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert healthcheck.main(arguments, tmp_path) == 2
    assert "usage" in capsys.readouterr().err


def test_it_needs_nothing_but_the_standard_library() -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-m", "agents.healthcheck", "Nobody"], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (1, "Nobody: no heartbeat yet\n")
