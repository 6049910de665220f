"""One role's process runs everybody's checks: in memory, and signed on a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.domain.message import USER, Kind, Message
from agents.domain.mission import Check, Presence, TcpProbe, Verdict
from agents.domain.ports import OpenRoom
from agents.domain.role import ROLES
from agents.room import open_room
from agents.room.in_memory import InMemoryRoom
from agents.room.keyring import Keyring, create
from agents.runtime.control import Halted, Switchboard
from agents.runtime.delegated import CheckService, DelegatedVerifier
from agents.tools.team import FinishLine
from tests.support.redis_server import RedisServer

PROBES = (
    TcpProbe(type="tcp", title="port 1", host="h", port=1),
    TcpProbe(type="tcp", title="port 2", host="h", port=2),
)


class Runner:
    """The verifier of the process that reaches the hosts: gives and records the verdict it is set to."""

    def __init__(self, opened: OpenRoom) -> None:
        self._opened = opened
        self.verdict = Verdict.PASS
        self.runs = 0
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def run(self, checks: Sequence[Check]) -> list[Check]:
        self.runs += 1
        await self.may_end.wait()
        for check in checks:
            await self._opened.mission.judge(check.id, self.verdict, "seen from DevOps")
        return [replace(check, verdict=self.verdict, evidence="seen from DevOps") for check in checks]


class Scene:
    """The Architect's process and DevOps', each with the room opened for itself."""

    def __init__(self, stack: AsyncExitStack, architect: OpenRoom, devops: OpenRoom, patience: float = 10) -> None:
        self.stack = stack
        self.architect, self.devops = architect, devops
        self.runner = Runner(devops)
        self.service = CheckService(devops, "DevOps", self.runner)
        self.verifier = DelegatedVerifier(architect, "Architect", "DevOps", patience)

    async def begin(self) -> list[Check]:
        """Both follow the room; the mission has two checks."""
        for opened, hear in ((self.architect, self.verifier.hear), (self.devops, self.service.hear)):
            self._follow(opened, hear)
        await self.devops.presence.beat(Presence("DevOps", "DevOps@h:1-a", "h", "idle", 0))
        return list((await self.architect.mission.propose(PROBES)).checks)

    def _follow(self, opened: OpenRoom, hear: Any) -> None:
        task = asyncio.create_task(Switchboard(opened, [], halt_nothing, hear).run())
        self.stack.push_async_callback(ended, task)


async def halt_nothing(role: str | None) -> Halted:
    return Halted()


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.real)])
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            opened = InMemoryRoom("room")
            yield Scene(stack, opened, opened)
            return
        server: RedisServer = request.getfixturevalue("own_server")
        create(tmp_path, (*ROLES, USER))
        rooms = [
            await open_room(server.url, "room", patience=5, keyring=Keyring.load(tmp_path, [name]))
            for name in ("Architect", "DevOps")
        ]
        for room in rooms:
            stack.push_async_callback(room.aclose)
        yield Scene(stack, rooms[0], rooms[1])


async def settled() -> None:
    await asyncio.sleep(0.2)


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.FAIL])
async def test_the_runner_s_verdict_is_the_asker_s_and_the_mission_s(scene: Scene, verdict: Verdict) -> None:
    checks = await scene.begin()
    await settled()
    scene.runner.verdict = verdict
    fresh = await scene.verifier.run(checks)
    assert [(check.verdict, check.evidence) for check in fresh] == [(verdict, "seen from DevOps")] * 2
    assert [check.verdict for check in (await scene.architect.mission.read()).checks] == [verdict] * 2
    assert (await scene.verifier.run(checks[:1]))[0].id == checks[0].id
    assert scene.runner.runs == 2


async def test_finish_is_refused_while_the_runner_sees_red(scene: Scene) -> None:
    await scene.begin()
    await settled()
    line = FinishLine(scene.architect.mission, scene.verifier)
    scene.runner.verdict = Verdict.FAIL
    assert "2 of 2 checks are not green" in str(await line.objection())
    scene.runner.verdict = Verdict.PASS
    assert await line.objection() is None


async def test_who_is_not_there_makes_every_verdict_unknown_whatever_was_green(scene: Scene) -> None:
    checks = await scene.begin()
    await settled()
    assert all(check.green for check in await scene.verifier.run(checks))
    await scene.devops.presence.leave("DevOps@h:1-a")
    fresh = await scene.verifier.run(checks)
    assert [check.verdict for check in fresh] == [Verdict.UNKNOWN] * 2
    assert "DevOps's process, which runs the checks (CHECKS_BY), isn't in the room" in fresh[0].evidence


async def test_who_does_not_answer_makes_every_verdict_unknown(scene: Scene) -> None:
    checks = await scene.begin()
    await settled()
    hasty = DelegatedVerifier(scene.architect, "Architect", "DevOps", patience=0.2)
    scene.runner.may_end.clear()
    fresh = await hasty.run(checks)
    assert [check.verdict for check in fresh] == [Verdict.UNKNOWN] * 2
    assert "didn't answer in 0.2 s" in fresh[0].evidence


async def test_stop_ends_what_runs_and_an_old_request_starts_nothing(scene: Scene) -> None:
    checks = await scene.begin()
    await settled()
    scene.runner.may_end.clear()
    waiting = asyncio.create_task(scene.verifier.run(checks))
    async with asyncio.timeout(5):
        while not scene.runner.runs:
            await asyncio.sleep(0.01)
    scene.service.hear(Message(USER, "STOP", Kind.CONTROL, data={"action": "stop"}))
    await settled()
    scene.runner.may_end.set()
    await ended_with(waiting)
    ask = Message("Architect", "", Kind.CONTROL, data={"action": "check", "runner": "DevOps", "checks": []})
    scene.service.hear(replace(ask, epoch=99))
    await settled()
    assert scene.runner.runs == 1
    scene.service.hear(replace(ask, epoch=(await scene.devops.control.read()).epoch))  # the control
    await settled()
    assert scene.runner.runs == 2


async def ended_with(task: "asyncio.Task[list[Check]]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_only_the_runner_s_answer_counts(scene: Scene) -> None:
    checks = await scene.begin()
    await settled()
    scene.runner.may_end.clear()
    waiting = asyncio.create_task(scene.verifier.run(checks))
    async with asyncio.timeout(5):
        while not scene.runner.runs:
            await asyncio.sleep(0.01)
    [request] = [event for event in await scene.architect.room.events() if event.data.get("action") == "check"]
    green = {check.id: {"verdict": "pass", "evidence": "made up"} for check in checks}
    forged = Message("Coder", "", Kind.CONTROL, reply_to=request.id, data={"action": "checked", "verdicts": green})
    scene.verifier.hear(forged)
    assert not waiting.done()
    scene.verifier.hear(replace(forged, sender="DevOps", data={"action": "checked", "verdicts": "all fine"}))
    assert [check.verdict for check in await waiting] == [Verdict.UNKNOWN] * 2


async def test_two_replicas_answer_once(scene: Scene) -> None:
    checks = await scene.begin()
    await settled()
    second = CheckService(scene.devops, "DevOps", Runner(scene.devops))
    scene._follow(scene.devops, second.hear)
    await settled()
    assert all(check.green for check in await scene.verifier.run(checks))
    await settled()
    answers = [event for event in await scene.architect.room.events() if event.data.get("action") == "checked"]
    assert len(answers) == 1


@pytest.mark.real
async def test_a_request_that_nobody_signed_runs_nothing(own_server: RedisServer, tmp_path: Path) -> None:
    create(tmp_path, (*ROLES, USER))
    async with AsyncExitStack() as stack:
        opened = await open_room(own_server.url, "room", patience=5, keyring=Keyring.load(tmp_path, ["DevOps"]))
        stranger = await open_room(own_server.url, "room", patience=5)
        stack.push_async_callback(opened.aclose)
        stack.push_async_callback(stranger.aclose)
        scene = Scene(stack, opened, opened)
        await scene.begin()
        await settled()
        ask = Message("Architect", "", Kind.CONTROL, data={"action": "check", "runner": "DevOps", "checks": []})
        await stranger.room.post(ask)
        await settled()
        assert scene.runner.runs == 0
        await opened.room.post(replace(ask, sender="DevOps", id="signed"))  # the control
        await settled()
        assert scene.runner.runs == 1
