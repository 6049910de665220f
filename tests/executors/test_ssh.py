"""SSH against a real sshd: logging in, running, ending, copying; and every way it can fail."""

import asyncio
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from agents.domain.errors import QuotaExceeded, Refused, SettingsError, ToolError
from agents.executors.hosts import KeyRing
from agents.executors.remote_output import KEPT_BYTES, TAIL_BYTES
from tests.support.remote import Lab
from tests.support.sshd import Sshd, running_sshd

pytestmark = pytest.mark.real
SECONDS = 30.0


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
async def lab(sshd: Sshd, tmp_path: Path) -> AsyncIterator[Lab]:
    lab = Lab(tmp_path, sshd)
    yield lab
    await lab.ssh.aclose()


def running(mark: str) -> list[psutil.Process]:
    """Processes with the mark among their arguments."""
    found = []
    for process in psutil.process_iter():
        try:
            if mark in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


async def appeared(mark: str, count: int = 1) -> list[psutil.Process]:
    """The processes with the mark, once there are `count`."""
    until = time.monotonic() + SECONDS
    while len(found := running(mark)) < count:
        assert time.monotonic() < until, f"{mark} did not start"
        await asyncio.sleep(0.02)
    return found


async def gone(mark: str) -> bool:
    until = time.monotonic() + 5
    while running(mark) and time.monotonic() < until:
        await asyncio.sleep(0.02)
    return not running(mark)


def seconds_of_sleep() -> str:
    """An argument for `sleep` that no other process has."""
    return f"{1000 + int.from_bytes(os.urandom(3))}.{int.from_bytes(os.urandom(2))}"


async def test_exit_code_and_both_streams(lab: Lab) -> None:
    done = await lab.ssh.run("box", "echo out; echo err >&2; exit 3", SECONDS)
    assert (done.host, done.exit_code, done.stdout, done.stderr) == ("box", 3, "out\n", "err\n")
    assert (done.timed_out, done.truncated, done.background, done.left) == (False, False, False, ())


async def test_what_is_run_is_the_text_as_it_stands(lab: Lab) -> None:
    script = "printf '%s|' \"$HOME\" 'a  b' \"it's\"; x=(1 2); echo ${x[1]}"
    done = await lab.ssh.run("box", script, SECONDS)
    assert done.stdout.endswith("|a  b|it's|2\n")
    assert (await lab.ssh.run("box", "-x; echo $?", SECONDS)).stdout == "127\n"
    assert (await lab.ssh.run("box", "cat; echo done", SECONDS)).stdout == "done\n", "standard input is empty"


async def test_bytes_that_are_no_text(lab: Lab) -> None:
    done = await lab.ssh.run("box", r"printf '\377\033[31mred'", SECONDS)
    assert done.stdout == "�\x1b[31mred"


async def test_a_command_that_is_not_there_and_one_that_may_not_be_run(lab: Lab) -> None:
    assert (await lab.ssh.run("box", "no-such-program-here", SECONDS)).exit_code == 127
    assert (await lab.ssh.run("box", "/etc/passwd", SECONDS)).exit_code == 126


async def test_a_command_that_a_signal_ends(lab: Lab) -> None:
    assert (await lab.ssh.run("box", "kill -SEGV $$", SECONDS)).exit_code in (-1, 128 + 11)


async def test_large_output_is_kept_whole_up_to_the_bound(lab: Lab) -> None:
    done = await lab.ssh.run("box", "seq 1 200000; seq 1 100000 >&2", SECONDS)
    assert done.stdout == "".join(f"{n}\n" for n in range(1, 200_001))
    assert done.stderr.endswith("\n100000\n")
    assert not done.truncated


async def test_output_beyond_the_bound_has_its_middle_left_out(lab: Lab) -> None:
    done = await lab.ssh.run("box", "head -c 20000000 /dev/zero | tr '\\0' x; echo THE-END", SECONDS)
    assert done.truncated
    assert done.stdout.endswith("THE-END\n")
    assert len(done.stdout) < KEPT_BYTES + TAIL_BYTES + 100
    left_out = int(re.search(r"… ([\d,]+) bytes left out …", done.stdout)[1].replace(",", ""))  # type: ignore[index]
    assert left_out + KEPT_BYTES + TAIL_BYTES == 20_000_000 + len("THE-END\n")


