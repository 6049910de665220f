"""Sessions: started, joined, ended, killed. Real Redis, real wardens, a scripted team."""

import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from agents.domain.message import USER
from agents.domain.role import ROLES
from agents.room.keyring import create
from tests.client.conftest import Lab

pytestmark = [pytest.mark.real, pytest.mark.e2e]


def _until(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.05)


def _line(process: "subprocess.Popen[str]", text: str) -> str:
    """Everything printed up to the line that holds `text`."""
    assert process.stdout
    seen = ""
    for line in process.stdout:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"{text!r} never came:\n{seen}")


def _of(lab: Lab) -> list[psutil.Process]:
    """Every process of the lab, by the home in its environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("MINILAB_TEST_HOME") == str(lab.home) and process.status() != "zombie":
                found.append(process)
        except psutil.Error:
            continue
    return found


def _name(process: psutil.Process) -> str:
    """Its name; of one that just ended, nothing to wait for."""
    try:
        return process.name()
    except psutil.Error:
        return "tmux"


def _end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


@pytest.mark.parametrize(
    ("objective", "code", "answer", "told"),
    [
        ("done please", 0, "[DONE] the page answers\n", "[DONE]"),
        ("fail please", 1, "", "failed: Architect's turn ended: failed. 401"),
        ("halt please", 3, "\n", "STOP"),
        ("ask me", 4, "[AWAITING_INPUT] which port?\n", "which port?"),
        ("die now", 1, "", "the double dies as told"),
    ],
)
def test_run(lab: Lab, objective: str, code: int, answer: str, told: str) -> None:
    ran = lab.run("run", objective)
    assert (ran.returncode, ran.stdout) == (code, answer), ran.stderr
    assert told in ran.stderr
    assert f"User say Architect {objective}" in lab.logged()
    assert _of(lab) == []


def test_up_without_a_terminal(lab: Lab) -> None:
    typed = "hello\nactivity\n/nope\n/who\n"
    up = lab.start("up", "done", "now")
    assert up.stdin
    try:
        _line(up, "[DONE]")
        up.stdin.write(typed)
        up.stdin.flush()
        seen = _line(up, "red alert")  # the last word of the answers: a STOP before it would cut them off
        up.stdin.write("STOP\n")
        up.stdin.flush()
        seen += _line(up, "DevOps stopped (was idle)")
        assert "heard: hello to Architect" in seen
        assert "DevOps::think  I think so" in seen
        assert "DevOps · run_ansible ok 2.1 s: changed=1\n" in seen
        assert "red alert [bold]kept[/bold] key [redacted]" in seen
        assert "\x1b" not in seen
        assert "nearest: /stop" in seen
        assert "Observer   idle" in seen
        up.stdin.write("exit\n")
        up.stdin.close()
        assert up.wait(20) == 0
    finally:
        _end(up)
    assert "hunter2" not in lab.logged()
    assert _of(lab) == []


def test_the_end_of_input_is_not_the_end_of_the_session(lab: Lab) -> None:
    up = lab.start("up")
    assert up.stdin
    try:
        up.stdin.close()
        _line(up, "no more input")
        assert up.poll() is None
        up.send_signal(signal.SIGTERM)
        assert up.wait(20) == 128 + signal.SIGTERM
    finally:
        _end(up)
    assert _of(lab) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_no_signal_leaves_a_process_behind(lab: Lab, number: signal.Signals) -> None:
    up = lab.start("up", "orphans")
    try:
        _line(up, "orphaned")
        _until(lambda: len(_of(lab)) >= 4)  # the session, a warden, the team, its daemonised child
        up.send_signal(number)
        up.wait(60)
    finally:
        _end(up)
    _until(lambda: not _of(lab))


def test_a_signal_while_it_starts_leaves_nothing_behind(lab: Lab) -> None:
    up = lab.start("up", "hello")
    try:
        _line(up, "starting Redis")
        _until(lambda: len(_of(lab)) > 1)
        up.send_signal(signal.SIGINT)
        assert up.wait(20) == 128 + signal.SIGINT
    finally:
        _end(up)
    assert _of(lab) == []


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux isn't installed")
def test_tmux_kill_session_leaves_nothing_behind(lab: Lab, tmp_path: Path) -> None:
    tmux = ["tmux", "-f", "/dev/null", "-S", str(tmp_path / "tmux.sock")]
    env = {name: value for name, value in lab.env.items() if name != "TMUX"}
    argv = ["new-session", "-d", "-s", "lab", "-x", "100", "-y", "30", *lab.argv, "up", "orphans"]
    subprocess.run([*tmux, *argv], env=env, cwd=Path(__file__).parents[2], check=True)
    try:
        _until(lambda: "orphaned" in lab.logged())
        subprocess.run([*tmux, "kill-session", "-t", "lab"], env=env, check=True)
        _until(lambda: not [process for process in _of(lab) if "tmux" not in _name(process)])
    finally:
        subprocess.run([*tmux, "kill-server"], env=env, check=False, capture_output=True)


def test_a_second_start_joins_the_team_and_leaves_it_up(lab: Lab) -> None:
    up = lab.start("up")
    try:
        _line(up, "/help lists")
        ran = lab.run("run", "done again")
        assert (ran.returncode, ran.stdout) == (0, "[DONE] the page answers\n")
        assert "joining the team" in ran.stderr
        console = lab.run("console", typed="hello from the console\n/who\nexit\n")
        assert console.returncode == 0
        assert "heard: hello from the console" in lab.logged()
        assert "not in the room" not in console.stderr
        assert up.poll() is None
        assert len([process for process in _of(lab) if "scripted_team" in " ".join(process.cmdline())]) == 2
    finally:
        up.terminate()
        up.wait(20)
        _end(up)


def test_another_place_on_the_same_redis_joins_a_live_team(lab: Lab, tmp_path: Path) -> None:
    up = lab.start("up")
    try:
        _line(up, "/help lists")
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        stranger = lab.run("run", "done there", MINILAB_TEST_HOME=str(elsewhere))
        assert (stranger.returncode, stranger.stdout) == (1, "")
        assert "minilab keys init" in stranger.stderr
        (elsewhere / ".minilab" / "keys").mkdir(mode=0o700)
        for name in ("public.json", "User.key"):
            shutil.copy2(lab.home / ".minilab" / "keys" / name, elsewhere / ".minilab" / "keys" / name)
        ran = lab.run("run", "done there", MINILAB_TEST_HOME=str(elsewhere))
        assert (ran.returncode, ran.stdout) == (0, "[DONE] the page answers\n"), ran.stderr
        assert "joining the team" in ran.stderr
        assert up.poll() is None
    finally:
        up.terminate()
        up.wait(20)
        _end(up)


def test_what_a_dead_team_left_behind_is_not_joined(lab: Lab) -> None:
    up = lab.start("up")
    _line(up, "/help lists")
    _end(up)
    _until(lambda: not _of(lab))
    ran = lab.run("run", "done alone")
    assert (ran.returncode, ran.stdout) == (0, "[DONE] the page answers\n"), ran.stderr
    assert "joining" not in ran.stderr


def test_a_room_of_another_name_is_refused_with_the_way_out(lab: Lab) -> None:
    up = lab.start("up")
    try:
        _line(up, "/help lists")
        ran = lab.run("up", ROOM="another")
        assert ran.returncode == 1
        assert f"ROOM={lab.room}" in ran.stderr
        assert str(up.pid) in ran.stderr
    finally:
        up.terminate()
        up.wait(20)
        _end(up)


def test_agents_that_die_are_started_again_then_given_up(lab: Lab) -> None:
    up = lab.start("up", RESTARTS="1")
    assert up.stdin
    try:
        _line(up, "/help lists")
        up.stdin.write("die\n")
        up.stdin.flush()
        seen = _line(up, "isn't started again")  # the double reads its order again, and obeys again
        assert "starting it again" in seen
        assert "exit code 7" in seen
        assert up.wait(20) == 1
    finally:
        _end(up)
    assert _of(lab) == []


def test_a_team_that_cannot_start_says_why(lab: Lab) -> None:
    ran = lab.run("run", "hello", PYTHONWARNINGS="error", ROOM="not/a/room")
    assert ran.returncode == 1
    assert "not/a/room" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_no_redis_is_one_line_that_says_what_was_tried(lab: Lab) -> None:
    for command in ("up", "console"):
        ran = lab.run(command, REDIS_URL="redis://127.0.0.1:1/", PATIENCE="0.5")
        assert ran.returncode == 1
        last = ran.stderr.strip().splitlines()[-1]
        assert "redis://127.0.0.1:1" in last
        assert "Traceback" not in ran.stderr


def test_console_without_a_team_says_how_to_start_one(lab: Lab) -> None:
    lab.env.pop("REDIS_URL")
    ran = lab.run("console")
    assert ran.returncode == 1
    assert "no team is up here" in ran.stderr


def test_console_in_an_empty_room_names_who_is_missing(lab: Lab) -> None:
    create(lab.home / ".minilab" / "keys", (*ROLES, USER))
    ran = lab.run("console", typed="exit\n")
    assert ran.returncode == 0
    assert "not in the room: Architect, Coder, DevOps, Security, QA, Observer" in ran.stderr


def test_a_state_directory_that_cannot_be_written(lab: Lab) -> None:
    ran = lab.run("up", MINILAB_TEST_HOME="/proc/nowhere")
    assert ran.returncode == 1
    assert "can't write /proc/nowhere/.minilab" in ran.stderr
