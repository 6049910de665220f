"""What the User decides from the console: the cards, both words, and the risks that are the User's to take."""

from pathlib import Path

import pytest

from agents.domain.errors import BadInput
from agents.domain.finding import FindingStatus
from agents.domain.message import USER, Kind
from agents.domain.turn import Status
from client.console.commands import Desk, submit
from client.roster import read_crew
from tests.conftest import REPOSITORY
from tests.safety.world import PLAYBOOK, RUN, World
from tests.support.desk import Shown
from tests.support.gates import Text, at_level


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A lab in which the User decides every act."""
    return World(tmp_path, Text(at_level("suggest")))


def desk_in(world: World, shown: Shown) -> Desk:
    """A desk in the world's room."""
    return Desk(world.opened, lambda: read_crew(REPOSITORY / "prompts"), shown.show, shown.confirm)


@pytest.fixture
def shown() -> Shown:
    return Shown()


@pytest.fixture
def desk(world: World, shown: Shown) -> Desk:
    return desk_in(world, shown)


async def test_the_user_looks_and_approves(world: World, desk: Desk, shown: Shown) -> None:
    asked = await world.ask("run_ansible", RUN)
    assert asked.approval.needed == {USER}
    await submit(desk, "/approvals")
    assert f"[{asked.approval.id}] run_ansible by DevOps (mutate" in shown.text
    await submit(desk, f"/show {asked.approval.id}")
    assert "ansible.builtin.ping" in shown.text
    assert await world.opened.approvals.was_seen(asked.approval.id, USER)
    await submit(desk, f"/approve {asked.approval.id}")
    assert (await asked.task).status is Status.OK
    assert world.acts == [f"ansible {PLAYBOOK}"]
    await submit(desk, "/approvals")
    assert "nothing waits for a decision" in shown.text


async def test_the_requester_reads_why_the_user_rejected(world: World, desk: Desk, shown: Shown) -> None:
    asked = await world.ask("run_ansible", RUN)
    with pytest.raises(BadInput, match="say why"):
        await submit(desk, f"/reject {asked.approval.id}")
    await submit(desk, f"/reject {asked.approval.id} not on a \x1b[31mFriday")
    result = await asked.task
    assert result.status is Status.DENIED
    assert "Friday" in result.content
    assert world.acts == []
    said = [message for message in await world.opened.room.events() if message.sender == USER]
    assert [message.content for message in said if message.kind is Kind.APPROVAL] == [
        f"[{asked.approval.id}] rejected: not on a \\u{{1b}}[31mFriday"
    ]


@pytest.mark.parametrize(
    "line", ["/approve", "/show", "/approve a0000000", "/reject", "/accept-risk", "/accept-risk f1"]
)
async def test_what_names_nothing_is_refused_with_the_fix(desk: Desk, line: str) -> None:
    with pytest.raises(BadInput):
        await submit(desk, line)


async def test_what_is_security_s_to_decide_is_not_the_user_s(tmp_path: Path) -> None:
    world = World(tmp_path)
    asked = await world.ask("run_ansible", RUN)
    with pytest.raises(BadInput, match="decided by Security"):
        await submit(desk_in(world, Shown()), f"/approve {asked.approval.id}")
    await asked.given_up()


async def test_a_risk_the_user_accepts_stands_in_nobody_s_way(world: World, desk: Desk, shown: Shown) -> None:
    await submit(desk, "/findings")
    assert "no finding was raised" in shown.text
    said = {"rule": "no-root", "target": PLAYBOOK, "severity": "critical", "evidence": "line 1: become"}
    await world.call("raise_finding", said, "Security")
    assert (await world.call("run_ansible", RUN)).status is Status.DENIED
    [finding] = await world.opened.findings.list()
    await submit(desk, "/findings")
    assert f"[{finding.id}] critical no-root" in shown.text
    await submit(desk, f"/accept-risk {finding.id} it is only a lab")
    assert (await world.opened.findings.list())[0].status is FindingStatus.ACCEPTED
    asked = await world.ask("run_ansible", RUN)
    await submit(desk, f"/approve {asked.approval.id}")
    assert (await asked.task).status is Status.OK
    again = await world.call("raise_finding", said, "Security")
    assert "the decision stands" in again.content
