"""Workers of one role are killed (-9) again and again: every message is answered once, every act is begun once."""

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Container

import pytest

from agents.domain.message import USER, Message
from agents.room import open_room
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.real, pytest.mark.chaos]

MESSAGES = 120
KILLS = 12
LEASE = 0.3

WORKER = """
import asyncio, json, sys
from agents.domain.errors import LeaseLost
from agents.domain.message import Message
from agents.domain.turn import Effect, EntryKind, JournalEntry, Outcome, StopReason
from agents.room import open_room

async def turn(opened, inbox, claim):
    begun = {entry.call for entry in claim.entries}
    for delivery in claim.deliveries:
        await inbox.renew(claim)
        if delivery.entry not in begun:
            intent = JournalEntry(EntryKind.INTENT, 1, {}, delivery.entry, Effect.MUTATE)
            await opened.journal.record(claim, [intent])
            await asyncio.sleep(0.03)
    words = json.dumps([delivery.message.content for delivery in claim.deliveries])
    reply = Message("QA", words, to=("Architect",), id=f"{claim.turn}-reply", hops=claim.attempt)
    await opened.journal.commit(claim, Outcome(StopReason.REPLIED), [reply])

async def main(url, consumer, lease):
    opened = await open_room(url, "kills", lease=float(lease))
    inbox = opened.inbox("QA", consumer)
    while True:
        claim = await inbox.claim()
        if claim is None:
            await asyncio.sleep(0.01)
            continue
        try:
            await turn(opened, inbox, claim)
        except LeaseLost:  # a slow machine: another one has it now
            pass

asyncio.run(main(*sys.argv[1:]))
"""


async def start(url: str, name: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, url, name, str(LEASE))


async def holder(server: RedisServer, workers: Container[str]) -> str:
    """The worker that holds a turn."""
    with server.client() as client:
        while True:
            for turn in map(json.loads, client.hvals("{kills}:turns")):
                if turn["consumer"] in workers:
                    return str(turn["consumer"])
            await asyncio.sleep(0.005)


async def test_every_message_is_answered_once_whatever_dies(own_server: RedisServer) -> None:
    opened = await open_room(own_server.url, "kills")
    chance = random.Random(5)

    async def talk() -> None:
        for number in range(MESSAGES):
            await opened.room.post(Message(USER, str(number), to=("QA",)))
            await asyncio.sleep(0.06)

    async def answers() -> list[Message]:
        return [event for event in await opened.room.events(limit=10_000) if event.sender == "QA"]

    talking = asyncio.create_task(talk())
    workers = {name: await start(own_server.url, name) for name in ("first", "second")}
    try:
        for number in range(KILLS):
            async with asyncio.timeout(30):
                victim = workers.pop(await holder(own_server, workers))
            await asyncio.sleep(chance.uniform(0, 0.1))
            victim.kill()
            await victim.wait()
            workers[f"next-{number}"] = await start(own_server.url, f"next-{number}")
        async with asyncio.timeout(60):
            await talking
            while sum(len(json.loads(answer.content)) for answer in await answers()) < MESSAGES:
                await asyncio.sleep(0.05)
    finally:
        for worker in workers.values():
            worker.kill()
            await worker.wait()
    counted = Counter(word for answer in await answers() for word in json.loads(answer.content))
    assert counted == {str(number): 1 for number in range(MESSAGES)}
    assert max(answer.hops for answer in await answers()) > 1, "no kill met a turn: this run proved nothing"
    assert await opened.inbox("QA", "late").claim() is None
    assert (await opened.mission.read()).acts == MESSAGES
    architect = await opened.inbox("Architect", "one").claim()
    assert architect
    assert len({delivery.message.id for delivery in architect.deliveries}) == len(architect.deliveries)
    await opened.aclose()