async def test_a_hanging_command_and_all_it_started_end_with_its_time(lab: Lab) -> None:
    mark = seconds_of_sleep()
    done = await lab.ssh.run("box", f"echo begun; setsid sleep {mark} & sleep {mark} & trap '' TERM; sleep {mark}", 1)
    assert done.timed_out
    assert done.exit_code is None
    assert (done.stdout, done.left) == ("begun\n", ())
    assert await gone(mark)


async def test_a_process_that_clears_its_environment_is_found_by_its_session(lab: Lab) -> None:
    mark = seconds_of_sleep()
    done = await lab.ssh.run("box", f"trap '' TERM; (env -i sleep {mark}; true) & sleep {mark}", 1)
    assert done.timed_out
    assert await gone(mark)


async def test_cancelling_ends_what_runs_on_the_host(lab: Lab) -> None:
    mark, other = seconds_of_sleep(), seconds_of_sleep()
    bystander = asyncio.create_task(lab.ssh.run("box", f"sleep {other}", SECONDS))
    call = asyncio.create_task(lab.ssh.run("box", f"setsid -f sleep {mark}; setsid sleep {mark} & sleep {mark}", 60))
    await appeared(mark, 3)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert running(mark) == []
    assert await appeared(other), "another call on the same connection goes on"
    bystander.cancel()
    with pytest.raises(asyncio.CancelledError):
        await bystander


async def test_cancelling_at_any_moment_leaves_nothing(lab: Lab) -> None:
    mark = seconds_of_sleep()
    await lab.ssh.run("box", "true", SECONDS)
    for pause in (0, 0.001, 0.003, 0.006, 0.01):
        call = asyncio.create_task(lab.ssh.run("box", f"sleep {mark}", 60))
        await asyncio.sleep(pause)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert await gone(mark)
    assert (await lab.ssh.run("box", "echo fine", SECONDS)).stdout == "fine\n"


async def test_stopping_ends_every_call_and_says_so(lab: Lab) -> None:
    mark = seconds_of_sleep()
    calls = [asyncio.create_task(lab.ssh.run("box", f"setsid sleep {mark} & sleep {mark}", 60)) for _ in range(3)]
    await appeared(mark, 6)
    assert await lab.ssh.stop_all() == 3
    assert running(mark) == []
    for call in calls:
        with pytest.raises(ToolError, match=r"box: stopped: everything was stopped"):
            await call
    assert await lab.ssh.stop_all() == 0
    assert (await lab.ssh.run("box", "echo again", SECONDS)).stdout == "again\n"


async def test_what_a_command_leaves_in_the_background_is_told_and_left(lab: Lab) -> None:
    mark = seconds_of_sleep()
    done = await lab.ssh.run("box", f"nohup sleep {mark} & echo started", SECONDS)
    assert (done.exit_code, done.stdout, done.background) == (0, "started\n", True)
    (left,) = await appeared(mark)
    left.kill()


async def test_a_connection_is_kept_and_one_that_died_is_made_anew(lab: Lab) -> None:
    first = (await lab.ssh.run("box", "echo $SSH_CONNECTION", SECONDS)).stdout
    assert (await lab.ssh.run("box", "echo $SSH_CONNECTION", SECONDS)).stdout == first
    async with asyncio.TaskGroup() as group:
        both = [group.create_task(lab.ssh.run("box", "echo $SSH_CONNECTION", SECONDS)) for _ in range(4)]
    assert {task.result().stdout for task in both} == {first}
    # the connection's own sshd, which the command runs below
    with pytest.raises(ToolError, match="box: route: the connection"):
        await lab.ssh.run("box", "pid=$PPID; while test $(cat /proc/$pid/comm) != sshd && test "
                          "$(cat /proc/$pid/comm) != sshd-session; do pid=$(awk '{print $4}' /proc/$pid/stat); done; "
                          "kill -KILL $pid; sleep 5", SECONDS)  # fmt: skip
    assert (await lab.ssh.run("box", "echo $SSH_CONNECTION", SECONDS)).stdout not in ("", first)


async def test_an_idle_connection_is_closed(sshd: Sshd, tmp_path: Path) -> None:
    lab = Lab(tmp_path, sshd, idle=0.05)
    first = (await lab.ssh.run("box", "echo $SSH_CONNECTION", SECONDS)).stdout
    await asyncio.sleep(0.3)
    assert (await lab.ssh.run("box", "echo $SSH_CONNECTION", SECONDS)).stdout not in ("", first)
    await lab.ssh.aclose()


