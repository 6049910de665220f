"""Five hundred kills: nothing lost, nothing said or done twice, nothing stuck."""

import shutil

import pytest

from tests.chaos.crashes import POINTS
from tests.chaos.harness import Run

pytestmark = [pytest.mark.chaos, pytest.mark.real, pytest.mark.timeout(900)]


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server isn't installed")
async def test_five_hundred_kills_lose_and_double_nothing() -> None:
    count = await Run(kills=500).count()
    print(count.report())
    assert count.clean, count.report()
    assert count.kills >= 500
    assert count.points >= len(POINTS) * 0.9, "the run must meet nearly every point"
    assert count.jobs >= 50
