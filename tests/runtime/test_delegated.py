"""One role's process runs everybody's checks: signed, in memory and on a real Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from agents.domain.message import SYSTEM, USER, Kind, Message
from agents.domain.mission import Presence, Verdict
from agents.domain.ports import OpenRoom
from agents.domain.role import ROLES
from agents.room import open_room
from agents.room.in_memory import InMemoryRoom
from agents.room.keyring import Keyring, create
from agents.runtime.delegated import Bounds, DelegatedVerifier
from agents.runtime.verifier import EVIDENCE_CHARS
from agents.tools.team import FinishLine
from tests.runtime.delegation import PROBES, SECRET, Hosts, Scene
from tests.support.redis_server import RedisServer

WHO = "the process of DevOps, which runs the checks (CHECKS_BY), "
HASTY = Bounds(taken=0.2, answer=0.5)


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.real)])
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    create(tmp_path, (*ROLES, USER))
    rooms: dict[str, OpenRoom] = {}
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            first = InMemoryRoom("room")
            rooms = {name: first.reopened(keyring=Keyring.load(tmp_path, [name])) for name in (*ROLES, USER)}
            rooms[""] = first
        else:
            server: RedisServer = request.getfixturevalue("own_server")
            for name in ("", "Architect", "DevOps", "Coder", USER):
                keyring = Keyring.load(tmp_path, [name]) if name else None
                rooms[name] = await open_room(server.url, "room", patience=5, keyring=keyring)
                stack.push_async_callback(rooms[name].aclose)
        scene = Scene(stack, rooms.__getitem__)
        await scene.begin()
        yield scene


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.FAIL])
async def test_the_runner_s_verdict_is_the_asker_s_and_the_mission_s(scene: Scene, verdict: Verdict) -> None:
    scene.hosts.verdict = verdict
    fresh = await scene.verifier.run(scene.checks)
    assert [(check.verdict, check.evidence) for check in fresh] == [(verdict, "seen from DevOps")] * 2
    assert [check.verdict for check in (await scene.architect.mission.read()).checks] == [verdict] * 2
    assert [check.id for check in await scene.verifier.run(scene.checks[:1])] == [scene.checks[0].id]
    assert scene.hosts.probes == 3
    assert {(event.kind, event.to) for event in await scene.events("check")} == {(Kind.CONTROL, ())}
    assert {(event.kind, event.to) for event in await scene.events("checked")} == {(Kind.CONTROL, ())}
    assert await scene.user.room.said(10) == []  # no agent is woken, no prompt holds it


async def test_evidence_is_masked_and_capped_before_it_travels(scene: Scene) -> None:
    scene.hosts.evidence = f"password {SECRET} " + "x" * 2000
    [fresh, _] = await scene.verifier.run(scene.checks)
    [answer] = await scene.events("checked")
    assert SECRET not in str(answer.data)
    assert fresh.evidence.startswith("password ")
    assert len(fresh.evidence) == EVIDENCE_CHARS


async def test_finish_is_refused_while_the_runner_sees_red(scene: Scene) -> None:
    line = FinishLine(scene.architect.mission, scene.verifier)
    scene.hosts.verdict = Verdict.FAIL
    assert "2 of 2 checks are not green" in str(await line.objection())
    scene.hosts.verdict = Verdict.PASS
    assert await line.objection() is None


async def test_who_is_not_there_makes_every_verdict_unknown_whatever_was_green(scene: Scene) -> None:
    assert all(check.green for check in await scene.verifier.run(scene.checks))
    await scene.devops.presence.leave("DevOps@h:1-a")
    fresh = await scene.verifier.run((await scene.architect.mission.read()).checks)
    assert [check.verdict for check in fresh] == [Verdict.UNKNOWN] * 2
    assert fresh[0].evidence == WHO + "isn't in the room: is it up?"
    objection = await FinishLine(scene.architect.mission, scene.verifier).objection()
    assert objection is not None
    assert WHO in objection


async def test_who_does_not_answer_makes_every_verdict_unknown(scene: Scene) -> None:
    hasty = DelegatedVerifier(scene.architect, "Architect", "DevOps", HASTY)
    await scene.follow(scene.architect, hasty.hear)
    scene.hosts.may_end.clear()
    fresh = await hasty.run(scene.checks)
    assert [check.verdict for check in fresh] == [Verdict.UNKNOWN] * 2
    assert fresh[0].evidence == WHO + "didn't answer in 0.5 s: is it up?"


async def test_who_takes_no_notice_is_not_waited_for(scene: Scene) -> None:
    nobody = DelegatedVerifier(scene.architect, "Architect", "QA", Bounds(taken=0.1, answer=600))
    await scene.devops.presence.beat(Presence("QA", "QA@h:1-a", "h", "idle", 0))  # there, and its CHECKS_BY isn't set
    async with asyncio.timeout(30):
        fresh = await nobody.run(scene.checks)
    assert "isn't at it after 0.2 s: is it up, with CHECKS_BY set? Its log says more" in fresh[0].evidence
    assert [check.verdict for check in fresh] == [Verdict.UNKNOWN] * 2


async def test_one_who_has_taken_it_is_waited_for(scene: Scene) -> None:
    patient = DelegatedVerifier(scene.architect, "Architect", "DevOps", Bounds(taken=0.2, answer=60))
    await scene.follow(scene.architect, patient.hear)
    scene.hosts.may_end.clear()
    waiting = asyncio.create_task(patient.run(scene.checks))
    await asyncio.sleep(0.6)
    assert not waiting.done()
    scene.hosts.may_end.set()
    assert all(check.green for check in await waiting)


@pytest.mark.parametrize("order", ["stop", "clear"])
async def test_stop_ends_the_waiting_and_the_probes(scene: Scene, order: str) -> None:
    _, waiting = await scene.asking()
    message = Message(USER, order, Kind.CONTROL, data={"action": order})
    await (scene.user.control.stop(message) if order == "stop" else scene.user.control.clear(message))
    async with asyncio.timeout(10):
        fresh = await waiting
        while scene.hosts.cancelled < 2:
            await asyncio.sleep(0.01)
    assert [check.verdict for check in fresh] == [Verdict.UNKNOWN] * 2
    assert "the room was stopped or cleared" in fresh[0].evidence
    scene.hosts.may_end.set()
    await scene.architect.mission.propose(PROBES)
    assert all(check.green for check in await scene.verifier.run(scene.checks))  # the control: it works on
    assert len(await scene.events("checked")) == 1


async def test_the_stop_of_one_role_and_one_of_before_end_nothing(scene: Scene) -> None:
    request, waiting = await scene.asking()
    for data, epoch in (({"action": "stop", "role": "QA"}, 99), ({"action": "stop"}, request.epoch)):
        stop = Message(USER, "STOP", Kind.CONTROL, data=data, epoch=epoch)
        scene.verifier.hear(stop)
    scene.hosts.may_end.set()
    assert all(check.green for check in await waiting)


async def test_a_request_of_an_old_epoch_or_of_nobody_runs_nothing(scene: Scene) -> None:
    service = scene.service(scene.hosts)
    ids = [scene.checks[0].id]
    epoch = (await scene.devops.control.read()).epoch
    ask = Message(
        "Architect", "", Kind.CONTROL, data={"action": "check", "runner": "DevOps", "checks": ids}, epoch=epoch
    )
    service.hear(replace(ask, id="old", epoch=epoch + 1))
    service.hear(replace(ask, id="system", sender=SYSTEM))
    service.hear(replace(ask, id="other", data={**ask.data, "runner": "QA"}))
    service.hear(replace(ask, id="torn", data={**ask.data, "checks": "all"}))
    await asyncio.sleep(0.2)
    assert scene.hosts.probes == 0
    service.hear(ask)  # the control
    await scene.hosts.probed()


async def test_only_the_runner_s_answer_counts(scene: Scene) -> None:
    request, waiting = await scene.asking()
    green = {check.id: {"verdict": "pass", "evidence": "made up"} for check in scene.checks}
    forged = Message("DevOps", "", Kind.CONTROL, reply_to=request.id, data={"action": "checked", "verdicts": green})
    await scene.stranger.room.post(forged)
    await scene.open_as("Coder").room.post(replace(forged, id="signed", sender="Coder"))
    coder = (await scene.open_as("Coder").room.events())[-1]
    await scene.stranger.room.post(replace(forged, id="lent", sig=coder.sig))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    scene.hosts.verdict = Verdict.FAIL
    scene.hosts.may_end.set()
    assert [check.evidence for check in await waiting] == ["seen from DevOps"] * 2


async def test_an_answer_to_another_request_counts_for_nothing(scene: Scene) -> None:
    assert all(check.green for check in await scene.verifier.run(scene.checks))
    [old] = await scene.events("checked")
    scene.hosts.probes = 0
    scene.hosts.may_end.clear()
    waiting = asyncio.create_task(scene.verifier.run(scene.checks))
    await scene.hosts.probed()
    scene.verifier.hear(old)
    assert not waiting.done()
    scene.hosts.verdict = Verdict.FAIL
    scene.hosts.may_end.set()
    assert not any(check.green for check in await waiting)


@pytest.mark.parametrize("verdicts", ["all fine", {}, {"c": 1}, None])
async def test_an_answer_that_is_none_is_unknown(scene: Scene, verdicts: object) -> None:
    request, waiting = await scene.asking()
    data = {"action": "checked", "verdicts": verdicts}
    await scene.devops.room.post(Message("DevOps", "", Kind.CONTROL, reply_to=request.id, data=data))
    assert [check.verdict for check in await waiting] == [Verdict.UNKNOWN] * 2


async def test_a_request_that_nobody_signed_runs_nothing(scene: Scene) -> None:
    ids = [check.id for check in scene.checks]
    ask = Message("Architect", "", Kind.CONTROL, data={"action": "check", "runner": "DevOps", "checks": ids})
    await scene.stranger.room.post(ask)
    coder = await scene.open_as("Coder").room.post(replace(ask, id="coder", sender="Coder", data={}))
    [signed] = [event for event in await scene.user.room.events() if event.id == coder.id]
    await scene.stranger.room.post(replace(ask, id="lent", sig=signed.sig))
    await scene.verifier.run(scene.checks[:1])  # the control, heard later
    assert scene.hosts.probes == 1


async def test_of_two_replicas_one_runs_them(scene: Scene) -> None:
    second = Hosts()
    await scene.follow(scene.devops, scene.service(second).hear)
    scene.hosts.may_end.clear()
    second.may_end.clear()
    waiting = asyncio.create_task(scene.verifier.run(scene.checks))
    async with asyncio.timeout(10):
        while not scene.hosts.probes + second.probes:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    assert sorted((scene.hosts.probes, second.probes)) == [0, 2]
    for hosts in (scene.hosts, second):
        hosts.may_end.set()
    assert all(check.green for check in await waiting)
    assert len(await scene.events("checked")) == 1


async def test_a_prober_s_bug_is_no_verdict_and_is_logged(scene: Scene) -> None:
    hasty = DelegatedVerifier(scene.architect, "Architect", "DevOps", HASTY)
    await scene.follow(scene.architect, hasty.hear)
    scene.hosts.bug = ZeroDivisionError("a bug")
    with structlog.testing.capture_logs() as logs:
        fresh = await hasty.run(scene.checks)
    assert [check.verdict for check in fresh] == [Verdict.UNKNOWN] * 2
    assert "isn't at it after 0.4 s" in fresh[0].evidence
    assert [entry["error"] for entry in logs if entry["event"] == "checks for others failed"] == ["a bug"]
    scene.hosts.bug = None
    assert all(check.green for check in await scene.verifier.run(scene.checks))  # the control: it serves on
