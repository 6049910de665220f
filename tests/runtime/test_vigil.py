"""A room whose data went away is noticed, said once, and nobody acts in it until the User speaks again."""

import asyncio

from agents.domain.message import USER, Kind
from agents.domain.mission import RoomState
from agents.domain.role import Role
from agents.domain.turn import Claim, Outcome
from agents.room.in_memory_store import Store
from agents.runtime.control import Halted, Switchboard
from agents.runtime.vigil import Vigil
from tests.runtime.conftest import Stage, says


class Wiped(Store):
    """A store that can lose everything, as a Redis does."""

    def wipe(self) -> None:
        self.__init__(self.clock)  # type: ignore[misc]


async def test_the_loss_is_said_once_and_ends_what_was_under_way(stage: Stage) -> None:
    halted: list[str | None] = []

    async def halt_all(role: str | None) -> Halted:
        halted.append(role)
        return Halted()

    async def work(role: Role, claim: Claim) -> Outcome:
        if "anew" in claim.deliveries[0].message.content:
            return await says("begun anew")
        await asyncio.Event().wait()
        raise AssertionError

    store = Wiped()
    stage.opened = type(stage.opened)("room", store=store)
    coder = stage.agent("Coder", work)
    one, two = (Vigil(stage.opened, Switchboard(stage.opened, [coder], halt_all)) for _ in range(2))
    await stage.say("work", "Coder")
    async with asyncio.timeout(5):
        while coder.presence().state != "thinking":
            await asyncio.sleep(0.01)
    for vigil in (one, two, one, two):
        assert await vigil.look() is None
    store.wipe()
    first, second = await one.look(), await two.look()
    assert first is not None
    assert second is not None
    assert (first.sender, first.kind, first.to, first.id) == ("System", Kind.SYSTEM, (), second.id)
    assert "until you speak again" in first.content
    assert len(await stage.opened.room.events()) == 1
    assert not coder.busy
    assert halted == [None, None]
    assert (await stage.opened.control.read()).state is RoomState.STOPPED
    assert (await one.look(), await two.look()) == (None, None)
    await stage.say("anew", "Coder", sender=USER)
    await stage.until("begun anew")
    assert (await stage.opened.control.read()).state is RoomState.RUNNING
