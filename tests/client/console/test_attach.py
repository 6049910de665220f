"""The console as a container to which one attaches, on a terminal driven as `docker attach` does it."""

import signal
import subprocess
import termios
from collections.abc import Iterator

import pyte
import pytest

from tests.client.conftest import REPOSITORY, Lab
from tests.support.pty import Pty
from tests.support.redis_server import RedisServer, running

pytestmark = [pytest.mark.real, pytest.mark.e2e]


class Container(Pty):
    """Without a size until the first attach. What is shown while nobody is attached is seen by nobody."""

    def __init__(self, lab: Lab) -> None:
        super().__init__((*lab.argv, "console"), lab.env, REPOSITORY)
        self.process.setwinsize(0, 0)
        self.detach()

    def attach(self, columns: int = 100, rows: int = 30) -> None:
        """With a fresh terminal. The two changes may come as one: nothing makes the console look in between."""
        self._fresh(columns, rows)
        self._screen.answer = self.process.send
        self.process.setwinsize(rows + 1, columns + 1)
        self.process.setwinsize(rows, columns)

    def detach(self) -> None:
        """Nobody looks, nobody answers; `wait_for` waits for what goes to the container's log."""
        self._fresh(100, 30)

    def _fresh(self, columns: int, rows: int) -> None:
        self._screen = type(self._screen)(columns, rows, history=2000, ratio=0.5)
        self._stream = pyte.ByteStream(self._screen)


class Elsewhere:
    """Another console, which holds the team: what it says, everybody reads."""

    def __init__(self, lab: Lab) -> None:
        self._up: subprocess.Popen[str] = lab.start("up")
        assert self._up.stdout
        while "/help lists" not in (line := self._up.stdout.readline()):
            assert line, "the team didn't start"

    def say(self, text: str) -> None:
        """Say it; the Architect answers `heard: …`."""
        assert self._up.stdin
        self._up.stdin.write(f"{text}\n")
        self._up.stdin.flush()

    def hear(self, text: str) -> None:
        """Wait until `text` was shown here."""
        assert self._up.stdout
        while text not in (line := self._up.stdout.readline()):
            assert line, f"{text!r} never came"

    def close(self) -> None:
        """End it, and the team."""
        self._up.terminate()
        self._up.communicate()


@pytest.fixture
def elsewhere(lab: Lab) -> Iterator[Elsewhere]:
    """A team, and somebody else to speak."""
    other = Elsewhere(lab)
    yield other
    other.close()


@pytest.fixture
def console(lab: Lab, elsewhere: Elsewhere) -> Iterator[Container]:
    """A console that somebody attached to and typed in."""
    elsewhere.say("before")
    elsewhere.hear("heard: before")
    container = Container(lab)
    try:
        container.attach()
        container.wait_for("/help lists")
        container.wait_for("of 6 · no checks yet", screen=True)
        container.type("hello\r")
        container.wait_for("heard: hello to Architect")
        yield container
    finally:
        container.close()


def test_at_the_first_attach_one_reads_what_was_said_before_once(console: Container, elsewhere: Elsewhere) -> None:
    elsewhere.say("later")
    shown = console.wait_for("heard: later").splitlines()
    assert shown[0] == "── earlier"
    assert shown[1].endswith("User  before")
    assert shown[2].endswith("heard: before to Architect")
    assert shown[3].startswith("── room ")
    for text in ("User  before", "heard: before", "User  later", "heard: later", "── earlier"):
        assert console.text().count(text) == 1
    assert "away" not in console.text()
    assert b"\x1b[6n" not in console.raw, "nobody is asked where the cursor is while nothing changes"


def test_who_comes_back_reads_what_was_missed_once_and_goes_on_typing(
    console: Container, elsewhere: Elsewhere
) -> None:
    console.type("half a sentence")
    console.wait_for("you> half a sentence", screen=True)
    console.detach()
    for text in ("first missed", "second missed"):
        elsewhere.say(text)
        console.wait_for(f"heard: {text}")
    console.wait_for("you> half a sentence", screen=True)
    console.attach(72, 16)
    console.wait_for("while you were away: 4 messages")
    console.wait_for("you> half a sentence", screen=True)
    console.wait_for("of 6 · no checks yet", screen=True)
    shown = console.text()
    for text in ("User  first missed", "heard: first missed", "User  second missed", "heard: second missed"):
        assert shown.count(text) == 1
    assert "heard: hello" not in shown
    console.detach()
    console.attach(100, 30)
    console.wait_for("nothing new while you were away")
    console.wait_for("heard: second missed")
    assert "first missed" not in console.text()
    console.type(" and the rest\r")
    console.wait_for("heard: half a sentence and the rest to Architect")


