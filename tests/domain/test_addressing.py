"""Who a text speaks to: a table of tags and of what only looks like one."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.domain.addressing import Roster, is_acknowledgement, normalised, speaks_to_user, spoken
from agents.domain.errors import PromptError
from agents.domain.role import Limits, Role


def role(name: str, *aliases: str, answers: bool = False) -> Role:
    return Role(name, name, aliases, (), "default", answers, Limits.model_validate({}), "", "")


ROSTER = Roster.of(
    [role("Architect", answers=True), role("Coder"), role("DevOps", "DevOps_Builder"), role("Security")]
)
TEAM = ("Architect", "Coder", "DevOps", "Security")


@pytest.mark.parametrize(
    ("text", "tagged"),
    [
        ("@Coder: go", ("Coder",)),
        ("@coder and @CODER", ("Coder",)),
        ("first @DevOps, then @Coder", ("DevOps", "Coder")),
        ("@DevOps_builder please", ("DevOps",)),
        ("**@Coder** (@DevOps)", ("Coder", "DevOps")),
        ("@Coder's file", ("Coder",)),
        ("@Coder/@DevOps", ("Coder", "DevOps")),
        ("@Coder,@DevOps", ("Coder", "DevOps")),
        ("@team go", TEAM),
        ("@Coder @all", ("Coder", "Architect", "DevOps", "Security")),
        ("Coder", ()),
        ("@Coder_x @Coderx @Teamx@y @Coder@DevOps", ()),
        ("bob@Coder.com a@Coder git@Coder:repo https://x/@Coder", ()),
        ("é@Coder", ()),
        ("@Сoder", ()),  # a Cyrillic С
        ("@\u200bCoder", ()),
        ("`@Coder` ``@Coder` x``", ()),
        ("`a` @Coder `b`", ("Coder",)),
        ("unclosed ` @Coder", ("Coder",)),
        ("one ` here\n\n@Coder\n\nand ` there", ("Coder",)),
        ("```\n@Coder\n```\n@DevOps", ("DevOps",)),
        ("~~~\n@Coder", ()),
        ("```py\n@Coder\n~~~\n@DevOps\n```\n@Security", ("Security",)),
        ("````\n```\n@Coder\n```\n@DevOps\n````\n@Security", ("Security",)),
        ("```\n@Coder\n```` \n@DevOps", ("DevOps",)),
        ("1. ```\n   @Coder\n   ```\n@DevOps", ("DevOps",)),
        ("```@Coder``` @DevOps", ("DevOps",)),
        ("> @Coder\n@DevOps", ("DevOps",)),
        ("\r\n  > @Coder\r\n@DevOps", ("DevOps",)),
    ],
)
def test_tags(text: str, tagged: tuple[str, ...]) -> None:
    assert ROSTER.tagged(text) == tagged


@pytest.mark.parametrize(
    ("text", "sender", "asker", "woken"),
    [
        ("build it", "User", None, ("Architect",)),
        ("@Coder build it", "User", None, ("Coder",)),
        ("done", "Coder", "Architect", ("Architect",)),
        ("done", "Coder", "User", ()),
        ("done", "Coder", None, ()),
        ("done", "Coder", "Coder", ()),
        ("@User done", "Architect", "Coder", ()),
        ("@User see @Coder", "Architect", "DevOps", ("Coder",)),
        ("@team go", "Coder", None, ("Architect", "DevOps", "Security")),
        ("@Coder", "Coder", "Architect", ()),
    ],
)
def test_who_is_woken(text: str, sender: str, asker: str | None, woken: tuple[str, ...]) -> None:
    assert ROSTER.addressees(text, sender, asker) == woken


@given(st.text(alphabet="@Coderam`~>\n \\/.", max_size=80), st.sampled_from([*TEAM, "User"]))
def test_never_the_sender_and_always_known(text: str, sender: str) -> None:
    woken = ROSTER.addressees(text, sender, "Coder")
    assert sender not in woken
    assert set(woken) <= set(TEAM)
    assert len(set(woken)) == len(woken)


@pytest.mark.parametrize("roles", [("Coder", "coder"), ("Team",), ("USER",)])
def test_a_tag_taken_twice_is_refused(roles: tuple[str, ...]) -> None:
    with pytest.raises(PromptError, match="already"):
        Roster.of([role(name) for name in roles])
    with pytest.raises(PromptError, match="@Coder"):
        Roster.of([role("Coder"), role("QA", "coder")])
    assert Roster.of([role("Coder", "coder")]).names == ("Coder",)


@pytest.mark.parametrize(
    ("text", "acknowledges"),
    [
        ("Thanks!", True),
        ("@Coder got it, thank you 👍", True),
        ("Noted. Standing by.", True),
        ("I’m waiting for the update", True),
        ("", True),
        ("> do it\nThanks", True),
        ("Thanks, but the port is wrong", False),
        ("All good?", False),
        ("да, сделай это", False),
        ("请重启", False),
        ("8080", False),
        ("```\nterraform apply\n```", False),
        ("ok `rm x`", False),
        ("thanks " * 13, False),
    ],
)
def test_acknowledgements(text: str, acknowledges: bool) -> None:
    assert is_acknowledgement(text) is acknowledges


def test_speaking_to_the_user() -> None:
    assert speaks_to_user("@user, done")
    assert not speaks_to_user("`@User` and mail@User")


def test_the_same_text_again() -> None:
    assert normalised(" A  b\nC ") == normalised("a b c") != normalised("a bc")


@pytest.mark.parametrize(
    "piece",
    ["`", "` ", "``a", "```\n", "@", "@a/", "@a/@a", "> ", "~~~x\n", "1. ", "- ", "\n \n", "` `` ", "a`b``", "\t"],
)
def test_the_longest_message_takes_no_time(piece: str) -> None:
    text = (piece * 262_144)[:262_144]
    began = time.monotonic()
    ROSTER.tagged(text)
    is_acknowledgement(text)
    assert time.monotonic() - began < 20  # hang protection


@given(st.text())
def test_spoken_never_fails(text: str) -> None:
    assert isinstance(spoken(text), str)
