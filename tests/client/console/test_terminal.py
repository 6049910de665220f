"""The console on a real terminal, as a person sees it."""

from collections.abc import Iterator

import pytest

from tests.client.conftest import REPOSITORY, Lab
from tests.support.pty import Pty

pytestmark = [pytest.mark.real, pytest.mark.e2e]


@pytest.fixture
def up(lab: Lab) -> Iterator[Pty]:
    """A console with a team, ready to type in."""
    terminal = lab.terminal("up")
    try:
        terminal.wait_for("/help lists")
        terminal.wait_for("of 6 · no checks yet", screen=True)
        yield terminal
    finally:
        terminal.close()


def test_the_conversation_shows_above_the_line_one_types_on(up: Pty, lab: Lab) -> None:
    up.type("activity\r")
    up.wait_for("key [redacted]")
    up.wait_for("you>", screen=True)  # the prompt goes while something is printed above it, and comes back
    shown = up.screen().splitlines()
    said = next(number for number, line in enumerate(shown) if line.endswith("User  activity"))
    assert shown[said + 1].endswith("DevOps::think  I think so")
    assert shown[said + 2].endswith("DevOps · run_ansible ok 2.1 s: changed=1")
    assert shown[said + 3].endswith("Coder  red alert [bold]kept[/bold] key [redacted]")
    assert max(number for number, line in enumerate(shown) if line.startswith("you>")) > said + 3
    assert b"\x1b[31malert" not in up.raw
    assert "hunter2" not in up.text()
    assert "hunter2" not in lab.logged()


def test_what_one_is_typing_survives_what_comes_in(up: Pty) -> None:
    up.type("activity\r")
    up.type("half a sentence")
    up.wait_for("key [redacted]")
    up.wait_for("you> half a sentence", screen=True)
    up.type(" and the rest\r")
    up.wait_for("heard: half a sentence and the rest to Architect")


def test_tab_completes_roles(up: Pty) -> None:
    up.type("@Obs")
    up.wait_for("the Observer", screen=True)
    up.type("\tlook\r")
    up.wait_for("heard: @Observer look to Observer")


def test_a_paste_of_several_lines_is_one_message(up: Pty) -> None:
    up.paste("first\nsecond\n\nthird")
    up.wait_for("third", screen=True)
    assert "heard:" not in up.text()
    up.type("\r")
    up.wait_for("heard: first")
    assert "    second" in up.text()


def test_alt_enter_starts_a_new_line(up: Pty) -> None:
    up.type("first\x1b\rsecond\r")
    up.wait_for("    second")
    up.wait_for("heard: first")


@pytest.mark.parametrize(("line", "error"), [("/chekcs", "nearest: /checks"), ("/waive nope because", "nope")])
def test_what_could_not_be_sent_stays_in_the_input(up: Pty, line: str, error: str) -> None:
    up.type(f"{line}\r")
    up.wait_for("not sent: ")
    assert error in up.text()
    up.wait_for(f"you> {line}", screen=True)
    up.type("\x03")
    up.type("still here\r")
    up.wait_for("heard: still here to Architect")


def test_an_oversized_message_stays_in_the_input(up: Pty) -> None:
    up.paste("x" * (256 * 1024 + 10))
    up.type("\r")
    up.wait_for("the limit is 262,144", 60)


def test_ctrl_c_clears_first_and_asks_second(up: Pty) -> None:
    up.type("a mistake\x03")
    up.type("\x03")
    up.wait_for("Leave?", screen=True)
    up.type("n\r")
    up.type("hello\r")
    up.wait_for("heard: hello to Architect")
    assert "a mistake" not in up.screen()
    up.type("\x03")
    up.wait_for("[y/N]", screen=True)
    up.type("\x03")
    assert up.wait_end() == 0


@pytest.mark.parametrize("keys", ["\x04", "exit\r", "/exit\r", "QUIT\r"])
def test_ways_out(up: Pty, keys: str) -> None:
    up.type(keys)
    assert up.wait_end() == 0
    assert "ending the team" in up.text()


def test_clear_asks(up: Pty) -> None:
    up.type("CLEAR\r")
    up.wait_for("wipe the history", screen=True)
    up.type("n\r")
    up.wait_for("nothing was cleared")
    up.type("CLEAR\r")
    up.wait_for("[y/N]", screen=True)
    up.type("y\r")
    up.wait_for("CLEAR: a new page")


def test_stop_and_the_receipts_show(up: Pty) -> None:
    up.type("check\r")
    up.wait_for("checks 0/1", screen=True)
    up.type("stop\r")
    up.wait_for("DevOps stopped (was idle)")
    up.wait_for(" stopped", screen=True)


def test_a_resize_keeps_the_console_usable(up: Pty) -> None:
    up.type("x" * 150)
    up.resize(50, 12)
    up.type("\x03hello small\r")
    up.wait_for("heard: hello small")
    up.resize(140, 40)
    up.type("hello large\r")
    up.wait_for("heard: hello large")
    up.wait_for("no checks yet", screen=True)


def test_history_is_kept_without_secrets(up: Pty, lab: Lab) -> None:
    up.type("the key is hunter2hunter2\r")
    up.wait_for("heard: the key is [redacted]")
    up.type("\x04")
    assert up.wait_end() == 0
    history = (lab.home / ".minilab" / "history").read_text()
    assert "the key is [redacted]" in history
    assert "hunter2" not in history


def test_a_terminal_without_size_is_waited_for(lab: Lab) -> None:
    terminal = Pty((*lab.argv, "up", "hello"), lab.env, REPOSITORY)
    try:
        terminal.process.setwinsize(0, 0)
        terminal.wait_for("starting Redis")
        terminal.process.setwinsize(30, 100)
        terminal.wait_for("heard: hello to Architect")
        assert "WARNING" not in terminal.text()
    finally:
        terminal.close()


def test_a_dumb_terminal_gets_plain_lines(lab: Lab) -> None:
    lab.env["TERM"] = "dumb"
    terminal = lab.terminal("up", "hello")
    try:
        terminal.wait_for("heard: hello to Architect")
        assert b"\x1b" not in terminal.raw
        terminal.type("exit\r")
        assert terminal.wait_end() == 0
    finally:
        terminal.close()