def test_a_line_wider_than_the_new_terminal_wraps(console: Container, elsewhere: Elsewhere) -> None:
    console.detach()
    elsewhere.say("word " * 30 + "end")
    console.wait_for("end to Architect")
    console.wait_for("you>", screen=True)
    console.attach(40, 20)
    shown = console.wait_for("away: 4 messages")
    assert shown.replace("\n", "").count("word") == 60, "nothing is cut off"


def test_a_resize_is_no_attach(console: Container, elsewhere: Elsewhere) -> None:
    for columns, rows in ((90, 25), (101, 31), (120, 30)):
        console.resize(columns, rows)
        console.wait_for("of 6 · no checks yet", screen=True)
    console.attach()
    console.wait_for("while you were away")
    assert console.text().count("away: 2 messages") == 1, "the resizes didn't tell of them"
    assert console.raw.count(b"while you were away") == 1


def test_ctrl_l_shows_the_last_messages_again(console: Container) -> None:
    console.type("half\x0c")
    console.wait_for("── once more", screen=True)
    console.wait_for("you> half", screen=True)
    shown = console.screen()
    for text in ("User  before", "heard: before", "User  hello", "heard: hello"):
        assert shown.count(text) == 1
    assert "/help lists" not in shown


def test_a_question_survives(console: Container, elsewhere: Elsewhere) -> None:
    console.type("CLEAR\r")
    console.wait_for("[y/N]", screen=True)
    console.type("y")
    console.wait_for("[y/N] y", screen=True)
    console.detach()
    elsewhere.say("meanwhile")
    console.wait_for("heard: meanwhile")
    console.wait_for("[y/N] y", screen=True)
    console.attach()
    console.wait_for("away: 2 messages")
    console.wait_for("[y/N] y", screen=True)
    console.type("\r")
    console.wait_for("CLEAR: a new page")


def test_what_waits_for_the_user_is_named(console: Container, elsewhere: Elsewhere) -> None:
    console.detach()
    elsewhere.say("ask")
    console.wait_for("which port?")
    console.wait_for("you>", screen=True)
    console.attach()
    console.wait_for("── waits for your answer: [AWAITING_INPUT] which port?")


@pytest.mark.parametrize("keys", ["\x04", "exit\r"])
def test_ways_out_leave_the_team_up(console: Container, elsewhere: Elsewhere, keys: str) -> None:
    console.type(keys)
    assert console.wait_end() == 0
    assert "ending the team" not in console.text()
    elsewhere.say("still here")
    elsewhere.hear("heard: still here")


def _cooked(console: Container) -> bool:
    return bool(termios.tcgetattr(console.process.child_fd)[3] & termios.ICANON)


def test_sigterm_ends_it_and_restores_the_terminal(console: Container) -> None:
    console.wait_for("you>", screen=True)
    assert not _cooked(console)
    console.process.kill(signal.SIGTERM)
    while console.process.isalive():
        console._read(0.1)
    assert _cooked(console)
    assert console.wait_end() == 143
    assert console.raw.rindex(b"\x1b[?2004l") > console.raw.rindex(b"\x1b[?2004h")


def test_nobody_is_told_of_a_fault_before_they_come(lab: Lab) -> None:
    lab.env |= {"REDIS_URL": "redis://127.0.0.1:1/", "PATIENCE": "0.1"}
    container = Container(lab)
    try:
        assert container.process.isalive()
        container.attach()
        container.wait_for("redis://127.0.0.1:1")
        assert container.wait_end() == 1
    finally:
        container.close()


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A server that may be killed."""
    yield from running("redis-server")


def test_redis_may_go_and_come_back(lab: Lab, redis: RedisServer) -> None:
    lab.env |= {"REDIS_URL": redis.url, "PATIENCE": "0.5"}
    elsewhere = Elsewhere(lab)
    container = Container(lab)
    try:
        container.attach(columns=400)
        container.wait_for("of 6 · no checks yet", screen=True)
        redis.kill()
        container.wait_for("waiting for it, nothing is lost")
        container.type("said in vain\r")
        container.wait_for("not sent: ")
        container.wait_for("you> said in vain", screen=True)
        redis.start()
        container.wait_for("of 6 · no checks yet", screen=True)
        container.type(" and again\r")
        container.wait_for("heard: said in vain and again to Architect")
        assert container.text().count("waiting for it, nothing is lost") == 1
    finally:
        container.close()
        elsewhere.close()
