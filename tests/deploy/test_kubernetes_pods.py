"""The pods' own commands, on their own files: agents come up, are told ready, and leave in order."""

import asyncio
import shutil
import socket
import subprocess
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from agents import healthcheck
from agents.domain.message import USER
from agents.domain.role import ROLES
from agents.room import acl, open_room
from agents.room.keyring import create
from tests.deploy.cluster import Pod, render
from tests.deploy.kubelet import Kubelet, Made
from tests.support.redis_server import RedisServer, program

pytestmark = pytest.mark.real
NAMES = (*ROLES, USER)
PROBE = ("bwrap", "--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc")
PASSWORDS = {name: f"secret-of-{name}" for name in NAMES}


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """What a person makes by hand; nothing that is optional."""
    keys = tmp_path / "keys"
    create(keys, NAMES)
    found = {("configmap", "minilab-public-keys"): {"public.json": (keys / "public.json").read_bytes()}}
    for name in NAMES:
        own = {"signing.key": (keys / f"{name}.key").read_bytes(), "redis-password": PASSWORDS[name].encode() + b"\n"}
        found["secret", f"minilab-{name.lower()}"] = own
    return found


@pytest.fixture
def room(tmp_path: Path) -> Iterator[str]:
    """The address of a Redis with the room's users."""
    path = program("redis-server")
    if path is None:
        pytest.skip("redis-server isn't installed")
    rules = acl.users("agent_channel", PASSWORDS)
    (tmp_path / "users.acl").write_text(rules.replace("user default reset off", "user default reset on nopass +ping"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = RedisServer(path, "--port", str(port), "--aclfile", str(tmp_path / "users.acl"))
    server.start()
    yield f"redis://127.0.0.1:{port}/0"
    server.close()


@pytest.fixture
def kubelet(tmp_path: Path, made: Made, room: str) -> Kubelet:
    """Something to run pods of the demo with."""
    if not shutil.which("bwrap") or subprocess.run([*PROBE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("bubblewrap isn't installed, or can't run here")
    return Kubelet(tmp_path / "node", render("demo"), made, {"REDIS_URL": room})


@pytest.mark.parametrize("name", ["agent-architect", "agent-coder", "agent-devops"])
async def test_an_agent_comes_up_in_its_pod_and_leaves_in_order(kubelet: Kubelet, room: str, name: str) -> None:
    pod = render("demo").pod(name)
    assert pod.role
    await asyncio.to_thread(kubelet.prepare, pod)
    process = await asyncio.create_subprocess_exec(*kubelet.argv(pod, pod.spec["containers"][0]), stderr=PIPE)
    opened = await open_room(
        room.replace("://", f"://Observer:{PASSWORDS['Observer']}@"), "agent_channel", patience=5
    )
    state = _state(kubelet, pod)
    try:
        for _ in range(300):
            if [beat for beat in await opened.presence.present() if beat.role == pod.role]:
                break
            assert process.returncode is None
            await asyncio.sleep(0.1)
        [beat] = await opened.presence.present()
        assert (beat.role, beat.host, beat.state) == (pod.role, name, "idle")
        assert healthcheck.main([pod.role], state) == 0
    finally:
        if process.returncode is None:
            _signal_child(process.pid)
        _, errors = await asyncio.wait_for(process.communicate(), pod.spec["terminationGracePeriodSeconds"])
        await opened.aclose()
    assert process.returncode == 0, errors.decode()
    assert b"ERROR" not in errors
    assert healthcheck.main([pod.role], state) == 1
    assert {folder.name for folder in kubelet.claim("workspace").iterdir()} == {"generated_iac", "docs", "tmp"}
    assert [folder.name for folder in kubelet.claim("audit").iterdir()] == [name]


def _state(kubelet: Kubelet, pod: Pod) -> Path:
    return kubelet.volume(pod, next(volume for volume in pod.spec["volumes"] if volume["name"] == "state"))


def _signal_child(parent: int) -> None:
    """SIGTERM to the agent: bubblewrap passes none on, as tini does in the image."""
    for inner in psutil.Process(parent).children():
        for agent in inner.children():
            agent.terminate()


async def test_without_its_public_key_an_agent_does_not_start(
    kubelet: Kubelet, tmp_path: Path, made: Made, room: str
) -> None:
    broken = {**made, ("configmap", "minilab-public-keys"): {"public.json": b"{}"}}
    other = Kubelet(tmp_path / "other", render("demo"), broken, {"REDIS_URL": room})
    pod = render("demo").pod("agent-qa")
    await asyncio.to_thread(other.prepare, pod)
    argv = other.argv(pod, pod.spec["containers"][0])
    process = await asyncio.create_subprocess_exec(*argv, stderr=PIPE)
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2
    assert b"minilab keys init" in errors
