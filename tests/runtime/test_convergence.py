"""A silent team is nudged, then the User is asked; an unanswered question gets its default."""

import asyncio

from agents.domain.message import Message
from agents.domain.mission import Presence, RoomState, TcpProbe
from agents.domain.turn import Outcome, StopReason
from agents.room.in_memory import InMemoryRoom
from agents.room.in_memory_store import Store
from agents.runtime.convergence import Convergence, Patience
from agents.tools.team import AskArgs, Questions
from tests.support.team import FixedMission

PROBE = TcpProbe(type="tcp", title="the port is open", host="127.0.0.1", port=1)


class Clock:
    """The server's."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


async def silent_room() -> InMemoryRoom:
    """A mission that runs, its messages taken, nobody at work."""
    opened = InMemoryRoom("room")
    await opened.room.post(Message("User", "publish it", to=("Architect",)))
    await opened.mission.propose([PROBE])
    claim = await opened.inbox("Architect", "a").claim()
    assert claim is not None
    await opened.journal.commit(claim, Outcome(StopReason.REPLIED))
    return opened


async def looks(watch: Convergence, times: int) -> list[Message]:
    posted = []
    for _ in range(times):
        if message := await watch.look():
            posted.append(message)
        await asyncio.sleep(0.002)
    return posted


async def test_silence_nudges_the_lead_then_asks_the_user() -> None:
    opened = await silent_room()
    watch = Convergence(opened, "Architect", Patience(silence=0.001, nudges=2))
    posted = []
    for _ in range(3):
        posted += await looks(watch, 2)
        if claim := await opened.inbox("Architect", "a").claim():
            await opened.journal.commit(claim, Outcome(StopReason.REPLIED))
    assert [message.to for message in posted] == [("Architect",), ("Architect",), ()]
    assert "the port is open" in posted[0].content
    assert posted[2].content.startswith("@User")
    assert (await opened.control.read()).state is RoomState.AWAITING_INPUT
    assert await looks(watch, 3) == []


async def test_a_team_at_work_is_left_alone() -> None:
    opened = await silent_room()
    watch = Convergence(opened, "Architect", Patience(silence=0.001))
    await opened.presence.beat(Presence("Coder", "c", "h", "run_code"))
    assert await looks(watch, 3) == []
    await opened.presence.beat(Presence("Coder", "c", "h", "idle"))
    assert len(await looks(watch, 2)) == 1


async def test_a_message_on_its_way_is_no_silence() -> None:
    opened = await silent_room()
    await opened.room.post(Message("Coder", "@Architect done", to=("Architect",)))
    assert await looks(Convergence(opened, "Architect", Patience(silence=0.001)), 3) == []


async def test_a_question_that_was_answered_is_done() -> None:
    opened = InMemoryRoom("room")
    await opened.room.post(Message("User", "@Coder what is 6 x 7?"))
    await opened.room.post(Message("Coder", "42"))
    watch = Convergence(opened, "Architect", Patience(silence=0.001))
    assert await looks(watch, 3) == []
    assert (await opened.control.read()).state is RoomState.DONE


async def test_a_default_is_taken_when_its_time_is_over() -> None:
    clock = Clock()
    opened = InMemoryRoom("room", store=Store(clock))
    await opened.room.post(Message("User", "publish a page"))
    args = AskArgs(question="Which port?", default="port 8089", timeout_minutes=10)
    text = await Questions(FixedMission()).ask(args)
    # the clock of the machine it was asked on is years ahead: the room's counts
    question = Message(
        "Architect", text, data={"outcome": StopReason.AWAITING_INPUT.value}, timestamp="2199-01-01T00:00:00+00:00"
    )
    await opened.room.post(question)
    await opened.control.set_state(RoomState.AWAITING_INPUT)
    watch = Convergence(opened, "Architect")
    clock.now += 9 * 60
    assert await watch.look() is None
    clock.now += 2 * 60
    taken = await watch.look()
    assert taken is not None
    assert taken.to == ("Architect",)
    assert "port 8089" in taken.content
    assert (await opened.control.read()).state is RoomState.RUNNING


async def test_an_answered_question_takes_no_default() -> None:
    opened = await silent_room()
    text = "@User Port?\nDefault, taken in 1 minutes if you don't answer: 80"
    asked = Message("Architect", text, data={"outcome": "awaiting_input"}, timestamp="2020-01-01T00:00:00+00:00")
    await opened.room.post(asked)
    await opened.room.post(Message("User", "8089"))
    await opened.control.set_state(RoomState.AWAITING_INPUT)
    assert await Convergence(opened, "Architect").look() is None
