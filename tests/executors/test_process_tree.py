"""Trees, bounds and control groups, as the supervisor sees them."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.executors import process_tree


@pytest.fixture
def family() -> Iterator[subprocess.Popen[str]]:
    """A shell with two children, one of which has a child; it says when all are there."""
    script = "sleep 61 & bash -c 'sleep 62 & echo ready; wait' & wait"
    with subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True) as top:
        assert top.stdout is not None
        assert top.stdout.readline() == "ready\n"
        yield top
        os.killpg(top.pid, signal.SIGKILL)


def test_children_and_descendants(family: subprocess.Popen[str]) -> None:
    children = process_tree.children(family.pid)
    below = process_tree.descendants(family.pid)
    assert len(children) == 2
    assert len(below) == 3
    assert children < set(below)
    assert family.pid in process_tree.children(os.getpid())


def test_what_exceeds_a_bound(family: subprocess.Popen[str]) -> None:
    assert process_tree.over(family.pid, pids=2, memory=None) == "pids"
    assert process_tree.over(family.pid, pids=3, memory=None) is None
    assert process_tree.over(family.pid, pids=None, memory=1000) == "memory"
    assert process_tree.over(family.pid, pids=None, memory=1 << 40) is None
    assert process_tree.over(family.pid, pids=None, memory=None) is None


def test_a_signal_reaches_those_still_there(family: subprocess.Popen[str]) -> None:
    below = process_tree.descendants(family.pid)
    gone = subprocess.Popen(["true"])
    gone.wait()
    process_tree.kill([gone.pid, *below], signal.SIGKILL)
    family.wait(timeout=10)
    deadline = time.monotonic() + 10
    while process_tree.descendants(family.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process_tree.descendants(family.pid) == []


@pytest.mark.parametrize(
    ("files", "bound"),
    [
        ({}, None),
        ({"memory.events": "low 0\noom_kill 0\n", "pids.events": "max 0\n"}, None),
        ({"memory.events": "low 0\noom_kill 2\n"}, "memory"),
        ({"memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"}, "memory"),
        ({"pids.events": "max 41\n"}, "pids"),
        ({"pids.events": "nonsense\n"}, None),
    ],
)
def test_what_a_control_group_refused(tmp_path: Path, files: dict[str, str], bound: str | None) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert process_tree.exceeded(str(tmp_path)) == bound


def test_a_group_is_removed_once_it_is_empty(tmp_path: Path) -> None:
    group = tmp_path / "group"
    group.mkdir()
    process_tree.remove_group(str(group))
    assert not group.exists()
    process_tree.remove_group(str(group))


def test_a_group_that_stays_busy_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "group" / "busy").mkdir(parents=True)
    process_tree.remove_group(str(tmp_path / "group"))
    assert (tmp_path / "group").exists()


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        process_tree.write(str(tmp_path / "cgroup.procs"), "0")
    (tmp_path / "cgroup.procs").write_text("")
    process_tree.write(str(tmp_path / "cgroup.procs"), "0")
    assert process_tree.read(str(tmp_path / "cgroup.procs")) == b"0"
