"""Every call may be done twice because its answer was lost: the second time changes nothing."""

from collections.abc import AsyncIterator

import pytest

from agents.domain.message import USER, Kind, Message
from agents.domain.mission import HostedApp, HttpProbe, Presence, RoomState, Verdict, check_id
from agents.domain.ports import OpenRoom
from agents.domain.turn import Claim, Effect, EntryKind, JournalEntry, Outcome, StopReason
from agents.room import open_room
from tests.room.flaky_proxy import FlakyProxy
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.real

INTENT = JournalEntry(EntryKind.INTENT, 1, {}, "call", Effect.MUTATE)
PROBE = HttpProbe(type="http", title="answers", url="http://127.0.0.1/", status=200, contains=None)


@pytest.fixture
async def proxy(redis_server: RedisServer) -> AsyncIterator[FlakyProxy]:
    yield FlakyProxy(redis_server.socket)
    with redis_server.client() as client:
        client.flushall()


@pytest.fixture
async def opened(proxy: FlakyProxy, redis_server: RedisServer) -> AsyncIterator[OpenRoom]:
    path = redis_server.socket.with_name("proxy")
    path.unlink(missing_ok=True)
    async with proxy.listening(path) as url:
        room = await open_room(url, "flaky", patience=10)
        yield room
        await room.aclose()


async def taken(opened: OpenRoom) -> Claim:
    claim = await opened.inbox("QA", "one").claim()
    assert claim
    return claim


async def test_post(opened: OpenRoom, proxy: FlakyProxy) -> None:
    proxy.lose_answers = 3
    posted = await opened.room.post(Message(USER, "hi", to=("QA",)))
    assert proxy.lost == 3
    assert await opened.room.events() == [posted]
    assert len((await opened.mission.read()).requests) == 1
    assert await opened.inbox("QA", "one").pending() == 1


async def test_claim(opened: OpenRoom, proxy: FlakyProxy) -> None:
    posted = await opened.room.post(Message(USER, "hi", to=("QA",)))
    proxy.lose_answers = 2
    claim = await taken(opened)
    assert proxy.lost == 2
    assert [delivery.message for delivery in claim.deliveries] == [posted]
    assert (claim.fence, claim.attempt) == (1, 1)


async def test_record(opened: OpenRoom, proxy: FlakyProxy) -> None:
    await opened.room.post(Message(USER, "hi", to=("QA",)))
    claim = await taken(opened)
    proxy.lose_answers = 2
    await opened.journal.record(claim, [INTENT], [Message("QA", "hm", Kind.THINK)])
    assert proxy.lost == 2
    assert (await taken(opened)).entries == (INTENT,)
    assert (await opened.mission.read()).acts == 1
    assert [message.content for message in await opened.room.events()] == ["hi", "hm"]
    await opened.journal.record(claim, [INTENT])
    assert (await opened.mission.read()).acts == 2


async def test_commit(opened: OpenRoom, proxy: FlakyProxy) -> None:
    await opened.room.post(Message(USER, "hi", to=("QA",)))
    claim = await taken(opened)
    proxy.lose_answers = 2
    placed = await opened.journal.commit(claim, Outcome(StopReason.DONE), [Message("QA", "bye", to=("Coder",))])
    assert proxy.lost == 2
    assert (await opened.room.events())[1:] == placed
    assert await opened.inbox("Coder", "one").pending() == 1
    assert await opened.inbox("QA", "one").claim() is None


async def test_stop_and_clear(opened: OpenRoom, proxy: FlakyProxy) -> None:
    proxy.lose_answers = 2
    assert (await opened.control.stop(Message(USER, "STOP", Kind.CONTROL))).epoch == 1
    proxy.lose_answers = 4
    assert (await opened.control.clear(Message(USER, "CLEAR", Kind.CONTROL))).epoch == 2
    assert proxy.lost == 6
    assert [message.content for message in await opened.room.events()] == ["CLEAR"]


async def test_the_boards(opened: OpenRoom, proxy: FlakyProxy) -> None:
    proxy.lose_answers = 1
    await opened.control.set_state(RoomState.RUNNING)
    proxy.lose_answers = 1
    assert len((await opened.mission.propose([PROBE])).checks) == 1
    proxy.lose_answers = 1
    await opened.mission.judge(check_id(PROBE), Verdict.PASS, "200")
    proxy.lose_answers = 1
    assert (await opened.mission.waive(check_id(PROBE), "why")).green
    proxy.lose_answers = 1
    await opened.presence.beat(Presence("QA", "one", "host", "idle"))
    proxy.lose_answers = 1
    await opened.presence.host(HostedApp("page", 8089, "docs", "DevOps", 4e9))
    assert proxy.lost == 6
    assert (await opened.control.read()).state is RoomState.RUNNING
    assert len(await opened.presence.present()) == len(await opened.presence.hosted()) == 1
