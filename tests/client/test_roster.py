"""Whom the User can speak to."""

from pathlib import Path

from client.roster import read_crew


def test_roles_and_tags_come_from_the_prompts(prompts: Path) -> None:
    crew = read_crew(prompts)
    assert crew.faults == ()
    assert crew.roster.addressees("hello", "User") == ("Architect",)
    assert crew.roster.addressees("@coder_alias hello", "User") == ("Coder",)
    assert crew.tags["@QA"] == "the QA"
    assert crew.tags["@QA_Alias"] == "QA"
    assert "@team" in crew.tags


def test_a_broken_prompt_is_named_and_its_role_can_still_be_spoken_to(prompts: Path) -> None:
    (prompts / "Architect.md").write_text("no front matter")
    (prompts / "QA.md").unlink()
    (prompts / "Coder.md").write_bytes(b"\xff\xfe")
    crew = read_crew(prompts)
    assert len(crew.faults) == 3
    assert [fault.split(":")[0] for fault in crew.faults] == [
        "prompts/Architect.md",
        "prompts/Coder.md",
        "prompts/QA.md",
    ]
    assert crew.roster.addressees("hello", "User") == ("Architect",)
    assert crew.roster.addressees("@QA hello", "User") == ("QA",)