async def test_through_a_jump_host(lab: Lab) -> None:
    lab.inventory(gate={}, inner={"jump": "gate"}, innermost={"jump": "inner"}, box={})
    assert (await lab.ssh.run("inner", "echo in", SECONDS)).stdout == "in\n"
    assert (await lab.ssh.run("innermost", "echo inmost", SECONDS)).stdout == "inmost\n"
    lab.inventory(gate={}, inner={"jump": "gate", "port": closed_port()})
    pin(lab, lab.hosts.inventory().hosts["inner"].pin_name)
    with pytest.raises(ToolError, match=r"inner: route: .*asked of jump host gate"):
        await lab.ssh.run("inner", "true", SECONDS)


async def test_a_host_outside_the_inventory(lab: Lab) -> None:
    with pytest.raises(Refused, match=r"'prod' is not in config/hosts\.yaml; known hosts: box"):
        await lab.ssh.run("prod", "true", SECONDS)
    lab.workspace.delete("config/hosts.yaml")
    with pytest.raises(Refused, match="known hosts: none yet; the User adds one"):
        await lab.ssh.run("box", "true", SECONDS)
    lab.workspace.write_text("config/hosts.yaml", "hosts: {box: {adress: x}}")
    with pytest.raises(ToolError, match=r"config/hosts\.yaml: host box: "):
        await lab.ssh.run("box", "true", SECONDS)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"key": "stranger"}, r"box: key: .* refused the key stranger"),
        ({"user": "nobody"}, r"box: key: nobody@.* refused the key user"),
        ({"key": "missing"}, r"box: key: there is no key .*/missing"),
        ({"key": "user.pub"}, r"box: key: .*user\.pub is no private key"),
        ({"key": "sshd_config"}, r"box: key: .*sshd_config is no private key"),
        ({"address": "no-such-host.invalid"}, r"box: name: no-such-host\.invalid does not resolve"),
    ],
)
async def test_why_there_is_no_login(lab: Lab, fields: dict[str, str], said: str) -> None:
    lab.inventory(box=fields)
    with pytest.raises(ToolError, match=said):
        await lab.ssh.run("box", "true", SECONDS)
    lab.inventory(box={})
    assert (await lab.ssh.run("box", "true", SECONDS)).exit_code == 0


async def test_a_host_that_is_down(lab: Lab) -> None:
    lab.inventory(box={"port": closed_port()})
    with pytest.raises(ToolError, match=r"box: route: .*Connection refused"):
        await lab.ssh.run("box", "true", SECONDS)


async def test_something_that_is_no_ssh(lab: Lab) -> None:
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        lab.inventory(box={"port": port})
        with pytest.raises(ToolError, match=r"box: route: .* broke off during key exchange"):
            await lab.ssh.run("box", "true", SECONDS)


async def test_cancelling_a_connection_that_does_not_come_about(lab: Lab) -> None:
    with answering(b"") as port:
        lab.inventory(box={"port": port})
        call = asyncio.create_task(lab.ssh.run("box", "true", SECONDS))
        await asyncio.sleep(0.3)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        call = asyncio.create_task(lab.ssh.run("box", "true", SECONDS))
        await asyncio.sleep(0.3)
        assert await lab.ssh.stop_all() == 1
        with pytest.raises(ToolError, match="box: stopped"):
            await call


async def test_an_unknown_host_key(lab: Lab) -> None:
    pinned = lab.known_hosts.read_bytes()
    lab.known_hosts.unlink()
    with pytest.raises(Refused, match=r"box: host key: .* is unknown; it shows ssh-ed25519 SHA256:\S+") as refusal:
        await lab.ssh.run("box", "true", SECONDS)
    assert "./minilab hosts trust box" in str(refusal.value)
    lab.known_hosts.write_bytes(pinned)
    assert (await lab.ssh.run("box", "true", SECONDS)).exit_code == 0
    lab.known_hosts.write_bytes(b"")
    with pytest.raises(Refused, match="is unknown"):
        await lab.ssh.run("box", "true", SECONDS)


async def test_a_changed_host_key(lab: Lab) -> None:
    lab.known_hosts.write_bytes(lab.sshd.wrong_known_hosts.read_bytes())
    with pytest.raises(Refused, match=r"box: host key: IT HAS CHANGED.*pinned is ssh-ed25519 SHA256:"):
        await lab.ssh.run("box", "touch /tmp/never", SECONDS)


