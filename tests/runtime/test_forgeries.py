"""Reports of forged messages: soon, complete, and never a flood."""

import asyncio

from agents.runtime.forgeries import Forgeries


async def test_the_first_is_reported_at_once_and_the_rest_together() -> None:
    said: list[str] = []
    forgeries = Forgeries(said.append, pause=0.2)
    forgeries.heard("User", "not signed")
    await asyncio.sleep(0.05)
    assert len(said) == 1
    assert "1 dropped" in said[0]
    assert "1 as User (not signed)" in said[0]
    for _ in range(500):
        forgeries.heard("User", "not signed")
    forgeries.heard("Security", "wrong signature")
    assert len(said) == 1
    await asyncio.sleep(0.4)
    assert len(said) == 2
    assert "501 dropped" in said[1]
    assert "500 as User (not signed), 1 as Security (wrong signature)" in said[1]


async def test_a_flood_of_names_is_cut() -> None:
    said: list[str] = []
    forgeries = Forgeries(said.append, pause=0)
    for number in range(100):
        forgeries.heard(f"Ghost{number}", "not signed")
    await asyncio.sleep(0.05)
    assert said[0].count("Ghost") == 5
    assert "95 more kinds" in said[0]
    assert len(said) == 1
