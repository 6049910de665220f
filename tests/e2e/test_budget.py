"""A budget that is spent stops the team with a report, over a restart too, until the User raises it."""

import shutil
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from tests.e2e.conftest import OBJECTIVE, Home, session

pytestmark = [pytest.mark.e2e, pytest.mark.real, pytest.mark.timeout(300)]
if not shutil.which("redis-server"):
    pytest.skip("redis-server is not installed", allow_module_level=True)


def run(home: Home, objective: str) -> subprocess.CompletedProcess[str]:
    """`minilab run` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "client.cli", "run", objective],
        cwd=REPOSITORY,
        env=home.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_spent_budget_stops_the_team_until_it_is_raised(home: Home, free_port: int) -> None:
    home.env["BUDGET_TOKENS"] = "1"
    objective = OBJECTIVE.format(port=free_port)
    first = run(home, objective)
    assert first.returncode == 4, first.stderr
    assert "the room's budget of 1 tokens is spent" in first.stdout
    assert "- Architect: 1 model calls," in first.stdout
    assert "minilab: 1 model calls," in first.stderr
    again = run(home, objective)  # a restart, and a new request
    assert again.returncode == 4, again.stderr
    assert "minilab: 0 model calls, 0 tokens in" in again.stderr
    with session(home, "up") as up:
        up.until(lambda line: "/help" in line, 60)
        up.say("/budget 9000000 tokens")
        up.until(lambda line: "the budget of this room is $1.00 and 9,000,000 tokens now" in line, 30)
        up.say(objective)
        up.until(lambda line: "QA" in line and "run_checks" in line, 120)
    assert home.wait_empty() == []
