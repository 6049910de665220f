"""A cancelled task stops, wherever in an exchange with Redis it was; its clean-up may still use the room."""

import asyncio

import pytest

from agents.domain.message import Kind, Message
from tests.room.conftest import World

pytestmark = pytest.mark.real


async def test_no_cancellation_is_lost(real_world: World) -> None:
    opened = await real_world.open()

    async def follow() -> None:
        async for _ in opened.room.follow("0"):
            continue

    async def work() -> None:
        while True:
            await opened.control.read()

    lost = []
    for what in (follow, work):
        for delay in range(100):
            task = asyncio.create_task(what())
            for _ in range(delay % 20):
                await asyncio.sleep(0)
            await asyncio.sleep(0.0002 * delay)
            task.cancel()
            _, running = await asyncio.wait([task], timeout=2)
            if running:
                lost.append((what.__name__, delay))
                task.cancel()
                await asyncio.wait([task])
    assert lost == []


async def test_a_cancelled_task_can_still_say_goodbye(real_world: World) -> None:
    opened = await real_world.open()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await opened.room.post(Message("QA", "goodbye", Kind.SYSTEM))

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=10)
    said = await opened.room.said(5)
    assert [message.content for message in said] == ["goodbye"]