@pytest.mark.parametrize("key", ["/etc/shadow", "../known_hosts", "{directory}/../known_hosts", "~/.ssh/id_rsa"])
async def test_a_key_that_was_not_set_aside(lab: Lab, key: str) -> None:
    lab.inventory(box={"key": key.format(directory=lab.sshd.directory)})
    with pytest.raises(Refused, match="is none of the keys set aside"):
        await lab.ssh.run("box", "true", SECONDS)
    lab.inventory(box={"key": str(lab.sshd.key)})
    assert (await lab.ssh.run("box", "true", SECONDS)).exit_code == 0


async def test_what_makes_a_host_the_same_again(lab: Lab) -> None:
    lab.inventory(gate={}, inner={"jump": "gate"}, box={})
    before = lab.ssh.pinned("inner")
    assert [way.split()[0] for way in before] == ["gate", "inner"]
    assert all("ssh-ed25519 SHA256:" in keys for keys in before.values())
    assert lab.ssh.pinned("inner") == before
    lab.inventory(gate={"port": 2222}, inner={"jump": "gate"})
    assert lab.ssh.pinned("inner") != before
    lab.inventory(gate={}, inner={"jump": "gate"})
    lab.known_hosts.write_bytes(lab.sshd.wrong_known_hosts.read_bytes())
    assert list(lab.ssh.pinned("inner")) == list(before)
    assert lab.ssh.pinned("inner") != before
    assert sorted(lab.ssh.known()) == ["gate", "inner"]
    with pytest.raises(Refused, match="known hosts"):
        lab.ssh.pinned("other")


def test_keys_where_agents_write(lab: Lab) -> None:
    for place in (lab.base / "tmp", lab.base / "tmp/keys", lab.base):
        with pytest.raises(SettingsError, match="keys can't lie where agents write"):
            KeyRing([place], workspace=lab.workspace)
    KeyRing([lab.base / "keys"], workspace=lab.workspace)


async def test_a_single_key_file_may_lie_there_and_is_no_way_to_another_file(lab: Lab) -> None:
    bootstrap = lab.base / "tmp/bootstrap_id"
    lab.inventory(box={"key": str(bootstrap)})
    lab.hosts._keys = KeyRing([], [bootstrap], workspace=lab.workspace)
    bootstrap.symlink_to(lab.sshd.key)
    with pytest.raises(ToolError, match="it is a link"):
        await lab.ssh.run("box", "true", SECONDS)
    bootstrap.unlink()
    bootstrap.write_bytes(lab.sshd.key.read_bytes())
    assert (await lab.ssh.run("box", "true", SECONDS)).exit_code == 0


async def test_files_both_ways(lab: Lab, tmp_path: Path) -> None:
    target, content = tmp_path / "there.bin", os.urandom(700_000)
    assert await lab.ssh.put("box", content, str(target)) == str(target)
    assert target.read_bytes() == content
    target.chmod(0o640)
    await lab.ssh.put("box", b"new", str(target))
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"new", 0o640)
    await lab.ssh.put("box", content, str(target))
    assert await lab.ssh.get("box", str(target), 1 << 20) == content
    with pytest.raises(QuotaExceeded, match="more than 1,000 bytes"):
        await lab.ssh.get("box", str(target), 1000)
    assert list(tmp_path.glob("*.minilab-*")) == []


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("{tmp}/no/such/file", "box: name: there is no"),
        ("{tmp}", "box: name: .* is a folder"),
        ("/proc/version/x", "box: (name|permission|route)"),
    ],
)
async def test_files_that_can_not_be_copied(lab: Lab, tmp_path: Path, path: str, said: str) -> None:
    with pytest.raises(ToolError, match=said):
        await lab.ssh.put("box", b"x", path.format(tmp=tmp_path))
    with pytest.raises(ToolError, match=said):
        await lab.ssh.get("box", path.format(tmp=tmp_path), 1000)


async def test_a_device_is_no_file(lab: Lab) -> None:
    with pytest.raises(ToolError, match="no ordinary file"):
        await lab.ssh.get("box", "/dev/zero", 1000)


async def test_no_permission(lab: Lab) -> None:
    # a file system in which not even root may make files
    with pytest.raises(ToolError, match="box: permission: /dev/pts/page: the login may not do that"):
        await lab.ssh.put("box", b"x", "/dev/pts/page")


