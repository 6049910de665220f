"""`Journal.begin_effect` and its kin: an act starts once, by leave, in this epoch, under a lease that is held."""

import asyncio
from dataclasses import replace

import pytest
import redis

from agents.domain.approval import SECURITY, Approval, State
from agents.domain.effect import EffectState, Lease
from agents.domain.errors import ApprovalUnusable, LeaseLost, Refused, StaleEpoch
from agents.domain.message import USER, Kind, Message
from agents.domain.ports import OpenRoom
from agents.domain.turn import Claim, Effect, EntryKind, JournalEntry
from tests.room.conftest import World
from tests.room.contract.deciding import BOTH, CARD, allowed, asked, asking, no, wish, word, yes
from tests.room.contract.turns import LEASE, say, taken
from tests.support.redis_cluster import nodes

STOP = Message(USER, "STOP", Kind.CONTROL)


def act(call: str = "call-1", effect: Effect = Effect.MUTATE) -> JournalEntry:
    return JournalEntry(EntryKind.INTENT, 1, {"name": "run_ansible", "args": {"playbook": "x"}}, call, effect)


async def turn(opened: OpenRoom) -> Claim:
    await opened.room.post(say("work", "QA"))
    return await taken(opened)


async def begun(opened: OpenRoom, claim: Claim, approval: Approval, call: str = "call-1") -> str:
    return await opened.journal.begin_effect(claim, act(call), approval=approval.id, digest=approval.digest)


async def nothing_happened(opened: OpenRoom) -> bool:
    journaled = await opened.inbox("QA", "one").claim()
    assert journaled is not None
    return not journaled.entries and not await opened.journal.effects() and not (await opened.mission.read()).acts


async def test_an_effect_starts_and_uses_its_approval_up(world: World) -> None:
    opened = await world.open()
    claim, approval = await turn(opened), await allowed(opened)
    id = await begun(opened, claim, approval)
    [record] = await opened.journal.effects()
    facts = (record.id, record.role, record.tool, record.effect, record.digest, record.approval, record.epoch)
    assert facts == (id, "QA", "run_ansible", Effect.MUTATE, approval.digest, approval.id, 0)
    assert (record.state, record.ended) == (EffectState.STARTED, None)
    assert (await opened.mission.read()).acts == 1
    assert await opened.approvals.state(approval) is State.CONSUMED
    again = await (await world.open()).inbox("QA", "one").claim()
    assert again is not None
    assert again.entries == (act(),)


async def test_an_effect_that_needs_no_leave_starts_without(world: World) -> None:
    opened = await world.open()
    claim = await turn(opened)
    await opened.journal.begin_effect(claim, act(effect=Effect.WRITE), approval=None, digest="00")
    [record] = await opened.journal.effects()
    assert record.approval == ""
    assert (await opened.mission.read()).acts == 0


async def test_an_approval_is_used_once(world: World) -> None:
    one, two = await world.open(), await world.open()
    claim = await turn(one)
    for round in range(10):
        approval = await allowed(one, args=f"play-{round}")
        results = await asyncio.gather(
            begun(one, claim, approval, f"a{round}"), begun(two, claim, approval, f"b{round}"), return_exceptions=True
        )
        assert [type(result) for result in results if not isinstance(result, str)] == [ApprovalUnusable]
    assert len(await one.journal.effects()) == 10
    assert (await asked(one, args="play-0")).id != approval.id  # used up: the next time needs a new one


@pytest.mark.parametrize("why", ["digest", "undecided", "half", "rejected", "withdrawn", "unknown", "shortened"])
async def test_without_leave_for_exactly_this_nothing_happens(world: World, why: str) -> None:
    opened = await world.open()
    claim = await turn(opened)
    digest, id = "", ""
    match why:
        case "undecided" | "unknown":
            approval = await asked(opened)
            id = "nothing" if why == "unknown" else ""
        case "half":
            approval = await asked(opened, needed=BOTH)
            await opened.approvals.decide(approval.id, yes(approval, SECURITY), word(SECURITY))
        case "rejected":
            approval = await asked(opened)
            await opened.approvals.decide(approval.id, no(approval), word())
        case _:
            approval = await allowed(opened)
            digest = "0" * 64 if why == "digest" else ""
            id = approval.id[:5] if why == "shortened" else ""
            if why == "withdrawn":
                await opened.approvals.decide(approval.id, no(approval), word())
    with pytest.raises(ApprovalUnusable):
        await opened.journal.begin_effect(claim, act(), approval=id or approval.id, digest=digest or approval.digest)
    assert await nothing_happened(opened)
    await begun(opened, claim, await allowed(opened, args="positive control"))


