"""The `ApprovalBoard` port."""

import asyncio
import time
from dataclasses import replace

import pytest

from agents.domain.approval import SECURITY, State
from agents.domain.errors import BadInput, StaleEpoch
from agents.domain.message import USER, Kind, Message
from tests.room.conftest import World
from tests.room.contract.deciding import BOTH, CARD, allowed, asked, asking, no, wish, word, yes


async def test_a_request_is_kept_with_its_card_and_heard_by_the_roles_that_decide(world: World) -> None:
    opened = await world.open()
    approval = await asked(opened, needed=BOTH)
    assert await opened.approvals.find(approval.id) == (approval, CARD)
    assert await opened.approvals.open() == [(approval, CARD)]
    assert await opened.approvals.state(approval) is State.PENDING
    claim = await opened.inbox(SECURITY, "s").claim()
    assert claim is not None
    assert [d.message.content for d in claim.deliveries] == ["may I?"]
    assert [(m.kind, m.content) for m in await opened.room.events()] == [(Kind.APPROVAL, "may I?")]
    assert await opened.inbox(USER, "u").claim() is None


async def test_the_times_are_the_rooms(world: World) -> None:
    opened = await world.open()
    late = replace(wish(opened), requested=5.0, expires=65.0)
    approval = await opened.approvals.request(late, CARD, asking())
    assert abs(approval.requested - time.time()) < 30
    assert approval.expires == approval.requested + 60


async def test_the_same_act_is_asked_for_once(world: World) -> None:
    opened = await world.open()
    first = await asked(opened)
    assert await asked(opened) == first
    other = await asked(opened, args="y")
    assert {approval.id for approval, _ in await opened.approvals.open()} == {first.id, other.id}
    assert len(await opened.room.events()) == 2


async def test_two_who_ask_at_once_get_the_same_approval(world: World) -> None:
    one, two = await world.open(), await world.open()
    first, second = await asyncio.gather(asked(one), asked(two))
    assert first == second
    assert len(await one.room.events()) == 1


async def test_a_rejected_act_cannot_be_asked_for_again_unchanged(world: World) -> None:
    opened = await world.open()
    approval = await asked(opened)
    rejected = await opened.approvals.decide(approval.id, no(approval), word())
    again = await asked(opened)
    assert again == rejected
    assert (again.rejection() or no(approval, reason="")).reason == "not today"
    assert await opened.approvals.state(again) is State.REJECTED
    assert (await asked(opened, args="changed")).id != approval.id


async def test_an_expired_one_can_be_asked_for_again_and_not_be_decided(world: World) -> None:
    opened = await world.open()
    approval = await asked(opened, lifetime=0.05)
    await asyncio.sleep(0.1)
    assert await opened.approvals.state(approval) is State.EXPIRED
    # the decider's clock says otherwise, and doesn't count
    early = replace(yes(approval), at=approval.requested)
    with pytest.raises(BadInput, match="expired"):
        await opened.approvals.decide(approval.id, early, word())
    assert (await asked(opened, lifetime=60.0)).id != approval.id


async def test_of_two_deciders_at_once_both_count(world: World) -> None:
    one, two = await world.open(), await world.open()
    for round in range(10):
        approval = await asked(one, args=f"play-{round}", needed=BOTH)
        await asyncio.gather(
            one.approvals.decide(approval.id, yes(approval), word()),
            two.approvals.decide(approval.id, yes(approval, SECURITY), word(SECURITY)),
        )
        assert (await one.approvals.find(approval.id))[0].missing == frozenset()


async def test_of_two_equal_words_at_once_one_counts(world: World) -> None:
    one, two = await world.open(), await world.open()
    approval = await asked(one)
    results = await asyncio.gather(
        one.approvals.decide(approval.id, yes(approval), word()),
        two.approvals.decide(approval.id, yes(approval), word()),
        return_exceptions=True,
    )
    assert sorted(isinstance(result, BadInput) for result in results) == [False, True]
    assert len((await one.approvals.find(approval.id))[0].decisions) == 1


