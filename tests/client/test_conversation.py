"""The log of a session."""

import stat
from pathlib import Path

from agents.domain.message import Kind, Message
from agents.domain.redaction import SecretMask
from client.conversation import ConversationLog

SECRET = "hunter2\nhunter2"


def _log(directory: Path) -> tuple[ConversationLog, list[str]]:
    complaints: list[str] = []
    return ConversationLog(directory, SecretMask([SECRET]), complaints.append), complaints


def test_every_event_is_one_line(tmp_path: Path) -> None:
    log, complaints = _log(tmp_path)
    log.write(Message("User", "one\ntwo\x1b[31m", to=("Architect", "QA"), timestamp="T1"))
    log.write(Message("QA", "hm", Kind.THINK, timestamp="T2"))
    log.close()
    assert log.path.read_text().splitlines() == [
        r"T1 User say Architect,QA one\ntwo\x1b[31m",
        "T2 QA::think think - hm",
    ]
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600
    assert complaints == []


def test_a_sender_cannot_forge_a_line(tmp_path: Path) -> None:
    log, _ = _log(tmp_path)
    log.write(Message("QA\nT2 User say - forged", "x", timestamp="T1"))
    log.close()
    assert len(log.path.read_text().splitlines()) == 1


def test_secrets_are_masked_also_across_lines(tmp_path: Path) -> None:
    log, _ = _log(tmp_path)
    log.write(Message("QA", f"the key is {SECRET}, keep it"))
    log.close()
    assert "hunter2" not in log.path.read_text()
    assert "the key is [redacted], keep it" in log.path.read_text()


def test_a_disk_that_takes_nothing_is_complained_of_once_and_forgiven(tmp_path: Path) -> None:
    directory = tmp_path / "logs"
    directory.write_text("a file where the directory should be")
    log, complaints = _log(directory)
    log.write(Message("QA", "lost"))
    log.write(Message("QA", "lost too"))
    assert len(complaints) == 1
    assert str(log.path) in complaints[0]
    directory.unlink()
    log.write(Message("QA", "kept"))
    log.close()
    assert "kept" in log.path.read_text()


def test_a_full_disk_is_complained_of(tmp_path: Path) -> None:
    log, complaints = _log(tmp_path)
    log.path.symlink_to("/dev/full")
    log.write(Message("QA", "x"))
    log.close()
    assert "No space left" in complaints[0]


def test_no_event_no_file(tmp_path: Path) -> None:
    log, _ = _log(tmp_path)
    log.close()
    assert not log.path.exists()


def test_cut_at_any_byte_the_next_event_has_a_line_of_its_own(tmp_path: Path) -> None:
    log, _ = _log(tmp_path)
    log.write(Message("User", "héllo", timestamp="T1"))
    log.close()
    whole = log.path.read_bytes()
    for cut in range(len(whole) + 1):
        log.path.write_bytes(whole[:cut])
        log.write(Message("QA", "after", timestamp="T2"))
        log.close()
        after = log.path.read_bytes()
        assert after.startswith(whole[:cut])
        assert after.splitlines()[-1] == b"T2 QA say - after"
        assert after.count(b"\n") == (1 if cut == 0 else 2)