async def test_leave_runs_out_by_the_servers_clock(world: World) -> None:
    opened = await world.open()
    claim, approval = await turn(opened), await allowed(opened, lifetime=0.3)
    await asyncio.sleep(0.4)
    with pytest.raises(ApprovalUnusable, match="expired"):
        await begun(opened, claim, approval)
    assert await nothing_happened(opened)


async def test_nothing_starts_after_a_stop_whatever_was_allowed(world: World) -> None:
    opened = await world.open()
    claim, approval = await turn(opened), await allowed(opened)
    await opened.control.stop(STOP)
    with pytest.raises(StaleEpoch):
        await begun(opened, claim, approval)
    with pytest.raises(StaleEpoch):
        await opened.journal.begin_effect(claim, act(), approval=None, digest="00")
    await opened.room.post(say("again", "QA"))
    fresh = await taken(opened)
    with pytest.raises(ApprovalUnusable, match="stale"):
        await begun(opened, fresh, approval)
    assert await opened.journal.effects() == []
    new = replace(wish(opened), epoch=1)
    await opened.approvals.request(new, CARD, asking())
    await opened.approvals.decide(new.id, yes(new), word())
    await begun(opened, fresh, new)


async def test_a_turn_that_was_taken_over_starts_nothing(world: World) -> None:
    opened, other = await world.open(LEASE), await world.open(LEASE)
    claim, approval = await turn(opened), await allowed(opened)
    await asyncio.sleep(LEASE * 1.5)
    assert await other.inbox("QA", "two").claim() is not None
    with pytest.raises(LeaseLost):
        await begun(opened, claim, approval)
    assert await opened.approvals.state(approval) is State.APPROVED


async def test_an_approval_of_another_room_is_none_here(world: World) -> None:
    opened = await world.open()
    claim = await turn(opened)
    other = World(world.url)
    elsewhere = await other.open()
    approval = await allowed(elsewhere)
    await elsewhere.aclose()
    with pytest.raises(ApprovalUnusable, match="no approval"):
        await begun(opened, claim, approval)
    if world.url is not None:
        for url in nodes(world.url):
            with redis.Redis.from_url(url, protocol=2) as client:
                if keys := client.keys(f"{{{other.name}}}:*"):
                    client.delete(*keys)


async def test_how_an_effect_ended_is_kept_and_a_known_end_stays(world: World) -> None:
    opened = await world.open()
    claim, approval = await turn(opened), await allowed(opened)
    id = await begun(opened, claim, approval)
    for state in (EffectState.UNKNOWN, EffectState.DONE, EffectState.FAILED):
        await opened.journal.end_effect(id, state)
    [record] = await opened.journal.effects()
    assert record.state is EffectState.DONE
    assert record.ended is not None
    assert record.ended >= record.started
    await opened.journal.end_effect("nobody knows it", EffectState.DONE)
    assert len(await opened.journal.effects()) == 1


async def test_an_effect_needs_its_lease_until_it_starts(world: World) -> None:
    opened = await world.open()
    claim = await turn(opened)
    lease = await opened.leases.acquire(["web1"], "me", 0.2)
    assert isinstance(lease, Lease)
    await opened.journal.begin_effect(claim, act("1"), approval=None, digest="00", lease=lease)
    await asyncio.sleep(0.3)
    approval = await allowed(opened)
    with pytest.raises(Refused, match="web1 ran out"):
        await opened.journal.begin_effect(claim, act("2"), approval=approval.id, digest=approval.digest, lease=lease)
    assert await opened.approvals.state(approval) is State.APPROVED
    taken_by_another = await opened.leases.acquire(["web1"], "other", 20)
    assert isinstance(taken_by_another, Lease)
    with pytest.raises(Refused, match="web1 ran out"):
        await opened.journal.begin_effect(claim, act("2"), approval=None, digest="00", lease=lease)
    assert len(await opened.journal.effects()) == 1
