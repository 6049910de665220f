"""The prompts are product: they parse, name tools that exist, stay short, and keep their roles apart."""

import re
from collections import Counter
from pathlib import Path

import pytest

from agents.domain.addressing import TEAM_TAGS, Roster, is_acknowledgement
from agents.domain.errors import PromptError
from agents.domain.role import ROLES, Role, parse_role

PROMPTS = Path(__file__).resolve().parents[2] / "prompts"
TOOLS = frozenset(
    """save_file append_file read_file list_files delete_file search_files edit_file file_history file_diff
    file_restore read_env run_shell run_code run_ansible run_terraform host_app stop_app propose_checks run_checks
    finish ask_user run_ssh copy_to_host copy_from_host fetch_webpage run_kubectl list_approvals show_approval
    approve reject raise_finding list_findings resolve_finding""".split()
)
WRITING = frozenset("save_file append_file edit_file delete_file file_restore copy_from_host".split())
APPLYING = frozenset("run_ansible run_terraform run_kubectl copy_to_host".split())
ALIASES = {
    "Architect": "Architect_Zero",
    "DevOps": "DevOps_Builder",
    "Security": "Security_Sentinel",
    "QA": "QA_Tester",
}


def role(name: str) -> Role:
    text = (PROMPTS / f"{name}.md").read_text(encoding="utf-8")
    return parse_role(name, text, (PROMPTS / "_shared.md").read_text(encoding="utf-8"))


@pytest.fixture(params=ROLES)
def each(request: pytest.FixtureRequest) -> Role:
    return role(str(request.param))


def test_every_prompt_file_is_a_role_or_the_shared_rules() -> None:
    assert {path.stem for path in PROMPTS.glob("*.md")} == {*ROLES, "_shared"}


def test_a_broken_prompt_would_be_noticed() -> None:
    with pytest.raises(PromptError, match="tier"):
        parse_role("QA", (PROMPTS / "QA.md").read_text(encoding="utf-8").replace("tier: fast", "tier: huge"))


def test_tools_exist_and_are_named_once(each: Role) -> None:
    assert set(each.tools) <= TOOLS
    assert [tool for tool, count in Counter(each.tools).items() if count > 1] == []


def test_every_tool_is_somebodys() -> None:
    assert {tool for name in ROLES for tool in role(name).tools} == TOOLS


def test_prose_names_no_tool_the_role_lacks(each: Role) -> None:
    named = set(re.findall(r"`([a-z]+_[a-z]+)`", each.prose))
    assert named & TOOLS <= set(each.tools)
    shared = set(re.findall(r"`([a-z]+_[a-z]+)`", (PROMPTS / "_shared.md").read_text(encoding="utf-8")))
    assert not shared & TOOLS, "the shared rules are read by roles that lack most tools"


def test_only_devops_applies_and_only_its_own_write() -> None:
    assert {name for name in ROLES if APPLYING & set(role(name).tools)} == {"DevOps"}
    assert {name for name in ROLES if WRITING & set(role(name).tools)} == {"Architect", "Coder", "DevOps"}
    assert {name for name in ROLES if "read_env" in role(name).tools} == {"DevOps", "Security"}


def test_only_the_architect_answers_and_ends() -> None:
    assert [name for name in ROLES if role(name).answers_user] == ["Architect"]
    for tool in ("finish", "ask_user", "propose_checks"):
        assert [name for name in ROLES if tool in role(name).tools] == ["Architect"]
    assert not {"run_shell", "run_code", "run_ssh"} & set(role("Architect").tools)


def test_only_devops_commands_reach_the_network() -> None:
    assert [name for name in ROLES if role(name).limits.network] == ["DevOps"]


def test_tags_and_aliases_are_unique_and_known() -> None:
    roles = [role(name) for name in ROLES]
    tags = [tag.lower() for each in roles for tag in (each.name, *each.aliases)]
    assert len(tags) == len(set(tags))
    assert not set(tags) & {*TEAM_TAGS, "user", "system"}
    roster = Roster.of(roles)
    for name, alias in ALIASES.items():
        assert roster.tagged(f"@{alias} please") == (name,)


def test_sizes_are_bounded() -> None:
    for name, limit in {**dict.fromkeys(ROLES, 70), "_shared": 60}.items():
        text = (PROMPTS / f"{name}.md").read_text(encoding="utf-8")
        assert len(text.splitlines()) <= limit, name
        assert max(map(len, text.splitlines())) <= 140, name
        assert len(text) <= 6_000, f"{name}: some 1,500 tokens in every single query are enough"


def test_each_role_shows_a_good_message_that_would_wake_somebody(each: Role) -> None:
    roster = Roster.of(role(name) for name in ROLES)
    examples = re.findall(r"<example>\n(.*?)\n</example>", each.prose, re.DOTALL)
    assert examples
    for example in examples:
        assert len(roster.addressees(example, each.name)) == 1, "one message, one role to act"
        assert not is_acknowledgement(example)


def test_the_word_for_silence_wakes_nobody() -> None:
    shared = (PROMPTS / "_shared.md").read_text(encoding="utf-8")
    assert "one word `noted`" in shared
    assert is_acknowledgement("noted")
    assert not is_acknowledgement("noted, and the port is closed")
