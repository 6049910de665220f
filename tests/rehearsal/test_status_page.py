"""The demo's story: every line is reached, and what it tells is true in a real world."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from rehearsal.scenario import Call, load
from tests.rehearsal.conftest import Start
from tests.rehearsal.world import ANSIBLE, Room, Story, World, ask, roles

WORDINGS = (
    "Publish a status page for my two-node lab on port {port} and prove that it answers.",
    "please put up a Status-Page for the lab, port: {port}",
    "I want to see a status page of my nodes at http://127.0.0.1:{port}/",
)
# said when something went wrong, which a good run never shows
ASIDE = {"architect-gives-up"}


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    yield world
    await world.close()


@pytest.fixture
async def url(start: Start) -> str:
    return await start(load("status-page"))


@pytest.mark.real
@pytest.mark.timeout(400)  # seven real Ansible runs, on however slow a machine
async def test_the_story_is_true(url: str, world: World, port: int) -> None:
    if not ANSIBLE.exists():
        pytest.skip("ansible-playbook is not installed in this environment")
    story = await Room(url, world).say(WORDINGS[0].format(port=port))

    assert world.verdicts == ["3 of 4", "4 of 4"], "one probe truly fails, and is truly mended"
    assert f"http://127.0.0.1:{port}/" in story.summary
    assert set(story.rules) == {rule.id for rule in load("status-page").rules} - ASIDE
    assert len(story.rules) <= 40
    async with httpx.AsyncClient() as client:
        page = (await client.get(f"http://127.0.0.1:{port}/")).text
    assert "node-1" in page
    assert "node-2" in page
    _each_wakes_who_must_act(story)


def _each_wakes_who_must_act(story: Story) -> None:
    baton = [(message.sender, message.to) for message in story.said if message.sender != "Observer"]
    assert baton == [
        ("User", ("Architect",)),
        ("Architect", ("Coder",)),
        ("Coder", ("Security",)),
        ("Security", ("Coder",)),
        ("Coder", ("Security",)),
        ("Security", ("DevOps",)),
        ("DevOps", ("QA", "Observer")),
        ("QA", ("Coder",)),
        ("Coder", ("DevOps",)),
        ("DevOps", ("QA",)),
        ("QA", ("Architect",)),
    ]
    watcher = [message for message in story.said if message.sender == "Observer"]
    assert [message.to for message in watcher] == [()]
    assert len(watcher[0].content.splitlines()) == 1


@pytest.mark.parametrize("wording", WORDINGS)
async def test_the_request_may_be_worded_otherwise(url: str, wording: str) -> None:
    opening = [
        {"role": "system", "content": "You are @Architect (plans) in the room."},
        {"role": "user", "content": wording.format(port=9123)},
    ]
    async with httpx.AsyncClient(base_url=url) as client:
        answer = await ask(client, opening)
    assert answer.rule == "architect-plans"
    assert "port 9123" in answer.message["tool_calls"][0]["function"]["arguments"]


@pytest.mark.parametrize(
    "text",
    [
        "DevOps's turn ended: failed. http://127.0.0.1:1/v1 answered 400: no line for DevOps",
        "@Architect nobody is at work and the mission isn't finished.",
    ],
)
async def test_a_story_that_went_wrong_ends_with_the_user(url: str, text: str) -> None:
    opening = [
        {"role": "system", "content": "You are @Architect (plans) in the room."},
        {"role": "user", "content": f"{text} The status page on port 8089 …"},
    ]
    async with httpx.AsyncClient(base_url=url) as client:
        answer = await ask(client, opening)
    assert answer.rule == "architect-gives-up"
    assert answer.message["content"].startswith("@User")
    assert answer.message["content"].endswith("[AWAITING_INPUT]")


FAILED = "Run: ok 1, changed 0, failed 1, unreachable 0, skipped 0\n  localhost: ok=1 failed=1 unreachable=0"
DOWN = "Run: ok 1, changed 0, failed 0, unreachable 1, skipped 0\n  box: ok=1 failed=0 unreachable=1"
FINE = "Run: ok 2, changed 2, failed 0, unreachable 0, skipped 0\n  localhost: ok=2 failed=0 unreachable=0"


@pytest.mark.parametrize(("result", "told"), [(FAILED, False), (DOWN, False), (FINE, True)])
async def test_devops_claims_a_run_only_if_it_ran(url: str, result: str, told: bool) -> None:
    body = {"messages": _after("DevOps", "Please run `x` again; port 8089", "run_ansible", "{}", result)}
    async with httpx.AsyncClient(base_url=url) as client:
        response = await client.post("/chat/completions", json=body)
    assert (response.status_code == 200) is told
    assert told or "no line for DevOps" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("result", "rule"),
    [
        ("4 of 4 checks are green.\n[c1] x (http): pass — ok", "qa-confirms"),
        ("3 of 4 checks are green.\n[c1] x (http): fail — the body lacks 'node-2'", "qa-looks-for-the-cause"),
        ("3 of 4 checks are green.\n[c1] x (tcp): fail — refused", None),
    ],
)
async def test_qa_reports_what_the_probes_said(url: str, result: str, rule: str | None) -> None:
    body = {"messages": _after("QA", "Please run the checks; port 8089", "run_checks", "{}", result)}
    async with httpx.AsyncClient(base_url=url) as client:
        response = await client.post("/chat/completions", json=body)
    assert response.headers.get("x-rehearsal-rule") == rule


def _after(role: str, heard: str, tool: str, arguments: str, result: str) -> list[dict[str, object]]:
    call = {"id": "c1", "type": "function", "function": {"name": tool, "arguments": arguments}}
    return [
        {"role": "system", "content": f"You are @{role} (…) in the room."},
        {"role": "user", "content": heard},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": result},
    ]


def test_the_finding_names_the_right_line() -> None:
    rules = {rule.id: rule for rule in load("status-page").rules}
    template = str(_call("coder-writes", "index.html.j2").args["content"]).splitlines()
    objection = rules["security-objects"].say or ""
    number = int(objection.split("index.html.j2:")[1].split("`")[0])
    assert "{{ node.note }}" in template[number - 1]


def test_each_role_calls_only_its_own_tools() -> None:
    for rule in load("status-page").rules:
        assert {call.tool for call in rule.call} <= set(roles()[rule.role].tools), rule.id


def _call(rule_id: str, path_end: str) -> Call:
    [rule] = [rule for rule in load("status-page").rules if rule.id == rule_id]
    [call] = [call for call in rule.call if str(call.args["path"]).endswith(path_end)]
    return call
