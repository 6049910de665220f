"""The `LeaseBoard` port."""

import asyncio

from agents.domain.effect import Lease
from agents.domain.message import USER, Kind, Message
from agents.domain.ports import OpenRoom
from tests.room.conftest import World


async def given(opened: OpenRoom, *names: str, holder: str = "me", ttl: float = 20.0) -> Lease:
    lease = await opened.leases.acquire(names, holder, ttl)
    assert isinstance(lease, Lease)
    return lease


async def test_all_names_or_none(world: World) -> None:
    opened = await world.open()
    await given(opened, "web1")
    assert await opened.leases.acquire(["db1", "web1"], "other one", 20) == "me"
    await given(opened, "db1", holder="third")


async def test_of_many_at_once_one_gets_it(world: World) -> None:
    rooms = [await world.open() for _ in range(4)]
    answers = await asyncio.gather(
        *(room.leases.acquire(["a", "b"], f"h{number}", 20) for number, room in enumerate(rooms))
    )
    [lease] = [answer for answer in answers if isinstance(answer, Lease)]
    assert [answer for answer in answers if answer != lease] == [lease.holder] * 3


async def test_a_dead_holders_lease_ends_and_its_token_is_void(world: World) -> None:
    opened = await world.open()
    dead = await given(opened, "web1", ttl=0.1)
    await asyncio.sleep(0.2)
    assert not await opened.leases.renew(dead, 20)
    heir = await given(opened, "web1", holder="heir")
    assert heir.token > dead.token
    assert not await opened.leases.renew(dead, 20)
    await opened.leases.release(dead)
    assert await opened.leases.acquire(["web1"], "third", 20) == "heir"


async def test_a_renewed_lease_goes_on(world: World) -> None:
    opened = await world.open()
    lease = await given(opened, "web1", "db1", ttl=0.3)
    assert await opened.leases.renew(lease, 20)
    await asyncio.sleep(0.4)
    assert await opened.leases.acquire(["db1"], "other", 20) == "me"


async def test_a_released_lease_is_free(world: World) -> None:
    opened = await world.open()
    lease = await given(opened, "web1", "db1")
    await opened.leases.release(lease)
    await opened.leases.release(lease)
    assert not await opened.leases.renew(lease, 20)
    await given(opened, "web1", "db1", holder="other")


async def test_the_same_holder_gets_it_again_under_a_higher_token(world: World) -> None:
    opened = await world.open()
    first = await given(opened, "web1")
    second = await given(opened, "web1")
    assert second.token > first.token
    assert not await opened.leases.renew(first, 20)
    assert await opened.leases.renew(second, 20)


async def test_a_clear_leaves_leases_and_rising_tokens(world: World) -> None:
    opened = await world.open()
    lease = await given(opened, "web1")
    await opened.control.clear(Message(USER, "CLEAR", Kind.CONTROL))
    assert await opened.leases.acquire(["web1"], "other", 20) == "me"
    assert (await given(opened, "db1")).token > lease.token
