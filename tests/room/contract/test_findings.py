"""The `FindingBoard` port."""

import asyncio

import pytest

from agents.domain.approval import SECURITY
from agents.domain.errors import BadInput
from agents.domain.finding import Finding, FindingStatus, Severity
from agents.domain.message import USER, Kind, Message
from agents.domain.ports import OpenRoom
from tests.room.conftest import World


async def found(
    opened: OpenRoom, target: str = "infra/main.tf", content: str = "v1", severity: Severity = Severity.HIGH
) -> Finding:
    return await opened.findings.raise_(
        "Open port", target, severity, "0.0.0.0/0", by=SECURITY, content=content, announce=announced
    )


def announced(finding: Finding) -> Message:
    return Message(SECURITY, finding.line(), to=("Architect",))


async def test_a_finding_is_kept_and_announced(world: World) -> None:
    opened = await world.open()
    finding = await found(opened)
    assert await (await world.open()).findings.list() == [finding]
    claim = await opened.inbox("Architect", "a").claim()
    assert claim is not None
    assert [d.message.content for d in claim.deliveries] == [finding.line()]


async def test_the_gravest_comes_first(world: World) -> None:
    opened = await world.open()
    low = await found(opened, "a", severity=Severity.LOW)
    high = await found(opened, "b", severity=Severity.CRITICAL)
    assert await opened.findings.list() == [high, low]


async def test_one_finding_is_raised_once_even_by_many_at_once(world: World) -> None:
    rooms = [await world.open() for _ in range(3)]
    results = await asyncio.gather(*(found(room) for room in rooms), return_exceptions=True)
    assert sorted(isinstance(result, BadInput) for result in results) == [False, True, True]
    assert len(await rooms[0].room.events()) == 1


async def test_a_decided_finding_comes_back_only_with_changed_content(world: World) -> None:
    opened = await world.open()
    finding = await found(opened)
    with pytest.raises(BadInput, match="only User"):
        await opened.findings.move(
            finding.id, FindingStatus.ACCEPTED, by=SECURITY, reason="fine", content="v1", announce=announced
        )
    accepted = await opened.findings.move(
        finding.id[:4], FindingStatus.ACCEPTED, by=USER, reason="only a lab", content="v1", announce=announced
    )
    assert (accepted.status, accepted.decided_by, accepted.reason) == (FindingStatus.ACCEPTED, USER, "only a lab")
    with pytest.raises(BadInput, match="the decision stands"):
        await found(opened)
    again = await found(opened, content="v2")
    assert (again.status, again.raised) == (FindingStatus.OPEN, 2)
    assert await opened.findings.list() == [again]
    assert len(await opened.room.events()) == 3


async def test_a_finding_nobody_knows_is_named_with_those_there(world: World) -> None:
    opened = await world.open()
    finding = await found(opened)
    for wrong in ("f999999999", ""):
        with pytest.raises(BadInput, match=f"no finding.*{finding.id}"):
            await opened.findings.move(wrong, FindingStatus.REJECTED, by=USER, reason="no", content="v1")
    await found(opened, "other.tf")
    with pytest.raises(BadInput, match="several"):
        await opened.findings.move("f", FindingStatus.REJECTED, by=USER, reason="no", content="v1")


async def test_a_clear_wipes_the_register(world: World) -> None:
    opened = await world.open()
    finding = await found(opened)
    await opened.control.clear(Message(USER, "CLEAR", Kind.CONTROL))
    assert await opened.findings.list() == []
    assert (await found(opened)).id == finding.id