async def test_who_may_not_decide_is_told_so(world: World) -> None:
    opened = await world.open()
    approval = await asked(opened)
    for decision, why in (
        (yes(approval, "DevOps"), "nobody approves their own"),
        (yes(approval, SECURITY), "not by Security"),
        (replace(yes(approval), digest="00"), "digest"),
        (no(approval, reason=" "), "reason"),
    ):
        with pytest.raises(BadInput, match=why):
            await opened.approvals.decide(approval.id, decision, word())
    assert (await opened.approvals.find(approval.id))[0].decisions == ()
    assert (await opened.approvals.decide(approval.id, yes(approval), word())).missing == frozenset()


async def test_a_decision_wakes_no_inbox(world: World) -> None:
    opened = await world.open()
    approval = await asked(opened)
    await opened.approvals.decide(approval.id, yes(approval), Message(USER, "ok", Kind.APPROVAL, to=("DevOps",)))
    assert await opened.inbox("DevOps", "d").claim() is None
    assert [m.content for m in await opened.room.events()] == ["may I?", "ok"]


async def test_an_id_may_be_shortened_and_an_unknown_one_names_the_open(world: World) -> None:
    opened = await world.open()
    approval = await opened.approvals.request(replace(wish(opened), id="abc123"), CARD, asking())
    other = await opened.approvals.request(replace(wish(opened, args="y"), id="abd456"), CARD, asking())
    assert (await opened.approvals.find("abc"))[0] == approval
    assert (await opened.approvals.find(" [abc123] "))[0] == approval
    for wrong in ("zzz", ""):
        with pytest.raises(BadInput, match=r"abc123, abd456"):
            await opened.approvals.find(wrong)
    with pytest.raises(BadInput, match="several"):
        await opened.approvals.find("ab")
    with pytest.raises(BadInput, match="already"):
        await opened.approvals.request(replace(wish(opened, args="z"), id=other.id), CARD, asking())


async def test_who_waits_hears_the_decision(world: World) -> None:
    one, two = await world.open(), await world.open()
    approval = await asked(one)
    waiting = asyncio.create_task(one.approvals.until_decided(approval, 20))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    decided = await two.approvals.decide(approval.id, yes(approval), word())
    assert await waiting == decided


async def test_who_waits_in_vain_gets_it_undecided_or_expired(world: World) -> None:
    opened = await world.open()
    approval = await asked(opened)
    assert await opened.approvals.until_decided(approval, 0.05) == approval
    short = await asked(opened, args="short", lifetime=0.05)
    ended = await opened.approvals.until_decided(short, 20)
    assert await opened.approvals.state(ended) is State.EXPIRED


@pytest.mark.parametrize("end", ["stop", "clear"])
async def test_a_stop_ends_the_wait_and_the_approval(world: World, end: str) -> None:
    opened = await world.open()
    approval = await asked(opened)
    waiting = asyncio.create_task(opened.approvals.until_decided(approval, 20))
    await asyncio.sleep(0.05)
    order = Message(USER, end.upper(), Kind.CONTROL)
    await (opened.control.stop(order) if end == "stop" else opened.control.clear(order))
    with pytest.raises(StaleEpoch):
        await waiting
    assert await opened.approvals.state(approval) is State.STALE
    assert await opened.approvals.open() == []
    with pytest.raises(BadInput, match="stale" if end == "stop" else "no approval"):
        await opened.approvals.decide(approval.id, yes(approval), word())
    with pytest.raises(StaleEpoch):
        await opened.approvals.request(wish(opened, args="other"), CARD, asking())


async def test_an_approval_of_another_room_is_not_asked_for_here(world: World) -> None:
    opened = await world.open()
    with pytest.raises(BadInput, match="room elsewhere"):
        await opened.approvals.request(replace(wish(opened), room="elsewhere"), CARD, asking())


async def test_the_room_knows_who_saw_the_material(world: World) -> None:
    opened = await world.open()
    approval = await allowed(opened)
    assert not await opened.approvals.was_seen(approval.id, SECURITY)
    await opened.approvals.seen(approval.id, SECURITY)
    await opened.approvals.seen(approval.id, SECURITY)
    assert await opened.approvals.was_seen(approval.id, SECURITY)
    assert not await opened.approvals.was_seen(approval.id, USER)
