"""Redis' users, on a real redis-server started with the list: each role can work, and reach nothing else."""

import asyncio
import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from agents.domain.approval import SECURITY
from agents.domain.budget import Ask, Budget, Spent
from agents.domain.errors import BadInput, RoomError, RoomUnavailable
from agents.domain.finding import FindingStatus, Severity
from agents.domain.message import USER, Kind, Message, new_id
from agents.domain.mission import HostedApp, HttpProbe, Presence, RoomState, Verdict
from agents.domain.ports import OpenRoom
from agents.domain.role import ROLES
from agents.domain.turn import Claim, Effect, EntryKind, JournalEntry
from agents.room import acl, open_room
from agents.room.opening import RedisOpenRoom
from tests.room.contract.deciding import allowed
from tests.room.contract.turns import REPLIED, REPLY, say
from tests.support.redis_server import RedisServer, program

pytestmark = pytest.mark.real
NAMES = (*ROLES, USER)
ROOM = "lab.1_x"
PROBE = HttpProbe(type="http", title="page answers", url="http://127.0.0.1:8089/", status=200, contains="ok")
ACT = JournalEntry(EntryKind.INTENT, 1, {"name": "run_ansible", "args": {}}, "call-1", Effect.MUTATE)


class Guarded:
    """A redis-server with the room's users, and an administrator to look behind them."""

    def __init__(self, folder: Path, path: Path) -> None:
        self.socket = folder / "s"
        self.opened: list[RedisOpenRoom] = []
        self.passwords = {name: f"secret-of-{name}" for name in NAMES}
        users = acl.users(ROOM, self.passwords) + "user admin reset on >root ~* &* +@all\n"
        (folder / "users.acl").write_text(users)
        argv = [str(path), "--port", "0", "--unixsocket", str(self.socket), "--dir", str(folder), "--save", ""]
        self.process = subprocess.Popen([*argv, "--aclfile", str(folder / "users.acl")], stdout=subprocess.DEVNULL)

    def client(self, name: str) -> "redis.Redis":
        """A plain client of that user."""
        password = "root" if name == "admin" else self.passwords[name]
        return redis.Redis(unix_socket_path=str(self.socket), username=name, password=password, protocol=2)

    async def room(self, name: str, room: str = ROOM) -> RedisOpenRoom:
        """The room as that user opens it, until the test's end."""
        opened = await open_room(f"unix://{name}:{self.passwords[name]}@{self.socket}", room, patience=2)
        self.opened.append(opened)
        return opened


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    """A server with users."""
    path = program("redis-server")
    if path is None:
        pytest.skip("redis-server isn't installed")
    folder = Path(tempfile.mkdtemp(prefix="acl-", dir="/tmp"))
    server = Guarded(folder, path)
    until = time.monotonic() + 20
    try:
        while True:
            with contextlib.suppress(RedisError, OSError), server.client("admin") as admin:
                admin.ping()
                break
            assert time.monotonic() < until
            assert server.process.poll() is None, "the user list isn't accepted"
            time.sleep(0.02)
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        shutil.rmtree(folder)


@pytest.fixture(autouse=True)
async def fresh(guarded: Guarded) -> AsyncIterator[None]:
    """An empty server; what the test opens is closed."""
    with guarded.client("admin") as admin:
        admin.flushall()
    yield
    while guarded.opened:
        await guarded.opened.pop().aclose()


async def test_the_default_user_is_shut_out(guarded: Guarded) -> None:
    with pytest.raises(RoomUnavailable, match="refuses us"):
        await open_room(f"unix://{guarded.socket}", ROOM, patience=0)
    with pytest.raises(RoomUnavailable, match="refuses us"):
        await open_room(f"unix://Coder:wrong@{guarded.socket}", ROOM, patience=0)


@pytest.mark.parametrize("name", ROLES)
async def test_a_role_can_do_its_whole_work(guarded: Guarded, name: str) -> None:
    user, opened = await guarded.room(USER), await guarded.room(name)
    follower = opened.room.follow()
    hearing: asyncio.Task[Message] = asyncio.create_task(anext(follower))
    await asyncio.sleep(0.05)
    await user.room.post(Message(USER, "work", to=(name,)))
    assert (await asyncio.wait_for(hearing, 10)).content == "work"
    await follower.aclose()
    inbox = opened.inbox(name, "one")
    assert await inbox.pending() == 1
    claim = await inbox.claim()
    assert claim is not None
    await inbox.renew(claim)
    await opened.journal.record(claim, [REPLY], [Message(name, "hm", Kind.THINK)])
    await opened.mission.propose([PROBE])
    [check] = (await opened.mission.read()).checks
    await opened.mission.judge(check.id, Verdict.PASS, "fine")
    await _act(user, opened, claim, name)
    await _beat(opened, name)
    await opened.journal.commit(claim, REPLIED, [say("done", "Architect", "QA", sender=name)])
    assert [m.content for m in await opened.room.said(9)] == ["work", "done"]
    await opened.control.set_state(RoomState.DONE, "done")
    assert (await opened.control.read()).state is RoomState.DONE


async def _act(user: OpenRoom, opened: OpenRoom, claim: Claim, name: str) -> None:
    approval = await allowed(opened, by=name, needed=(USER,))
    await user.approvals.seen(approval.id, USER)
    lease = await opened.leases.acquire(["web1"], name, 20)
    assert not isinstance(lease, str)
    assert await opened.leases.renew(lease, 20)
    effect = await opened.journal.begin_effect(claim, ACT, approval=approval.id, digest=approval.digest, lease=lease)
    [record] = await opened.journal.effects()
    await opened.journal.end_effect(effect, record.state)
    await opened.leases.release(lease)
    assert await opened.findings.list() == []


