"""Names: which are understood, which are refused, and why."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.domain.errors import PathEscape
from agents.executors.places import MAX_DEPTH, Naming, Place, folded, printable

ROOTS = {name: Path("/srv/lab") / name for name in ("infra", "config", "docs", "tmp")}
NAMING = Naming(ROOTS, ("docs/manual",), ("docs/execution_log_*",))

UNDERSTOOD = {
    "config/site/index.html": "config/site/index.html",
    "/app/config/site.yml": "config/site.yml",
    "/app/infra": "infra",
    "/tmp/app/x": "tmp/x",
    "/srv/lab/config/site.yml": "config/site.yml",
    "./config//site/./a": "config/site/a",
    "config/site/../other.yml": "config/other.yml",
    "config/../docs/plan.md": "docs/plan.md",
    "docs/über uns.md": "docs/über uns.md",
    "docs/日本.md": "docs/日本.md",
    "config/.gitignore": "config/.gitignore",
    "config/a..b": "config/a..b",
}

OUTSIDE = {
    "../etc/passwd": "outside the workspace",
    "config/../../.env": "outside the workspace",
    "/app/config/../../etc/passwd": "outside the workspace",
    "/tmp/app/../x": "outside the workspace",
    "/etc/passwd": "outside the workspace",
    "/proc/self/root/etc/passwd": "outside the workspace",
    "/tmp/other": "outside the workspace",
    "/tmp/application": "outside the workspace",
    "/app/prompts/Coder.md": "outside the workspace",
    "prompts/Coder.md": "outside the workspace",
    ".env": "outside the workspace",
    "~/.ssh/id_ed25519": "outside the workspace",
    "site.yml": "did you mean config/site.yml",
    "ｃonfig/x": "outside the workspace",
    "config/a\0b": "a control character (U+0000)",
    "config/a\nb": "a control character (U+000A)",
    "config/\x1b[2J": "a control character (U+001B)",
    "config/\u202etxt.sh": "an invisible character (U+202E)",
    "config/.g\u200bit/config": "an invisible character (U+200B)",
    "config/a\u2028b": "a line break (U+2028)",
    "config/\ud800": "half a character",
    "config/-rf": "starts with a dash",
    "config/-x/y": "starts with a dash",
    "config/ x": "starts or ends with a space",
    "config\\site": "a backslash",
    "config/" + "n" * 256: "a name of 256 bytes",
    "config/" + "ü" * 128: "a name of 256 bytes",
    "config/" + "a/" * MAX_DEPTH + "b": "levels deep",
    "config/" + "a" * 2000: "a path of 2,007 characters",
    "config/․․/x": "looks like '..'",
    "config/a／b": "looks like 'a/b'",
}

PROTECTED = {
    "docs/manual/x.md": "read-only",
    "docs/manual": "read-only",
    "docs/Manual/x.md": "read-only",
    "docs/ｍanual/x.md": "read-only",
    "docs/execution_log_Coder.md": "written by the runtime",
    "docs/EXECUTION_LOG_Coder.md": "written by the runtime",
    "config/.git/config": "belongs to git",
    "config/.GIT/hooks/x": "belongs to git",
    "infra/m/.git": "belongs to git",
    "infra/m/.terraform/providers/x": "belongs to terraform",
    "config/.minilab-writing-0": "writes under way",
    "infra/m/.terraform.lock.hcl": "delete it and run init",
    "config": "is a root folder",
    "": "is a root folder",
}


@pytest.mark.parametrize(("path", "name"), UNDERSTOOD.items())
def test_understands(path: str, name: str) -> None:
    place = NAMING.place(path)
    assert str(place) == name
    if place.parts:
        NAMING.may_write(place)


@pytest.mark.parametrize("path", ["", ".", "/app", "/app/", "./"])
def test_all_of_it(path: str) -> None:
    assert NAMING.place(path) == Place("")


@pytest.mark.parametrize(("path", "why"), OUTSIDE.items())
def test_refuses(path: str, why: str) -> None:
    with pytest.raises(PathEscape) as caught:
        NAMING.place(path)
    assert why in str(caught.value)
    assert "\0" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_a_refusal_names_the_roots() -> None:
    with pytest.raises(PathEscape, match="infra/, config/, docs/, tmp/"):
        NAMING.place("/etc/passwd")


@pytest.mark.parametrize(("path", "why"), PROTECTED.items())
def test_protects(path: str, why: str) -> None:
    place = NAMING.place(path)  # may be read
    with pytest.raises(PathEscape, match=why):
        NAMING.may_write(place)


STATES = [
    "infra/m/terraform.tfstate",
    "infra/m/terraform.tfstate.backup",
    "infra/m/terraform.tfstate.1700000000.backup",
    "infra/m/.terraform.tfstate.lock.info",
    "infra/m/terraform.tfstate.d/prod/terraform.tfstate",
    "infra/m/Terraform.TFSTATE",
    "infra/m/terraform.ｔfstate",
    "config/old.tfstate",
]


@pytest.mark.parametrize("path", STATES)
def test_a_state_is_neither_read_nor_written(path: str) -> None:
    with pytest.raises(PathEscape, match="state_show"):
        NAMING.may_read(NAMING.place(path))
    for delete in (False, True):
        with pytest.raises(PathEscape, match="plan, then apply"):
            NAMING.may_write(NAMING.place(path), delete=delete)


@pytest.mark.parametrize("path", ["infra/m/tfstate.tf", "docs/tfstate.md", "infra/m/x.tfstates", "infra/m/main.tf"])
def test_what_only_sounds_like_a_state_is_a_file(path: str) -> None:
    NAMING.may_read(NAMING.place(path))
    NAMING.may_write(NAMING.place(path))


def test_the_lock_file_is_read_and_deleted() -> None:
    place = NAMING.place("infra/m/.terraform.lock.hcl")
    NAMING.may_read(place)
    NAMING.may_write(place, delete=True)


@pytest.mark.parametrize("path", ["docs/manually.md", "docs/execution.md", "config/git/x", "config/.gitignore"])
def test_protects_no_neighbour(path: str) -> None:
    NAMING.may_write(NAMING.place(path))


@given(st.text(max_size=40), st.sampled_from(["", "config/", "/app/docs/", "../", "/"]))
def test_a_place_is_always_inside(tail: str, head: str) -> None:
    try:
        place = NAMING.place(head + tail)
    except PathEscape:
        return
    assert place.root in ("", *ROOTS)
    assert all(part not in ("", ".", "..") and "/" not in part and "\0" not in part for part in place.parts)
    again = NAMING.place(str(place))
    assert again == place


def test_folds_what_a_file_system_may_fold() -> None:
    assert folded("ＤOCS/Ma\u200dnual") == "docs/manual"


def test_writes_out_what_a_terminal_acts_on() -> None:
    assert printable("a\x1b[2Jb\u202ec\udcffü") == "a\\x1b[2Jb\\u202ec\\udcffü"
