"""`minilab ledger verify` and `minilab why`: what they find, and what they say of it."""

import subprocess
from pathlib import Path

import pytest

from agents.domain.ledger import LedgerHead
from agents.domain.message import USER, Kind, Message
from agents.domain.mission import Check, TcpProbe, Verdict
from agents.domain.redaction import SecretMask
from agents.telemetry.ledger import Ledger
from client import ledger, why
from client.session import Place

CALL = {"who": "DevOps", "turn": "t" * 32, "call": "c1", "tool": "run_ansible", "message": "m" * 32}
ARGS = {"playbook": "infra/site.yml", "limit": "web1"}


def place(home: Path) -> Place:
    return Place(
        home=home,
        state_dir=home / ".minilab",
        keys=home / "keys",
        room="lab",
        redis_url=None,
        rehearsing=True,
        environment={},
    )


def kept(home: Path) -> Ledger:
    """A ledger of one act that Security decided."""
    book = Ledger(home / ".minilab" / "ledger", "lab", SecretMask(), pytest.fail, host="here")
    book.append("decision", {**CALL, "args": ARGS, "targets": ["web1"], "status": "asked"})
    book.append("decision", {**CALL, "approval": "a1b2c3d4", "status": "approved", "by": ["Security"]})
    book.append("read-material", {"who": "Security", "turn": "s", "call": "c9", "approval": "a1b2c3d4"})
    book.append("done", {**CALL, "args": ARGS, "targets": ["web1"], "approval": "a1b2c3d4", "status": "done"})
    book.append("done", {**CALL, "call": "c2", "tool": "save_file", "args": {"path": "config/other"}})
    return book


def reported(book: Ledger, heads: list[LedgerHead] | None, host: str = "here") -> tuple[int, str]:
    said: list[str] = []
    code = ledger.report(book.path, "lab", host, heads, said.append)
    return code, "\n".join(said)


def test_a_sound_ledger_is_said_to_be(tmp_path: Path) -> None:
    book = kept(tmp_path)
    head = book.sync()
    assert head
    assert reported(book, [head]) == (0, f"{book.path}: 6 lines, each as it was written")
    code, said = reported(book, None)
    assert code == 0
    assert "Redis wasn't asked" in said


def test_a_cut_off_end_is_found_by_the_head_in_redis(tmp_path: Path) -> None:
    book = kept(tmp_path)
    head = book.sync()
    assert head
    book.path.write_bytes(b"".join(book.path.read_bytes().splitlines(keepends=True)[:4]))
    code, said = reported(book, [head])
    assert code == 1
    assert "line 5 is missing: the ledger was cut off, it had 6 lines" in said
    assert "the 4 lines before it are as they were written" in said


def test_a_deleted_ledger_is_missed_here_and_only_named_elsewhere(tmp_path: Path) -> None:
    book = kept(tmp_path)
    head = book.sync()
    assert head
    book.path.unlink()
    code, said = reported(book, [head])
    assert code == 1
    assert "a ledger of 6 lines that was kept here is gone" in said
    code, said = reported(book, [head], host="elsewhere")
    assert code == 0
    assert "is on here: verify it there" in said


async def test_without_a_team_the_file_alone_is_followed(tmp_path: Path) -> None:
    book = kept(tmp_path)
    said: list[str] = []
    assert await ledger.verify(place(tmp_path), "here", said.append) == 0
    text = book.path.read_bytes()
    book.path.write_bytes(text.replace(b"Security", b"Sechrity", 1))
    assert await ledger.verify(place(tmp_path), "here", said.append) == 1
    assert "line 3 was edited" in said[-2]


@pytest.mark.parametrize("name", ["infra/site.yml", "web1", "a1b2c3d4", "a1b2c3", "c1", "m" * 32])
def test_an_act_is_found_by_what_it_touched_and_by_its_ids(tmp_path: Path, name: str) -> None:
    acts = why.acts_on(list(why.ledger_lines(kept(tmp_path).path)), name)
    assert [line.kind for line in acts[0]] == ["decision", "decision", "read-material", "done"]
    assert all(line.body.get("tool") != "save_file" for line in acts[0])


@pytest.mark.parametrize("name", ["infra/site", "eb1", "web", "a1b2c", "site.yml.bak"])
def test_what_only_looks_like_it_is_no_act_on_it(tmp_path: Path, name: str) -> None:
    assert why.acts_on(list(why.ledger_lines(kept(tmp_path).path)), name) == []


def test_an_act_is_told_with_its_message_decision_and_outcome(tmp_path: Path) -> None:
    [act] = why.acts_on(list(why.ledger_lines(kept(tmp_path).path)), "web1")
    text = "\n".join(why.told(act, {"m" * 32: Message(USER, "set up web1")}))
    assert 'DevOps called run_ansible {"playbook": "infra/site.yml", "limit": "web1"}' in text
    assert "asked by User: set up web1" in text
    assert "status approved, by Security" in text
    assert "done status done" in text
    assert "not in the room's log any more" in "\n".join(why.told(act, {}))


def test_a_check_is_told_with_its_verdict() -> None:
    probe = TcpProbe(type="tcp", title="port answers", host="127.0.0.1", port=80)
    check = Check("c-1", probe, Verdict.PASS, "open", waived="by me")
    event = Message("QA", "ran", Kind.TOOL, turn="t1", data={"name": "run_checks"})
    text = "\n".join(why.check_lines([check], [event], "c-1"))
    assert "port answers: pass; open" in text
    assert "waived by the User: by me" in text
    assert "QA called run_checks (turn t1)" in text
    assert list(why.check_lines([check], [event], "c-2")) == []


async def test_why_masks_cleans_and_ends_1_where_nothing_is_known(tmp_path: Path) -> None:
    book = kept(tmp_path)
    book.append("done", {**CALL, "call": "c3", "args": {"path": "config/\x1b[2Jx", "note": "hunter2-hunter2"}})
    said: list[str] = []
    mask = SecretMask(["hunter2-hunter2"])
    assert await why.why(place(tmp_path), tmp_path, "/app/config/other", mask, said.append) == 0
    assert await why.why(place(tmp_path), tmp_path, "c3", mask, said.append) == 0
    assert "hunter2" not in "\n".join(said)
    assert "\x1b" not in "\n".join(said)
    assert await why.why(place(tmp_path), tmp_path, "config/nothing", mask, said.append) == 1
    assert "nothing is known of 'config/nothing'" in said[-1]


async def test_a_files_versions_are_named(tmp_path: Path) -> None:
    repository = tmp_path / "generated_iac"
    (repository / "config").mkdir(parents=True)
    (repository / "config" / "a.txt").write_text("a")
    git = ["git", "-C", str(repository), "-c", "user.name=Coder", "-c", "user.email=c@minilab.local"]
    for argv in (["init", "-q"], ["add", "."], ["commit", "-qm", "save_file config/a.txt\n\nTurn: t1\nCall: c1"]):
        subprocess.run([*git, *argv], check=True)
    said: list[str] = []
    assert await why.why(place(tmp_path), tmp_path, "generated_iac/config/a.txt", SecretMask(), said.append) == 0
    assert "Coder: save_file config/a.txt (Turn: t1, Call: c1)" in said[0]