async def _beat(opened: RedisOpenRoom, name: str) -> None:
    await opened.presence.beat(Presence(name, f"{name}-1", "here", "idle"))
    await opened.presence.host(HostedApp("page", 8080, "docs", name, time.time() + 60))
    assert len(await opened.presence.present()) == len(await opened.presence.hosted()) == 1
    await opened.presence.unhost("page")
    await opened.presence.leave(f"{name}-1")
    governor = opened.governor(Budget(usd=1, rpm=100, tpm=100_000))
    ask = Ask(new_id(), name, 100, 1000)
    await governor.reserve(ask)
    await governor.slow(0.01)
    await governor.settle(ask, Spent(1, 100, 0, 0, 1000, 0))
    await governor.spent()
    failures = opened.failures(60)
    await failures.add("call", "error")
    assert await failures.worst("call") == 1
    await failures.forget("call")


async def test_the_user_rules_the_room(guarded: Guarded) -> None:
    user, coder = await guarded.room(USER), await guarded.room("Coder")
    await user.room.post(Message(USER, "go", to=("Coder",)))
    assert await coder.inbox("Coder", "c").claim() is not None
    await user.control.stop(Message(USER, "STOP", Kind.CONTROL))
    await user.room.post(Message(USER, "go on", to=("Coder",)))
    assert await coder.inbox("Coder", "c").claim() is not None
    finding = await user.findings.raise_("r", "t", Severity.LOW, "e", by=SECURITY, content="")
    await user.findings.move(finding.id, FindingStatus.ACCEPTED, by=USER, reason="lab", content="")
    await user.governor().set_cap(nano=5)
    assert await user.control.stop_role("Coder", Message(USER, "stop Coder", Kind.CONTROL)) == 1
    await user.control.pause(Message(USER, "wait", Kind.CONTROL))
    await user.control.resume(Message(USER, "on", Kind.CONTROL))
    await user.control.clear(Message(USER, "CLEAR", Kind.CONTROL))
    assert (await user.control.read()).epoch == 2
    assert await user.findings.list() == []


async def test_a_role_takes_nothing_of_another(guarded: Guarded) -> None:
    user, coder, security = await guarded.room(USER), await guarded.room("Coder"), await guarded.room(SECURITY)
    await user.room.post(Message(USER, "for QA", to=("QA", "Coder")))
    for attempt in (
        coder.inbox("QA", "spy").claim(),
        coder.control.stop(Message("Coder", "STOP", Kind.CONTROL)),
        coder.control.clear(Message("Coder", "CLEAR", Kind.CONTROL)),
        coder.findings.raise_("r", "t", Severity.LOW, "e", by=SECURITY, content=""),
    ):
        with pytest.raises(RoomError, match=r"(?i)permission|NOPERM|can't access|ACL"):
            await attempt
    await security.findings.raise_("r", "t", Severity.LOW, "e", by=SECURITY, content="")
    assert await coder.inbox("Coder", "c").claim() is not None
    assert await (await guarded.room("QA")).inbox("QA", "q").claim() is not None
    elsewhere = await guarded.room("Coder", "other")
    with pytest.raises(RoomError, match=r"can't do it|refuses"):
        await elsewhere.room.post(Message("Coder", "hello there"))


@pytest.mark.parametrize("name", NAMES)
def test_the_server_itself_and_other_rooms_are_out_of_reach(guarded: Guarded, name: str) -> None:
    with guarded.client(name) as client:
        assert client.ping()
        for command in (
            "FLUSHALL", "KEYS *", "SCAN 0", "CONFIG GET dir", "ACL LIST", "SHUTDOWN NOSAVE",
            "MODULE LIST", "CLIENT LIST", "SCRIPT FLUSH", "MONITOR", "REPLICAOF NO ONE", "FUNCTION LIST",
            "GET {other}:log", "XRANGE {other}:log - +", "HSET {other}:control epoch 9", "PUBLISH other hi",
            "SUBSCRIBE other", "EVAL return(1) 1 {other}:log",
        ):  # fmt: skip
            with pytest.raises(NoPermissionError):
                client.execute_command(*command.split())


def test_the_list_holds_no_password_and_only_a_rooms_name() -> None:
    text = acl.users("lab", {"Coder": "hunter2"})
    assert "hunter2" not in text
    assert text.startswith("user default reset off ")
    with pytest.raises(BadInput):
        acl.users("lab ~* +@all", {"Coder": "hunter2"})


async def test_a_restart_keeps_what_was_written_under_the_list(tmp_path: Path) -> None:
    path = program("redis-server")
    if path is None:
        pytest.skip("redis-server isn't installed")
    users = tmp_path / "users.acl"
    users.write_text(acl.users(ROOM, {USER: "secret"}))
    server = RedisServer(path, "--aclfile", str(users))
    url = server.url.replace("unix://", f"unix://{USER}:secret@")
    try:
        for said in (1, 2):
            server.start()
            async with contextlib.aclosing(await open_room(url, ROOM, patience=10)) as opened:
                assert len(await opened.room.said(10)) == said - 1
                await opened.room.post(Message(USER, f"word {said}", to=("Coder",)))
            with server.client() as stranger, pytest.raises(AuthenticationError):
                stranger.ping()
            server.kill()
    finally:
        server.close()
