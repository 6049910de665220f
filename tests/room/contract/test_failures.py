"""The store of the team's failures: Redis's against the one in memory."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from agents.react.breaker import FailureStore, InMemoryFailures
from agents.room.connection import Link
from agents.room.failures import RedisFailures
from agents.room.keys import Keys
from tests.room.conftest import World

WINDOW = 100.0


class Stores:
    """Stores of one room, each as another process has it."""

    def __init__(self, world: World, link: Link | None) -> None:
        self.world = world
        self.link = link
        self._memory: dict[float, InMemoryFailures] = {}

    def store(self, window: float = WINDOW, lag: float = 0.0) -> FailureStore:
        if self.link is None:
            return self._memory.setdefault(window, InMemoryFailures(window))
        return RedisFailures(self.link, Keys(self.world.name), window, lag=lag)


@pytest.fixture
async def stores(world: World) -> AsyncIterator[Stores]:
    link = Link(world.url, 5) if world.url else None
    yield Stores(world, link)
    if link:
        await link.aclose()


async def test_a_call_that_never_failed(stores: Stores) -> None:
    assert await stores.store().worst("a") == 0


async def test_the_most_frequent_error_counts_across_processes(stores: Stores) -> None:
    here, there = stores.store(), stores.store()
    for store, call, error in [(here, "a", "x"), (there, "a", "y"), (there, "a", "x"), (here, "b", "x")]:
        await store.add(call, error)
    assert (await here.worst("a"), await there.worst("a"), await there.worst("b")) == (2, 2, 1)


async def test_what_works_is_forgotten(stores: Stores) -> None:
    here, there = stores.store(), stores.store()
    await here.add("a", "x")
    await here.add("b", "x")
    await there.forget("a")
    assert (await here.worst("a"), await here.worst("b")) == (0, 1)


async def test_a_failure_counts_for_a_while(stores: Stores) -> None:
    store = stores.store(window=0.1)
    await store.add("a", "x")
    assert await store.worst("a") == 1
    await asyncio.sleep(0.2)
    assert await store.worst("a") == 0


async def test_any_text_is_an_error(stores: Stores) -> None:
    store = stores.store()
    for error in ("", "a,b 1 2", "half \ud800 pair", "ü" * 5000):
        await store.add(f"call {error[:3]}", error)
        assert await store.worst(f"call {error[:3]}") == 1


async def test_many_failures_are_bounded(stores: Stores) -> None:
    store = stores.store()
    for _ in range(150):
        await store.add("a", "x")
    assert 90 <= await store.worst("a") <= 110


async def test_what_was_just_read_costs_no_round_trip(real_world: World) -> None:
    assert real_world.url
    link, now = Link(real_world.url, 5), 0.0
    store = RedisFailures(link, Keys(real_world.name), WINDOW, clock=lambda: now)
    other = RedisFailures(link, Keys(real_world.name), WINDOW, clock=lambda: now)
    assert await store.worst("a") == 0
    await other.add("a", "x")
    assert await store.worst("a") == 0  # read a moment ago
    await store.forget("a")  # nothing known: nothing to forget
    now = 2.0
    assert await store.worst("a") == 1
    await store.forget("a")
    assert await other.worst("a") == 0
    await link.aclose()


async def test_a_clear_forgets_them(real_world: World) -> None:
    from agents.domain.message import USER, Kind, Message

    assert real_world.url
    opened, link = await real_world.open(), Link(real_world.url, 5)
    store = RedisFailures(link, Keys(real_world.name), WINDOW, lag=0)
    await store.add("a", "x")
    await opened.control.clear(Message(USER, "CLEAR", Kind.CONTROL))
    assert await store.worst("a") == 0
    await link.aclose()
