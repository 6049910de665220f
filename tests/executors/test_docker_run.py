"""Docker as executor: its command line, and its client's fate."""

import asyncio
import shutil
from pathlib import Path

import pytest

from agents.executors.bubblewrap import Bind
from agents.executors.docker_run import DockerExecutor, Image, arguments
from agents.executors.levels import Limits
from agents.executors.process import Processes
from agents.executors.workspace import Workspace

LIMITS = Limits(memory=512, pids=9, cpu_seconds=60, file_bytes=1000, open_files=64, tmp_bytes=4096)


def command(image: Image | None = None, binds: tuple[Bind, ...] = (), *, network: bool = False) -> list[str]:
    return arguments(
        image or Image("debian:12"),
        LIMITS,
        binds,
        ["python3", "-"],
        name="minilab-1",
        cwd="/app",
        network=network,
        user="1000:1000",
    )


@pytest.mark.parametrize(
    "expected",
    [
        "--rm",
        "--read-only",
        "--network none",
        "--cap-drop ALL",
        "--security-opt no-new-privileges",
        "--memory 512 --memory-swap 512",
        "--pids-limit 9",
        "--ulimit cpu=60",
        "--ulimit fsize=1000",
        "--ulimit nofile=64",
        "--shm-size 4096",
        "--tmpfs /tmp:rw,nosuid,nodev,exec,size=4096",
        "--user 1000:1000",
        "--name minilab-1",
        "--workdir /app debian:12 python3 -",
    ],
)
def test_options(expected: str) -> None:
    assert f" {expected} " in f" {' '.join(command())} "


@pytest.mark.parametrize("refused", ["--privileged", "--pid", "--volume", "--cap-add", "--env-file", "--device"])
def test_nothing_that_opens_it(refused: str) -> None:
    assert refused not in command(network=True)


def test_the_network_only_on_demand() -> None:
    assert "--network bridge" in " ".join(command(network=True))


@pytest.mark.parametrize("runtime", ["runc", "runsc", "kata"])
def test_the_runtime_by_setting(runtime: str) -> None:
    assert f"--runtime {runtime}" in " ".join(command(Image("debian:12", runtime)))
    assert "--runtime" not in command()


@pytest.mark.parametrize(
    ("bind", "mount"),
    [
        (Bind(Path("/w/infra"), "/app/infra", True), "type=bind,source=/w/infra,target=/app/infra"),
        (Bind(Path("/w/docs"), "/app/docs"), "type=bind,source=/w/docs,target=/app/docs,readonly"),
        (Bind(Path('/w/a,b"c'), "/x", True), 'type=bind,"source=/w/a,b""c",target=/x'),
    ],
)
def test_mounts(bind: Bind, mount: str) -> None:
    argv = command(binds=(bind,))
    assert argv[argv.index("--mount") + 1] == mount


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace({name: tmp_path / name for name in ("infra", "config", "docs", "tmp")})


def pretend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A `docker` that notes its arguments and does as told: what its client would do is what is tested."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(f'#!/bin/bash\necho "$@" >> {tmp_path}/calls\n{script}\n')
    program.chmod(0o755)
    monkeypatch.setattr(
        "agents.executors.docker_run.base_environment", lambda home: {"PATH": f"{program.parent}:/usr/bin:/bin"}
    )


async def test_a_run_that_ends_needs_no_kill(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(tmp_path, monkeypatch, "cat; exit 4")
    done = await DockerExecutor(Processes(), workspace, Image("i")).run(["python3", "-"], timeout=20, stdin=b"code")
    assert (done.exit_code, done.stdout) == (4, "code")
    (call,) = (tmp_path / "calls").read_text().splitlines()
    assert call.startswith("run ")


async def test_a_run_out_of_time_has_its_container_killed(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(tmp_path, monkeypatch, 'test "$1" = kill || sleep 60')
    executor = DockerExecutor(Processes(), workspace, Image("i"), host="tcp://127.0.0.1:1")
    done = await executor.run(["x"], cwd="config", timeout=0.5, read_only=True)
    assert done.timed_out
    ran, killed = (tmp_path / "calls").read_text().splitlines()
    name = ran.split("--name ")[1].split()[0]
    assert killed == f"kill {name}"
    assert "--workdir /app/config" in ran


async def test_a_cancelled_run_has_its_container_killed(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(tmp_path, monkeypatch, 'test "$1" = kill || sleep 60')
    task = asyncio.create_task(DockerExecutor(Processes(), workspace, Image("i")).run(["x"], timeout=60))
    async with asyncio.timeout(20):
        while not (tmp_path / "calls").exists():
            await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (tmp_path / "calls").read_text().splitlines()[1].startswith("kill minilab-")


@pytest.mark.containers
async def test_a_real_container(workspace: Workspace) -> None:
    if not shutil.which("docker"):
        pytest.skip("docker isn't installed")
    processes = Processes()
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent"}
    listed = await processes.run(
        ["docker", "images", "-q", "--filter", "reference=*:*"], cwd=Path("/"), env=env, timeout=10
    )
    if listed.exit_code != 0 or not listed.stdout.strip():
        pytest.skip("no container engine with an image answers")
    executor = DockerExecutor(processes, workspace, Image(listed.stdout.split()[0]))
    script = b"touch /x 2>/dev/null || echo closed; ls /sys/class/net"
    done = await executor.run(["sh", "-s"], timeout=60, stdin=script)
    assert done.stdout.split() == ["closed", "lo"]
