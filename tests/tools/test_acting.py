"""Acts on record: how each end is told, and what becomes of an act whose lease is lost."""

import asyncio
from pathlib import Path

import pytest

from agents.domain.effect import EffectState
from agents.domain.ports import TurnContext
from agents.domain.turn import Effect, Status
from agents.room.in_memory import InMemoryRoom
from agents.tools import acting
from agents.tools.material import Material
from agents.tools.registry import Act, Args, Output, Tool
from tests.support.gates import Guarded, Text, at_level
from tests.support.team import claimed, role

ENDS = ("fine", "fails", "hangs", "breaks")


class Nothing(Args):
    """No arguments."""


async def fine(args: Nothing, act: Act) -> Output:
    return Output("done")


async def fails(args: Nothing, act: Act) -> Output:
    return Output("exit code 2", Status.ERROR)


async def hangs(args: Nothing, act: Act) -> Output:
    await asyncio.Event().wait()
    raise AssertionError


async def breaks(args: Nothing, act: Act) -> Output:
    raise ZeroDivisionError


async def material(args: Nothing) -> Material:
    return Material(targets=("web1",), hosts=("web1",), leases=("host:web1",))


@pytest.fixture
async def bench() -> tuple[Guarded, TurnContext]:
    opened = InMemoryRoom("lab")
    runs = {"fine": fine, "fails": fails, "hangs": hangs, "breaks": breaks}
    tools = [Tool(name, name, Nothing, run, Effect.MUTATE, material=material) for name, run in runs.items()]
    guarded = Guarded(opened, tools, Text(at_level("autonomous")))
    return guarded, TurnContext(role(tools=ENDS, tool_timeout=0.1), await claimed(opened), 1)


@pytest.mark.parametrize(
    ("name", "status", "state"),
    [
        ("fine", Status.OK, EffectState.DONE),
        ("fails", Status.ERROR, EffectState.FAILED),
        ("hangs", Status.TIMEOUT, EffectState.UNKNOWN),
    ],
)
async def test_each_end_is_on_record(
    bench: tuple[Guarded, TurnContext], name: str, status: Status, state: EffectState
) -> None:
    guarded, turn = bench
    assert (await guarded.call(turn, name, {})).status is status
    [effect] = await guarded.opened.journal.effects()
    assert (effect.tool, effect.state) == (name, state)
    assert guarded.ledger.kinds()[-1] == state.value
    assert not isinstance(await guarded.opened.leases.acquire(["host:web1"], "next", 1), str), (
        "the lease is given back"
    )


async def test_a_bug_leaves_an_unknown_end(bench: tuple[Guarded, TurnContext]) -> None:
    guarded, turn = bench
    with pytest.raises(ZeroDivisionError):
        await guarded.call(turn, "breaks", {})
    [effect] = await guarded.opened.journal.effects()
    assert effect.state is EffectState.UNKNOWN


async def test_a_cancelled_act_leaves_an_unknown_end(bench: tuple[Guarded, TurnContext]) -> None:
    guarded, turn = bench
    call = asyncio.create_task(guarded.call(turn, "hangs", {}))
    while not await guarded.opened.journal.effects():
        await asyncio.sleep(0.001)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    [effect] = await guarded.opened.journal.effects()
    assert effect.state is EffectState.UNKNOWN


async def test_a_lost_lease_ends_the_act(bench: tuple[Guarded, TurnContext], monkeypatch: pytest.MonkeyPatch) -> None:
    guarded, turn = bench
    monkeypatch.setattr(acting, "LEASE_SECONDS", 0.03)
    turn = TurnContext(role(tools=ENDS, tool_timeout=30), turn.claim, 1)

    async def lost(*args: object) -> bool:
        return False

    guarded.opened.leases.renew = lost  # type: ignore[method-assign, assignment]
    result = await guarded.call(turn, "hangs", {})
    assert result.status is Status.TIMEOUT
    assert "the lease on host:web1 was lost" in result.content


async def test_an_act_waits_a_while_for_another_s_lease(bench: tuple[Guarded, TurnContext], tmp_path: Path) -> None:
    guarded, turn = bench
    patient = Guarded(guarded.opened, guarded.tools, Text(at_level("autonomous")), lease_wait=10)
    lease = await guarded.opened.leases.acquire(["host:web1"], "another", 60)
    assert not isinstance(lease, str)
    call = asyncio.create_task(patient.call(turn, "fine", {}))
    await asyncio.sleep(0.05)
    assert not call.done()
    await guarded.opened.leases.release(lease)
    assert (await call).status is Status.OK