async def test_a_lost_connection_whose_rest_nobody_can_end_is_told(lab: Lab) -> None:
    await lab.ssh.run("box", "true", SECONDS)
    mark = seconds_of_sleep()
    call = asyncio.create_task(lab.ssh.run("box", f"sleep {mark}", 60))
    (process, *_) = await appeared(mark)
    pinned = lab.known_hosts.read_bytes()
    lab.known_hosts.unlink()
    lab.ssh._connections["box"].transport.close()
    with pytest.raises(ToolError, match=r"box: route: .*can't be asked what still runs: box: host key"):
        await call
    assert "can't be asked what still runs" in lab.ssh.left[0]
    assert await lab.ssh.stop_all() == 0
    assert lab.ssh.left == ()
    lab.known_hosts.write_bytes(pinned)
    process.kill()
    for one in running(mark):
        one.kill()


async def test_keys_of_every_kind_and_those_that_are_none(lab: Lab, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    lab.hosts._keys = KeyRing([keys], workspace=lab.workspace)
    for kind, extra in (("rsa", ["-b", "2048"]), ("ecdsa", []), ("ed25519", [])):
        make_key(keys / kind, kind, *extra)
        lab.inventory(box={"key": kind})
        with pytest.raises(ToolError, match=f"refused the key {kind}"):  # it was read, and offered
            await lab.ssh.run("box", "true", SECONDS)
    make_key(keys / "locked", "ed25519", passphrase="open sesame")
    (keys / "folder").mkdir()
    (keys / "torn").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n")
    (keys / "large").write_bytes(b"x" * 100_000)
    (keys / "linked").symlink_to(lab.sshd.key)
    for name, said in (
        ("locked", "has a passphrase"),
        ("folder", "is no file"),
        ("torn", "is no private key that can be read"),
        ("large", "is no private key"),
        (str(keys / "none"), "there is no key"),
    ):
        lab.inventory(box={"key": name})
        with pytest.raises(ToolError, match=f"box: key: .*{said}"):
            await lab.ssh.run("box", "true", SECONDS)
    lab.inventory(box={"key": "linked"})  # a link in the User's own directory is the User's
    assert (await lab.ssh.run("box", "true", SECONDS)).exit_code == 0


async def test_pins_that_can_not_be_read_let_nobody_in(lab: Lab) -> None:
    lab.known_hosts.write_text(f"{lab.hosts.inventory().hosts['box'].pin_name} ssh-ed25519 x\n")
    with pytest.raises(ToolError, match="the pinned host keys can't be read"):
        await lab.ssh.run("box", "true", SECONDS)


async def test_a_copy_that_is_cancelled_or_stopped(lab: Lab, tmp_path: Path) -> None:
    target = tmp_path / "large.bin"
    content = os.urandom(64 << 20)
    for end in ("cancel", "stop"):
        call = asyncio.create_task(lab.ssh.put("box", content, str(target)))
        until = time.monotonic() + SECONDS
        while not list(tmp_path.glob("large.bin.minilab-*")):
            assert time.monotonic() < until
            await asyncio.sleep(0.002)
        if end == "stop":
            assert await lab.ssh.stop_all() == 1
            with pytest.raises(ToolError, match="box: stopped"):
                await call
        else:
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        assert not target.exists()
        for part in tmp_path.glob("large.bin.minilab-*"):
            part.unlink()
    assert await lab.ssh.put("box", b"after", str(target)) == str(target)


def make_key(path: Path, kind: str, *extra: str, passphrase: str = "") -> None:
    argv = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(path), *extra]
    subprocess.run(argv, check=True, capture_output=True)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pin(lab: Lab, name: str) -> None:
    kind, key = lab.known_hosts.read_text().split()[1:3]
    with lab.known_hosts.open("a") as file:
        file.write(f"{name} {kind} {key}\n")


@contextmanager
def answering(what: bytes) -> Iterator[int]:
    """A server that says `what` to everybody (nothing: it only listens) and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    if not what:
                        client.recv(1)
                        client.recv(1000)
                        time.sleep(1)
                    client.sendall(what)

        threading.Thread(target=serve, daemon=True).start()
        yield port
        server.shutdown(socket.SHUT_RDWR)


async def test_the_next_call_tells_what_a_cancelled_one_left(lab: Lab) -> None:
    lab.ssh._left["box"] = ("process 42 sleep",)
    assert (await lab.ssh.run("box", "true", SECONDS)).left == ("of an earlier call: process 42 sleep",)
    assert (await lab.ssh.run("box", "true", SECONDS)).left == ()
