"""Obtaining leave: waiting, resuming, what the ledger keeps, and what a run's risk is computed from."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from agents.domain.message import USER
from agents.domain.turn import Effect, Status, ToolCall
from agents.executors.ansible import Job
from tests.safety.world import PLAYBOOK, RUN, World
from tests.support.gates import Text, at_level

INVENTORY = "config/lab.yml"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_a_repeated_call_finds_the_approval_its_dead_worker_asked_for(world: World) -> None:
    asked = await world.ask("run_ansible", RUN)
    await asked.given_up()
    await world.security_approves(asked.approval.id)
    assert (await world.call("run_ansible", RUN)).status is Status.OK
    assert len([m for m in await world.opened.room.events() if m.data.get("action") == "request"]) == 1


async def test_who_looks_sees_what_the_turn_waits_for(world: World) -> None:
    seen: list[str] = []
    turn = replace(await world.turn(), progress=lambda step, activity: seen.append(activity))
    call = asyncio.create_task(world.guarded.gate.call(ToolCall("c", "run_ansible", RUN), turn))
    while not seen:
        await asyncio.sleep(0.005)
    [(approval, _)] = await world.opened.approvals.open()
    assert seen == [f"awaiting approval {approval.id}"]
    await world.security_approves(approval.id)
    assert (await call).status is Status.OK
    assert seen[-1] == "run_ansible"


async def test_the_ledger_tells_an_act_from_its_ruling_to_its_end(world: World) -> None:
    await (await world.ask("run_ansible", RUN)).approved()
    kinds = world.guarded.ledger.kinds()
    assert kinds == ["decision", "read-material", "decision", "decision", "intent", "started", "done"]
    lines = [body for _, body in world.guarded.ledger.lines]
    assert {body["digest"] for body in lines} == {lines[0]["digest"]}
    assert (lines[0]["status"], lines[0]["needed"]) == ("asked", ["Security"])
    assert lines[-1]["approval"] == lines[1]["approval"]
    await world.call("save_file", {"path": "tmp/x", "content": "x"})
    assert world.guarded.ledger.kinds()[7:] == ["intent", "done"]
    await world.call("read_file", {"path": "tmp/x"})
    assert len(world.guarded.ledger.kinds()) == 9, "reads leave no line"


async def test_a_fault_of_the_policy_is_said_once(world: World) -> None:
    world.guarded.policy.text = "level: ["
    for _ in range(3):
        await world.call("read_file", {"path": PLAYBOOK})
    assert len(world.guarded.complaints) == 1
    world.guarded.policy.text = at_level("observe")
    assert (await world.call("save_file", {"path": "tmp/x", "content": "x"})).status is Status.DENIED


async def test_an_agent_s_own_dry_run_serves_for_the_risk(world: World) -> None:
    await world.call("run_ansible", {**RUN, "check": True})
    world.ansible.would_fail = True  # another check run would say so
    asked = await world.ask("run_ansible", RUN)
    assert await risk_of(world) == (Effect.MUTATE, ())
    await asked.given_up()
    world.workspace.write_text("config/site/vars.yml", "port: 1\n")
    asked = await world.ask("run_ansible", RUN)
    assert "1 failures" in (await risk_of(world))[1][0]
    await asked.given_up()


async def risk_of(world: World) -> tuple[Effect, tuple[str, ...]]:
    """Effect and reasons on the newest card."""
    _, card = (await world.opened.approvals.open())[-1]
    return Effect(card["effect"]), tuple(card["reasons"])


@pytest.mark.parametrize(
    ("inventory", "needed"),
    [
        ("all:\n  hosts:\n    web1:\n", {"Security"}),
        ("all:\n  hosts:\n" + "".join(f"    web{n}:\n" for n in range(9)), {"Security", USER}),
        ("plugin: aws_ec2\n", {"Security", USER}),
    ],
)
async def test_reach_decides_who_is_asked(world: World, inventory: str, needed: set[str]) -> None:
    world.workspace.write_text(INVENTORY, inventory)
    asked = await world.ask("run_ansible", {**RUN, "inventory": INVENTORY})
    assert asked.approval.needed == needed
    await asked.given_up()


async def test_what_would_act_in_a_check_run_is_not_run_and_said(world: World) -> None:
    world.workspace.write_text(PLAYBOOK, "- hosts: localhost\n  tasks:\n    - command: id\n      check_mode: false\n")
    asked = await world.ask("run_ansible", RUN)
    _, card = (await world.opened.approvals.open())[-1]
    assert any("no check run was made" in blind for blind in card["blind_spots"])
    await asked.given_up()


async def test_a_path_out_of_the_folder_pins_everything(world: World) -> None:
    job = Job(PLAYBOOK)
    tool = world.guarded.registry.find("run_ansible", ("run_ansible",))
    assert tool.material is not None
    args = tool.args.model_validate(RUN)
    before = (await tool.material(args)).identity
    world.workspace.write_text("config/other.yml", "x: 1\n")
    assert (await tool.material(args)).identity == before
    world.workspace.write_text(job.playbook, "- hosts: localhost\n  vars_files: [../other.yml]\n")
    reaching = (await tool.material(args)).identity
    world.workspace.write_text("config/other.yml", "x: 2\n")
    assert (await tool.material(args)).identity != reaching


async def test_the_user_is_asked_where_security_would_judge_itself(tmp_path: Path) -> None:
    world = World(tmp_path, Text(at_level("suggest")))
    asked = await world.ask("run_ansible", RUN)
    assert asked.approval.needed == {USER}
    await asked.given_up()
