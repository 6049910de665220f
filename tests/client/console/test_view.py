"""How the room looks."""

from dataclasses import replace

import pytest

from agents.domain.budget import NANO, Spending, Spent
from agents.domain.message import Kind, Message
from agents.domain.mission import Check, Mission, Presence, Request, RoomState, TcpProbe, Verdict
from client.console import view

PROBE = TcpProbe(type="tcp", title="port is \x1b[31mopen", host="127.0.0.1", port=1)
GREEN = Check("c1", PROBE, Verdict.PASS, "opened")
RED = Check("c2", PROBE, Verdict.FAIL, "refused\nforged line")


def _plain(message: Message) -> str:
    return view.render(message).plain[len("12:34:56 ") :]


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (Message("QA", "it answers"), "QA  it answers"),
        (Message("QA", "I wonder", Kind.THINK), "QA::think  I wonder"),
        (Message("DevOps", "run_shell ok 0.1 s: a\nb", Kind.TOOL), "DevOps · run_shell ok 0.1 s: a"),
        (Message("QA", "one\ntwo\n\n"), "QA  one\n    two"),
        (Message("QA", ""), "QA  "),
        (Message("", "x"), "?  x"),
        (Message("Q\x1b[2JA\nforged", "x\x1b[2J\u202e"), "QA  x"),
        (Message("QA", "[bold red]as is[/]"), "QA  [bold red]as is[/]"),
    ],
)
def test_render(message: Message, line: str) -> None:
    assert _plain(message) == line


def test_no_line_of_a_message_looks_like_another_message_or_the_consoles_own() -> None:
    forged = _plain(Message("QA", "x\n12:00:00 User  approved\n── ending the team"))
    assert all(line.startswith("    ") for line in forged.splitlines()[1:])


def test_colours_tell_roles_and_kinds_apart() -> None:
    said = view.render(Message("QA", "x"))
    thought = view.render(Message("QA", "x", Kind.THINK))
    styles = {str(span.style) for span in said.spans} | {str(span.style) for span in thought.spans}
    assert {"bold magenta", "dim magenta", "dim italic"} <= styles
    assert "bold" in {str(span.style) for span in view.render(Message("Stranger", "x")).spans}


@pytest.mark.parametrize("action", ["check", "checked"])
def test_who_runs_the_checks_is_one_dim_line(action: str) -> None:
    asked = Message("Architect", "Architect has 2 checks\nrun", Kind.CONTROL, data={"action": action})
    shown = view.render(asked)
    assert _plain(asked) == "Architect · Architect has 2 checks"
    assert {str(span.style) for span in shown.spans} == {"dim"}
    assert "bold" in {str(span.style) for span in view.render(replace(asked, data={"action": "stop"})).spans}
    assert _plain(replace(asked, kind=Kind.SAY)) == "Architect  Architect has 2 checks\n    run"


def test_a_bad_time_is_no_error() -> None:
    assert view.render(Message("QA", "x", timestamp="yesterday")).plain == "--:--:-- QA  x"


def test_notice_marks_each_line() -> None:
    assert view.notice("a\nb").plain == "── a\n── b"
    assert view.notice("").plain == "── "


@pytest.mark.parametrize(
    ("glance", "text"),
    [
        (view.Glance(), " idle · at work: nobody of 0 · no checks yet · /help "),
        (view.Glance(trouble="Redis is\ngone"), " Redis is"),
    ],
)
def test_glance(glance: view.Glance, text: str) -> None:
    assert glance.text == text


def test_glance_counts() -> None:
    present = [
        Presence("QA", "1", "h", "run_checks"),
        Presence("QA", "2", "h", "idle"),
        Presence("Coder", "3", "h", "idle"),
    ]
    mission = Mission(checks=(GREEN, RED))
    glance = view.glance(RoomState.AWAITING_INPUT, "which port?", present, mission, Spending())
    assert glance.text == " awaiting input (which port?) · at work: QA of 2 · checks 1/2 · /help "


def test_glance_shows_what_is_spent() -> None:
    spending = Spending({"QA": Spent(1, 10, 0, 1, 123_400_000)}, cap_nano=NANO)
    glance = view.glance(RoomState.RUNNING, "", [], Mission(), spending)
    assert glance.text == " running · at work: nobody of 0 · no checks yet · $0.123 of $1.00 · /help "


def test_spending_names_roles_and_cap() -> None:
    text = view.spending_text(Spending({"QA": Spent(1, 10, 0, 1, 123_400_000)}, cap_nano=NANO)).plain
    assert text.splitlines()[0] == "- QA: 1 model calls, 10 tokens in (0 cached), 1 out, $0.123"
    assert text.splitlines()[-1] == "The cap of this room: $1.00."


def test_checks_are_one_line_each_and_clean() -> None:
    lines = view.checks_text([GREEN, RED]).plain.splitlines()
    assert lines == [
        "[c1] pass    port is open (tcp) — opened",
        "[c2] fail    port is open (tcp) — refused",
    ]


def test_mission_is_verbatim_with_its_hash() -> None:
    mission = Mission((Request.of("m", "Publish\n  it", "t"),), (GREEN,))
    shown = view.mission_text(mission).plain
    assert "  Publish\n    it\n" in shown
    assert mission.requests[0].sha[:12] in shown
    assert "[c1] pass" in shown
