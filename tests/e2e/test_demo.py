"""The README's first command: from one sentence to a page that answers, with nothing canned in between."""

import json
import shutil
import signal
import subprocess
import sys
import urllib.request

import pytest
import redis

from tests.conftest import REPOSITORY
from tests.e2e.conftest import OBJECTIVE, Home, session

pytestmark = [pytest.mark.e2e, pytest.mark.real, pytest.mark.timeout(300)]
if not shutil.which("redis-server"):
    pytest.skip("redis-server is not installed", allow_module_level=True)


def page(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        text: str = answer.read().decode()
    return text


def test_up_ends_with_a_page_that_answers_and_leaves_nothing_behind(home: Home, free_port: int) -> None:
    with session(home, "up", OBJECTIVE.format(port=free_port)) as up:
        up.until(lambda line: "rehearsal" in line.lower(), 60)
        up.until(lambda line: "your status page answers" in line.lower(), 200)
        assert "node-2" in page(free_port)
        client = redis.Redis.from_url(home.redis_url(), decode_responses=True)
        channel = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        channel.subscribe("agent_channel")
        channel.get_message(timeout=5)
        up.say("@Observer anything to report?")
        heard = channel.get_message(timeout=10)
        assert heard is not None
        said = json.loads(heard["data"])
        assert said["sender"] == "User"
        assert said["content"] == "@Observer anything to report?"
        assert "timestamp" in said
        channel.close()
        client.close()
    assert home.wait_empty() == []
    with pytest.raises(OSError, match="refused"):
        page(free_port)
    logs = {path.name for path in (home.path / "docs").glob("execution_log_*.md")}
    assert {"execution_log_Coder.md", "execution_log_DevOps.md", "execution_log_QA.md"} <= logs
    history = subprocess.run(
        ["git", "-C", str(home.path / "generated_iac"), "log", "--format=%an"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Coder" in history.stdout


def test_kill_9_of_the_session_leaves_nothing_behind(home: Home, free_port: int) -> None:
    with session(home, "up", OBJECTIVE.format(port=free_port)) as up:
        up.until(lambda line: "run_ansible" in line, 120)
        assert len(home.processes()) > 2
        up.process.send_signal(signal.SIGKILL)
        assert home.wait_empty() == []


def test_run_prints_the_answer_alone_and_exits_0(home: Home, free_port: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "client.cli", "run", OBJECTIVE.format(port=free_port)],
        cwd=REPOSITORY,
        env=home.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Your status page answers on")
    assert "run_ansible" in done.stderr
    assert home.wait_empty() == []


def test_what_the_rehearsal_has_no_line_for_fails_loudly(home: Home) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "client.cli", "run", "Bake a cake."],
        cwd=REPOSITORY,
        env=home.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert "no line for" in done.stderr + done.stdout
