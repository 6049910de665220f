"""The ledger's file: shared by processes, mended after crashes, and refusing where it can't be kept."""

import hashlib
import json
import multiprocessing
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.domain.errors import LedgerUnavailable
from agents.domain.ledger import LedgerHead
from agents.domain.redaction import MASK, SecretMask
from agents.room.in_memory import InMemoryRoom
from agents.telemetry import chain
from agents.telemetry.heads import HeadPublisher
from agents.telemetry.ledger import Ledger

SECRET = "hunter2-hunter2"


def opened(directory: Path, complaints: list[str] | None = None) -> Ledger:
    said = [] if complaints is None else complaints
    return Ledger(directory, "room", SecretMask([SECRET]), said.append, host="here")


def walked(ledger: Ledger, head: LedgerHead | None = None) -> chain.Chain:
    heads = {head.ledger: (head.lines, head.hash)} if head else {}
    with ledger.path.open("rb") as file:
        return chain.walk(file, "room", heads)


def kinds(ledger: Ledger) -> list[str]:
    return [json.loads(line)["kind"] for line in ledger.path.read_bytes().splitlines()]


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes: what a full disk does, partial writes included."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_lines_are_chained_and_the_hash_is_returned(tmp_path: Path) -> None:
    ledger = opened(tmp_path / "ledger")
    ledger.append("intent", {"tool": "run_shell", "who": "DevOps"})
    last = ledger.append("done", {"tool": "run_shell"})
    found = walked(ledger)
    assert (found.fault, found.lines, found.hash, found.host) == (None, 3, last, "here")
    assert ledger.path.stat().st_mode & 0o777 == 0o600


def test_secrets_are_masked_before_a_line_is_hashed(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.append("intent", {"args": {"command": f"login {SECRET}", "password": "x1y2z3"}, "raw": SECRET.encode()})
    text = ledger.path.read_text()
    assert SECRET not in text
    assert "x1y2z3" not in text
    assert MASK in text
    assert walked(ledger).fault is None


def test_a_second_run_goes_on_where_the_first_ended(tmp_path: Path) -> None:
    opened(tmp_path).append("done", {"n": 1})
    again = opened(tmp_path)
    again.append("done", {"n": 2})
    assert kinds(again) == ["opened", "done", "done"]
    assert walked(again).fault is None


def test_threads_and_objects_share_a_file(tmp_path: Path) -> None:
    ledgers = [opened(tmp_path) for _ in range(3)]

    def work(ledger: Ledger) -> None:
        for number in range(30):
            ledger.append("done", {"n": number})

    threads = [threading.Thread(target=work, args=(ledger,)) for ledger in (*ledgers, *ledgers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = walked(ledgers[0])
    assert (found.fault, found.lines) == (None, 181)


def _append(directory: Path) -> None:
    ledger = opened(directory)
    for number in range(100):
        ledger.append("done", {"n": number})


def test_processes_share_a_file(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_append, args=(tmp_path,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    found = walked(opened(tmp_path))
    assert (found.fault, found.lines) == (None, 301)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=4)
@given(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3), min_size=1, max_size=3))
def test_cut_at_any_byte_it_goes_on_and_loses_only_the_torn_line(
    tmp_path_factory: pytest.TempPathFactory, bodies: list[dict[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    first = opened(folder)
    for body in bodies:
        first.append("done", body)
    whole = first.path.read_bytes()
    torn_file = first.path.with_name("room.jsonl.torn")
    for cut in range(len(whole)):
        first.path.write_bytes(whole[:cut])
        torn_file.unlink(missing_ok=True)
        ledger = opened(folder)
        ledger.append("done", {"after": "crash"})
        assert walked(ledger).fault is None, cut
        kept, torn = whole[:cut].rpartition(b"\n")[0], whole[:cut].rpartition(b"\n")[2]
        complete = whole[cut : cut + 1] == b"\n"
        assert ledger.path.read_bytes().startswith(whole[: cut + 1] if complete else kept)
        if torn and not complete:
            assert torn_file.read_bytes() == torn + b"\n"
            assert hashlib.sha256(torn).hexdigest() in ledger.path.read_text()
        else:
            assert not torn_file.exists()
        ledger.close()


def test_a_file_cut_off_under_the_team_is_said_and_stays_on_record(tmp_path: Path) -> None:
    complaints: list[str] = []
    ledger = opened(tmp_path, complaints)
    for number in range(4):
        ledger.append("done", {"n": number})
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    ledger.path.write_bytes(b"".join(lines[:2]))
    ledger.append("done", {"n": 4})
    assert "line 5 isn't there any more" in complaints[0]
    found = walked(ledger)
    assert found.fault is not None
    assert found.fault.line == 3
    assert "while the team ran" in found.fault.what


def test_a_deleted_file_is_begun_anew_and_says_so(tmp_path: Path) -> None:
    complaints: list[str] = []
    ledger = opened(tmp_path, complaints)
    ledger.append("done", {})
    head = ledger.sync()
    ledger.path.unlink()
    ledger.append("done", {})
    assert kinds(ledger) == ["opened", "gap", "done"]
    assert len(complaints) == 1
    after = ledger.sync()
    assert head is not None
    assert after is not None
    assert head.ledger != after.ledger


def test_a_damaged_last_line_is_said_and_the_chain_goes_on_from_it(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.append("done", {})
    ledger.close()
    for damage in (b'{"no": "line"}\n', b"\xff\xfe\n"):
        with ledger.path.open("ab") as file:
            file.write(damage)
        complaints: list[str] = []
        opened(tmp_path, complaints).append("done", {})
        assert "was changed" in complaints[0]
    found = walked(ledger)
    assert found.fault is not None
    assert found.fault.line == 3


def test_a_damaged_first_line_gives_no_head(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.append("done", {})
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    ledger.path.write_bytes(b"gone\n" + b"".join(lines[1:]))
    again = opened(tmp_path)
    again.append("done", {})
    assert again.sync() is None
    assert opened(tmp_path).sync() is None, "nothing written yet"


def test_a_full_disk_refuses_the_act_is_said_once_and_leaves_no_half_line(tmp_path: Path) -> None:
    complaints: list[str] = []
    ledger = opened(tmp_path, complaints)
    ledger.append("done", {"n": 1})
    size = ledger.path.stat().st_size
    with files_no_longer_than(size + 40):
        for _ in range(2):
            with pytest.raises(LedgerUnavailable, match="can't be written"):
                ledger.append("intent", {"n": 2})
        ledger.note("done", {"n": 1})
    assert ledger.path.stat().st_size == size
    assert len(complaints) == 1
    assert "nothing but reads" in complaints[0]
    ledger.append("intent", {"n": 2})
    assert complaints[1].endswith("is written again")
    assert walked(ledger).fault is None


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    (tmp_path / "room.jsonl").symlink_to(target)
    with pytest.raises(LedgerUnavailable):
        opened(tmp_path).append("done", {})
    assert not target.exists()


async def test_the_head_in_the_room_follows_and_finds_what_was_cut_off(tmp_path: Path) -> None:
    room = InMemoryRoom()
    ledger = opened(tmp_path)
    publisher = HeadPublisher(ledger, room.heads)
    await publisher.publish()
    assert await room.heads.heads() == []
    for number in range(3):
        ledger.append("done", {"n": number})
    await publisher.publish()
    await publisher.publish()
    [head] = await room.heads.heads()
    assert (head.lines, head.host) == (4, "here")
    assert walked(ledger, head).fault is None
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    ledger.path.write_bytes(b"".join(lines[:3]))
    found = walked(ledger, head)
    assert found.fault is not None
    assert found.fault.line == 4
