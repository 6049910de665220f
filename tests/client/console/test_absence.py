"""What somebody missed who was away, and what waits for them."""

from pathlib import Path

from rich.text import Text

from agents.domain.message import USER, Message
from agents.domain.mission import RoomState
from agents.room.in_memory import InMemoryRoom
from client.console.absence import MOST_LINES, MOST_MESSAGES, Absence
from client.console.waiting import waiting
from tests.safety.world import RUN, World
from tests.support.gates import Text as Policy
from tests.support.gates import at_level


def _ended(absence: Absence, columns: int = 80) -> list[str]:
    return absence.ended(columns).plain.splitlines()


def _of(*texts: str) -> Absence:
    absence = Absence()
    for text in texts:
        absence.shown(Text(text))
    return absence


def test_what_was_shown_since_is_told_once() -> None:
    absence = _of("seen")
    absence.over()
    absence.shown(Text("missed"))
    assert _ended(absence) == ["── while you were away: 1 message", "missed"]
    assert _ended(absence) == ["── nothing new while you were away", "missed"]


def test_styles_are_kept() -> None:
    absence = Absence()
    absence.shown(Text.assemble(("red", "red"), " plain"))
    assert "red" in {str(span.style) for span in absence.ended(80).spans}


def test_without_news_the_last_message_shows_that_the_screen_is_not_empty() -> None:
    absence = _of("one", "two")
    absence.over()
    assert _ended(absence) == ["── nothing new while you were away", "two"]
    assert _ended(Absence()) == ["── nothing new while you were away"]


def test_the_last_messages_of_many() -> None:
    lines = _ended(_of(*map(str, range(100))))
    assert lines == [
        "── while you were away: 100 messages, the end of it",
        *map(str, range(100 - MOST_MESSAGES, 100)),
    ]


def test_the_last_lines_of_a_long_one_on_this_terminal() -> None:
    told = _ended(_of("\n".join(map(str, range(100)))))
    assert told == ["── while you were away: 1 message, the end of it", *map(str, range(100 - MOST_LINES, 100))]
    wide = "\n".join(["x" * 80] * MOST_LINES)
    assert _ended(_of(wide), 80)[1:] == wide.splitlines()
    assert len(_ended(_of(wide), 40)[1:]) == MOST_LINES // 2, "each takes two lines of a narrower terminal"
    [_, only] = _ended(_of("a" * 100_000 + "the end"), 80)
    assert len(only) == MOST_LINES * 80
    assert only.endswith("the end")


def test_the_last_messages_once_more_seen_or_not() -> None:
    absence = _of("seen")
    absence.over()
    absence.shown(Text("unseen"))
    assert absence.recent(80).plain.splitlines() == ["── once more", "seen", "unseen"]
    assert _ended(absence) == ["── while you were away: 1 message", "unseen"]


async def test_nothing_waits() -> None:
    assert await waiting(InMemoryRoom("lab")) == []


async def test_the_question_waits() -> None:
    room = InMemoryRoom("lab")
    await room.room.post(Message("Architect", "@User which\x1b[2J port?", data={"outcome": "awaiting_input"}))
    await room.room.post(Message("QA", "I have no question"))
    await room.control.set_state(RoomState.AWAITING_INPUT, "why")
    assert await waiting(room) == ["waits for your answer: @User which port?"]
    await room.control.set_state(RoomState.RUNNING)
    assert await waiting(room) == []


async def test_a_question_that_is_far_back_leaves_the_reason() -> None:
    room = InMemoryRoom("lab")
    await room.control.set_state(RoomState.AWAITING_INPUT, "over budget")
    assert await waiting(room) == ["waits for your answer: over budget"]


async def test_a_pause_is_named() -> None:
    room = InMemoryRoom("lab")
    await room.control.pause(Message(USER, "PAUSE"))
    assert await waiting(room) == ["the room is paused; /resume lets it go on"]


async def test_an_act_waits_that_needs_the_users_leave(tmp_path: Path) -> None:
    world = World(tmp_path, Policy(at_level("suggest")))
    asked = await world.ask("run_ansible", RUN)
    [line] = await waiting(world.opened)
    assert line.startswith(f"waits for your leave: [{asked.approval.id}] run_ansible by DevOps")
    asked.task.cancel()
