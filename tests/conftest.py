"""What every test runs under."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.redis_server import RedisServer, running

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own key or Redis must not change what the tests see."""
    for name in tuple(os.environ):
        if name.startswith(("OPENAI_", "LLM_", "REDIS_", "AGENT_", "LANGSMITH_", "LANGCHAIN_")):
            monkeypatch.delenv(name)


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    """A redis-server that the test may kill and restart."""
    yield from running("redis-server")


@pytest.fixture
def repository() -> Path:
    """The root of the repository."""
    return REPOSITORY


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With MINILAB_NO_SKIPS a skipped test fails the run: CI has everything the tests need."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("MINILAB_NO_SKIPS") and exitstatus == pytest.ExitCode.OK and reporter is not None:
        skipped = reporter.stats.get("skipped", [])
        if skipped:
            reporter.write_line(f"\n{len(skipped)} tests were skipped, and MINILAB_NO_SKIPS allows none", red=True)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
