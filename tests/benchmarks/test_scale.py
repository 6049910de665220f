"""The scale benchmark's own judgement, and that it runs: what it says of a machine is no test."""

import math
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from benchmarks.scale import HEAD, Level, percentile
from tests.conftest import REPOSITORY

GOOD = Level(rooms=4, offered=100, woken=100, p50=1, p99=50, redis=0.1, commands=58, workers=0.2)


def test_a_level_holds_up_to_the_bounds_and_not_beyond() -> None:
    assert GOOD.holds
    assert replace(GOOD, woken=95).holds
    assert not replace(GOOD, p99=50.1).holds
    assert not replace(GOOD, woken=94).holds
    assert "too much" in replace(GOOD, p99=51).line()
    assert "too much" not in GOOD.line()


def test_percentiles() -> None:
    times = [float(number) for number in range(1, 1001)]
    assert percentile(times, 50) == pytest.approx(500.5)
    assert 989 <= percentile(times, 99) <= 992
    assert percentile([], 99) == math.inf


@pytest.mark.real
@pytest.mark.skipif(not shutil.which("redis-server"), reason="redis-server is not installed")
def test_it_runs_and_says_what_one_redis_carries() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scale", "--quick"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(HEAD)
    for said in ("bytes per kept message", "idle rooms × 6 agents", "appendfsync always"):
        assert said in done.stdout
