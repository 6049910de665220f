"""The `HeadBoard` port: what is known of ledgers only grows."""

from dataclasses import replace

from agents.domain.ledger import LedgerHead
from agents.domain.message import USER, Kind, Message
from tests.room.conftest import World

HEAD = LedgerHead("0a" * 16, "lab host 1", 7, "ab" * 32)


async def test_a_head_is_known_to_every_process(world: World) -> None:
    mine, other = await world.open(), await world.open()
    assert await mine.heads.heads() == []
    await mine.heads.publish(HEAD)
    assert await other.heads.heads() == [HEAD]


async def test_a_later_head_takes_its_place_and_an_earlier_one_does_not(world: World) -> None:
    opened = await world.open()
    await opened.heads.publish(HEAD)
    later = replace(HEAD, lines=10, hash="cd" * 32)
    await opened.heads.publish(later)
    await opened.heads.publish(replace(HEAD, lines=9, hash="ef" * 32))
    await opened.heads.publish(replace(HEAD, lines=10, hash="00" * 32))
    assert await opened.heads.heads() == [later]


async def test_each_machines_ledger_has_its_own(world: World) -> None:
    opened = await world.open()
    other = replace(HEAD, ledger="0b" * 16, host="another", lines=1)
    await opened.heads.publish(HEAD)
    await opened.heads.publish(other)
    assert await opened.heads.heads() == [other, HEAD]


async def test_a_clear_keeps_them(world: World) -> None:
    opened = await world.open()
    await opened.heads.publish(HEAD)
    await opened.control.clear(Message(USER, "CLEAR", Kind.CONTROL))
    assert await opened.heads.heads() == [HEAD]
