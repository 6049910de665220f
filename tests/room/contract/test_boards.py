"""The control, mission and presence ports."""

import time

import pytest

from agents.domain.errors import BadInput
from agents.domain.message import USER, Kind, Message
from agents.domain.mission import (
    Control,
    FileProbe,
    HostedApp,
    HttpProbe,
    Presence,
    RoomState,
    TcpProbe,
    Verdict,
    check_id,
)
from tests.room.conftest import World

HTTP = HttpProbe(type="http", title="page answers", url="http://127.0.0.1:8089/", status=200, contains="ok")
TCP = TcpProbe(type="tcp", title="port is open", host="127.0.0.1", port=22)


def control(text: str) -> Message:
    return Message(USER, text, Kind.CONTROL)


async def test_a_new_room_is_idle(world: World) -> None:
    assert await (await world.open()).control.read() == Control(0, RoomState.IDLE, "")


async def test_a_state_can_be_set(world: World) -> None:
    opened = await world.open()
    await opened.control.set_state(RoomState.AWAITING_INPUT, "which host?")
    assert await opened.control.read() == Control(0, RoomState.AWAITING_INPUT, "which host?")


async def test_stop_raises_the_epoch_and_is_in_the_log(world: World) -> None:
    opened = await world.open()
    stopped = await opened.control.stop(control("STOP"))
    assert stopped == Control(1, RoomState.STOPPED, "STOP") == await opened.control.read()
    assert [(m.content, m.epoch) for m in await opened.room.events()] == [("STOP", 1)]


async def test_a_repeated_stop_raises_the_epoch_once(world: World) -> None:
    opened = await world.open()
    message = control("STOP")
    await opened.control.stop(message)
    assert (await opened.control.stop(message)).epoch == 1
    assert (await opened.control.stop(control("STOP"))).epoch == 2


async def test_a_user_starts_a_stopped_team_again(world: World) -> None:
    opened = await world.open()
    await opened.control.stop(control("STOP"))
    await opened.room.post(Message(USER, "go on", to=("QA",)))
    assert await opened.control.read() == Control(1, RoomState.RUNNING, "")
    claim = await opened.inbox("QA", "c").claim()
    assert claim
    assert claim.epoch == 1


async def test_clear_wipes_all_but_its_own_message(world: World) -> None:
    opened = await world.open()
    await opened.room.post(Message(USER, "build", to=("QA", "Coder")))
    await opened.inbox("QA", "c").claim()
    await opened.mission.propose([HTTP])
    await opened.presence.beat(Presence("QA", "c", "h", "idle"))
    message = control("CLEAR")
    cleared = await opened.control.clear(message)
    assert cleared == Control(1, RoomState.STOPPED, "CLEAR") == await opened.control.read()
    assert [m.content for m in await opened.room.events()] == ["CLEAR"]
    assert await opened.room.said(10) == []
    assert (await opened.mission.read()).requests == ()
    assert (await opened.mission.read()).checks == ()
    for role in ("QA", "Coder"):
        assert await opened.inbox(role, "c").claim() is None
    assert len(await opened.presence.present()) == 1
    assert (await opened.control.clear(message)).epoch == 1


async def test_a_cleared_room_goes_on(world: World) -> None:
    opened = await world.open()
    before = await opened.room.post(Message(USER, "build", to=("QA",)))
    await opened.inbox("QA", "c").claim()
    await opened.control.clear(control("CLEAR"))
    after = await opened.room.post(Message(USER, "again", to=("QA",)))
    assert [m.content for m in await opened.room.events(after=before.seq)] == ["CLEAR", "again"]
    claim = await opened.inbox("QA", "c").claim()
    assert claim
    assert [delivery.message for delivery in claim.deliveries] == [after]


async def test_checks_are_proposed_once_in_order(world: World) -> None:
    opened = await world.open()
    await opened.mission.propose([HTTP])
    renamed = HTTP.model_copy(update={"title": "another title"})
    mission = await opened.mission.propose([renamed, TCP, TCP])
    assert [check.probe for check in mission.checks] == [HTTP, TCP]
    assert all(check.verdict is Verdict.UNKNOWN and not check.green for check in mission.checks)
    assert await opened.mission.read() == mission


async def test_a_mission_has_thirty_checks_at_most(world: World) -> None:
    opened = await world.open()
    probes = [FileProbe(type="file", title=f"file {n}", path=f"docs/{n}") for n in range(31)]
    with pytest.raises(BadInput, match="at most 30"):
        await opened.mission.propose(probes)
    assert (await opened.mission.read()).checks == ()
    assert len((await opened.mission.propose(probes[:30])).checks) == 30
    assert len((await opened.mission.propose(probes[:5])).checks) == 30


async def test_a_verdict_is_recorded_and_keeps_a_waiver(world: World) -> None:
    opened = await world.open()
    await opened.mission.propose([HTTP])
    waived = await opened.mission.waive(check_id(HTTP), "not today")
    assert waived.waived == "not today"
    assert waived.green
    await opened.mission.judge(check_id(HTTP), Verdict.FAIL, "404 – nicht gefunden")
    (check,) = (await opened.mission.read()).checks
    assert (check.verdict, check.evidence, check.waived) == (Verdict.FAIL, "404 – nicht gefunden", "not today")


async def test_an_unknown_check_cannot_be_waived_and_is_not_made_by_a_verdict(world: World) -> None:
    opened = await world.open()
    with pytest.raises(BadInput, match=r"no check 'c1'.*none"):
        await opened.mission.waive("c1", "why")
    await opened.mission.judge("c1", Verdict.PASS, "")
    assert (await opened.mission.read()).checks == ()


async def test_heartbeats_are_present_until_they_leave_or_age(world: World) -> None:
    opened, other = await world.open(), await world.open()
    await opened.presence.beat(Presence("QA", "q1", "host", "thinking", 3, "abc", 99.0))
    await other.presence.beat(Presence("Coder", "c1", "host", "idle"))
    coder, qa = await opened.presence.present()
    assert (coder.consumer, qa.consumer, qa.state, qa.step, qa.prompt_sha) == ("c1", "q1", "thinking", 3, "abc")
    assert 0 <= qa.age < 10
    assert await opened.presence.present(max_age=-1) == []
    await opened.presence.leave("q1")
    await opened.presence.leave("nobody")
    assert [beat.consumer for beat in await opened.presence.present()] == ["c1"]


async def test_hosted_apps_are_listed_until_unhosted_or_expired(world: World) -> None:
    opened = await world.open()
    page = HostedApp("page", 8089, "folder docs", "DevOps", round(time.time()) + 60.5)
    await opened.presence.host(page)
    await opened.presence.host(HostedApp("old", 8090, "folder docs", "DevOps", time.time() - 1))
    assert await opened.presence.hosted() == [page]
    await opened.presence.unhost("page")
    assert await opened.presence.hosted() == []
