"""Role prompts: what parses, and complaints that name file, field and fault."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.domain.errors import PromptError
from agents.domain.role import parse_role

GOOD = '---\ntag: "@Coder"\ntitle: writes code\naliases: ["@Coder_Smith", Smith]\ntools: [save_file]\n---\n\nProse.\n'


@pytest.mark.parametrize("text", [GOOD, GOOD.replace("\n", "\r\n"), "\ufeff" + GOOD])
def test_a_prompt_file(text: str) -> None:
    role = parse_role("Coder", text)
    assert (role.name, role.title, role.tools, role.prose) == ("Coder", "writes code", ("save_file",), "Prose.")
    assert role.aliases == ("Coder_Smith", "Smith")
    assert (role.tier, role.answers_user, role.limits.steps) == ("default", False, 100)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no front matter"),
        ("Prose only", "no front matter"),
        ("---\ntag: x\n", "no front matter"),
        ("---\n\n---\nx", "front matter: Input"),
        ("---\n[\n---\nx", "no YAML"),
        ("---\ntag: 2024-13-45\n---\nx", "no YAML"),
        (GOOD.replace('"@Coder"', '"@Codr"'), "the file's name makes it @Coder"),
        (GOOD.replace('"@Coder"', "Coder"), "tag:"),
        (GOOD.replace("title: writes code", "titel: x"), "title"),
        (GOOD.replace("title: writes code", "title: ''"), "title"),
        (GOOD.replace("Smith]", "'two words']"), "aliases.1"),
        (GOOD.replace("tools: [save_file]", "tools: save_file"), "tools"),
        (GOOD.replace("tools: [save_file]", "tier: huge"), "tier"),
        (GOOD.replace("tools: [save_file]", "limits: {steps: 0}"), "limits.steps"),
        (GOOD.replace("tools: [save_file]", "limits: {step: 5}"), "limits.step"),
    ],
)
def test_a_broken_prompt_is_told(text: str, complaint: str) -> None:
    with pytest.raises(PromptError, match=r"^prompts/Coder\.md: ") as caught:
        parse_role("Coder", text)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_hash_covers_the_shared_rules() -> None:
    one, same, other = parse_role("Coder", GOOD), parse_role("Coder", GOOD), parse_role("Coder", GOOD, "be brief")
    assert one.sha == same.sha != other.sha
    assert parse_role("Coder", GOOD + " ").sha != one.sha


@given(st.text(max_size=60))
def test_any_front_matter_is_a_role_or_a_complaint(text: str) -> None:
    with pytest.raises(PromptError):
        parse_role("Coder", f"---\n{text}\n---\n")
