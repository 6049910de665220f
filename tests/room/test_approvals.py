"""Approvals grow old, and collide with what somebody else writes."""

import pytest

from agents.domain.approval import State
from agents.domain.errors import RoomError
from agents.room.approvals import KEPT
from agents.room.in_memory import InMemoryRoom
from agents.room.in_memory_store import Store
from agents.room.shelf import MOST_TRIES, Change, Sight
from tests.room.contract.deciding import CARD, asked, asking, wish


async def test_old_approvals_are_dropped_and_newer_ones_of_the_same_act_stay() -> None:
    now = [1_000_000.0]
    store = Store(lambda: now[0])
    opened = InMemoryRoom("lab", store=store)
    old = await asked(opened)
    await opened.approvals.seen(old.id, "Security")
    other = await asked(opened, args="other")
    now[0] += KEPT
    newer = await asked(opened)
    assert newer.id != old.id
    assert await opened.approvals.state(old) is State.EXPIRED
    now[0] += 61
    await opened.approvals.open()
    kept = {field for field in store.approvals if old.id in field or other.id in field}
    assert kept == set()
    assert f"a:{newer.id}" in store.approvals
    assert any(field.startswith("d:") and text == newer.id for field, text in store.approvals.items())
    assert not any(text == other.id for text in store.approvals.values())


async def test_what_changes_all_the_time_is_given_up() -> None:
    opened = InMemoryRoom("lab")
    looks = 0

    class Restless:
        """A shelf on which nothing is ever as it was."""

        async def look(self, *fields: str) -> Sight:
            nonlocal looks
            looks += 1
            return Sight(0.0, 0, {})

        async def swap(self, changes: list[Change], *args: object, **kwargs: object) -> bool:
            return False

    opened.approvals._shelf = Restless()  # type: ignore[assignment]
    with pytest.raises(RoomError, match="somebody else writes"):
        await opened.approvals.request(wish(opened), CARD, asking())
    assert looks == 2 * MOST_TRIES
