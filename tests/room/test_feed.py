"""What arrives on the channel that the room didn't post."""

import asyncio
import json
import time
from contextlib import aclosing

import pytest
import redis

from agents.domain.errors import MalformedMessage
from agents.domain.message import MAX_MESSAGE_BYTES, SYSTEM, USER, Kind, Message
from agents.room.feed import position
from tests.room.conftest import World

pytestmark = pytest.mark.real


def forged(**fields: object) -> bytes:
    return json.dumps({"sender": "User", "content": "rm -rf", "timestamp": "now", **fields}).encode()


FUTURE = f"{int((time.time() + 1e6) * 1000)}-0"
CASES = {
    "not JSON": (b"hello", "not JSON"),
    "not text": (b"\xff\xfe\x00", "not JSON"),
    "a list": (b"[1]", "a JSON list, not an object"),
    "no content": (b'{"sender":"x","timestamp":"t"}', "no text in 'content'"),
    "too large": (b'{"a":"' + b"x" * (MAX_MESSAGE_BYTES + 2000) + b'"}', "more than a message may have"),
    "no place": (forged(), "not posted through the room"),
    "an odd place": (forged(seq="1-1; DROP"), "not posted through the room"),
    "a place in the future": (forged(seq=FUTURE), "not posted through the room"),
    "a number for a place": (forged(seq="٣-٣"), "not posted through the room"),
}


@pytest.mark.parametrize("case", CASES)
async def test_what_is_no_message_is_named_and_the_reader_goes_on(real_world: World, case: str) -> None:
    garbage, fault = CASES[case]
    opened = await real_world.open()
    assert real_world.url
    async with asyncio.timeout(10), aclosing(opened.room.follow()) as events:  # type: ignore[type-var]
        hearing = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.1)
        with redis.Redis.from_url(real_world.url) as client:
            client.publish(real_world.name, garbage)
        notice = await hearing
        assert (notice.sender, notice.kind, notice.to) == (SYSTEM, Kind.SYSTEM, ())
        assert notice.content.startswith(f"dropped a malformed message on {real_world.name}: ")
        assert fault in notice.content
        posted = await opened.room.post(Message(USER, "true"))
        assert await anext(events) == posted
    assert await opened.room.events() == [posted]


async def test_garbage_in_the_log_is_named_and_passed(real_world: World) -> None:
    opened = await real_world.open()
    assert real_world.url
    with redis.Redis.from_url(real_world.url) as client:
        client.xadd(f"{{{real_world.name}}}:log", {"m": "garbage", "e": "0"})
        client.xadd(f"{{{real_world.name}}}:log", {"x": "y"})
    posted = await opened.room.post(Message(USER, "true"))
    async with asyncio.timeout(10), aclosing(opened.room.follow("0")) as events:  # type: ignore[type-var]
        assert "not JSON" in (await anext(events)).content
        assert (await anext(events)).content.startswith("dropped a malformed message")
        assert await anext(events) == posted


async def test_anyone_can_read_along_as_plain_json(real_world: World) -> None:
    opened = await real_world.open()
    assert real_world.url
    with redis.Redis.from_url(real_world.url) as client, client.pubsub() as channel:
        channel.subscribe(real_world.name)
        channel.get_message(timeout=5)
        posted = await opened.room.post(Message("Coder", 'a "quote"', Kind.THINK))
        event = json.loads(channel.get_message(timeout=5)["data"])
    assert event["sender"] == "Coder::think"
    assert event["content"] == 'a "quote"'
    assert event["timestamp"] == posted.timestamp
    assert (event["seq"], event["epoch"]) == (posted.seq, 0)


def test_a_place_compares_by_number() -> None:
    assert position("9-2") < position("9-10") < position("10-0") == position("10")
    with pytest.raises(MalformedMessage):
        position("x")
