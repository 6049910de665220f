"""The sandbox, attacked for real: each attack beside what must go on working."""

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from agents.domain.errors import PathEscape, QuotaExceeded, Refused, ToolError
from agents.executors import bubblewrap, cgroups
from agents.executors.levels import Level, Limits
from agents.executors.process import Finished, Processes
from agents.executors.sandbox import Mode, Sandbox
from agents.executors.workspace import Workspace

needs_bubblewrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap isn't installed")
SMALL = Limits(
    memory=256 << 20, pids=60, cpu_seconds=1, file_bytes=8 << 20, tmp_bytes=16 << 20, workspace_bytes=48 << 20
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "docs" / "manual").mkdir(parents=True)
    (tmp_path / "docs" / "manual" / "page.md").write_text("manual")
    (tmp_path / "docs" / "execution_log_QA.md").write_text("log")
    (tmp_path / "generated_iac" / ".git").mkdir(parents=True)
    (tmp_path / "secret").write_text("the host's own")
    return tmp_path


def workspace_of(home: Path) -> Workspace:
    iac = home / "generated_iac"
    roots = {"infra": iac / "infra", "config": iac / "config", "docs": home / "docs", "tmp": home / "tmp"}
    return Workspace(roots)


def sandbox_of(home: Path, mode: Mode = "auto", limits: Limits | None = None) -> Sandbox:
    return Sandbox(
        Processes(), workspace_of(home), home / ".state", mode=mode, limits=limits, variables={"GIVEN": "yes"}
    )


@pytest.fixture
def sandbox(home: Path) -> Sandbox:
    return sandbox_of(home)


async def sh(sandbox: Sandbox, script: str, timeout: float = 30, **more: object) -> Finished:
    return await sandbox.run(["bash", "-c", script], timeout=timeout, **more)  # type: ignore[arg-type]


@pytest.mark.real
@needs_bubblewrap
class TestConfinement:
    async def test_the_probe_really_runs_it(self, sandbox: Sandbox) -> None:
        level = await sandbox.probe()
        assert (level.name, level.runs) == ("bubblewrap", True)
        assert level.line().startswith("bubblewrap: commands are confined; bounds by ")
        assert await sandbox.probe() is level

    async def test_work_in_the_workspace_goes_on(self, sandbox: Sandbox, home: Path) -> None:
        script = "pwd; echo new > /app/infra/a; echo new > /app/config/b; echo new > /tmp/app/c"
        script += "; cat /app/docs/manual/page.md"
        done = await sh(sandbox, script)
        assert (done.exit_code, done.stdout) == (0, "/app\nmanual")
        assert (home / "generated_iac/infra/a").read_text() == "new\n"
        assert (home / "tmp/c").read_text() == "new\n"

    async def test_a_state_is_neither_read_nor_changed(self, sandbox: Sandbox, home: Path) -> None:
        module = home / "generated_iac/infra/site"
        (module / "terraform.tfstate.d/prod").mkdir(parents=True)
        states = [module / "terraform.tfstate", module / "terraform.tfstate.d/prod/terraform.tfstate"]
        for file in (*states, module / "main.tf"):
            file.write_text("hunter2")
        for name in ("terraform.tfstate", "terraform.tfstate.d/prod/terraform.tfstate"):
            attack = f"cd infra/site; cat {name}; echo forged > {name}; rm -f {name}; mv {name} x; cat x"
            assert "hunter2" not in (await sh(sandbox, attack)).stdout
        assert [file.read_text() for file in states] == ["hunter2", "hunter2"]
        done = await sh(sandbox, "cat infra/site/main.tf; echo new > infra/site/main.tf")
        assert (done.stdout, (module / "main.tf").read_text()) == ("hunter2", "new\n")

    async def test_what_a_command_wrote_stays_ours_to_change(self, sandbox: Sandbox, home: Path) -> None:
        await sh(sandbox, "mkdir -p /app/infra/d; echo x > /app/infra/d/f; chmod 700 /app/infra/d")
        written = home / "generated_iac/infra/d/f"
        assert written.stat().st_uid == os.getuid()
        written.write_text("ours")
        written.unlink()

    @pytest.mark.parametrize(
        "script",
        [
            "echo x > /app/docs/manual/page.md",
            "echo x > /app/docs/execution_log_QA.md",
            "echo x > /app/docs/execution_log_New.md",
            "rm -rf /app/docs/manual/page.md",
            "mv /app/docs/manual /app/docs/other",
            "ln -sf /tmp/x /app/docs/execution_log_QA.md",
            "echo x > /app/.git/config",
            "mkdir /app/new",
            "touch /usr/bin/x",
            "touch /etc/x",
            "touch /x",
            "touch /dev/x",
            "mount -o remount,rw /",
            "unshare -U true",
            "test -w /proc/sysrq-trigger || { echo closed >&2; exit 1; }",
            "echo 1 > /proc/self/oom_score_adj",
            "mknod /tmp/null c 1 3",
            "cp /proc/sys/kernel/core_pattern /tmp/p && cat /tmp/p > /proc/sys/kernel/core_pattern",
        ],
    )
    async def test_no_writing_elsewhere(self, sandbox: Sandbox, home: Path, script: str) -> None:
        done = await sh(sandbox, script)
        assert done.exit_code != 0
        assert done.stderr
        assert (home / "docs/manual/page.md").read_text() == "manual"
        assert (home / "docs/execution_log_QA.md").read_text() == "log"
        assert not list((home / "generated_iac/.git").iterdir())

    async def test_the_host_does_not_show(self, sandbox: Sandbox, home: Path) -> None:
        hidden = [home / "secret", Path.home() / ".ssh", Path.home() / ".bashrc", "/etc/shadow", "/run/docker.sock"]
        hidden += ["/var/run/docker.sock", "/sys/class", "/boot", "/etc/ssl/private", home / ".state"]
        for path in hidden:
            done = await sh(sandbox, f"ls -d {path}")
            assert (done.exit_code, done.stdout) == (2, ""), path
        assert (await sh(sandbox, "ls -d /usr/bin /etc/passwd")).exit_code == 0

    async def test_a_link_out_of_the_workspace_leads_nowhere(self, sandbox: Sandbox, home: Path) -> None:
        (home / "generated_iac/infra").mkdir(exist_ok=True)
        (home / "generated_iac/infra/out").symlink_to(home / "secret")
        assert (await sh(sandbox, "cat /app/infra/out")).exit_code == 1

    async def test_the_environment_is_the_given_one_also_in_proc(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MINILAB_CANARY", "leak")
        done = await sh(sandbox, "env; cat /proc/*/environ | tr '\\0' '\\n'")
        assert "GIVEN=yes" in done.stdout
        assert "leak" not in done.stdout

    async def test_no_other_process_is_seen(self, sandbox: Sandbox) -> None:
        done = await sh(sandbox, "ls /proc | grep -c '^[0-9]'")
        assert int(done.stdout) < 8

    async def test_no_network_but_on_demand(self, sandbox: Sandbox) -> None:
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        script = f"exec 3<>/dev/tcp/127.0.0.1/{port}"
        async with server:
            assert (await sh(sandbox, script)).exit_code == 1
            assert (await sh(sandbox, script, network=True)).exit_code == 0

    async def test_no_capability_and_no_new_privileges(self, sandbox: Sandbox) -> None:
        done = await sh(sandbox, "grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status")
        fields = dict(line.split(":\t") for line in done.stdout.splitlines())
        assert fields == {"CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1"}

    async def test_our_python_runs_inside(self, sandbox: Sandbox) -> None:
        done = await sandbox.run(["python3", "-"], timeout=30, stdin=b"import yaml, os; print(os.getcwd())")
        assert (done.exit_code, done.stdout) == (0, "/app\n")

    async def test_a_read_only_workspace(self, sandbox: Sandbox, home: Path) -> None:
        script = "echo x > /app/infra/x; echo x > /tmp/app/x; echo x > /tmp/x && cat /tmp/x"
        done = await sh(sandbox, script, read_only=True)
        assert done.stdout == "x\n"
        assert done.stderr.count("Read-only") == 2
        assert (await sh(sandbox, script)).stderr == ""

    @pytest.mark.parametrize(
        ("cwd", "shown"),
        [("", "/app"), ("config/site", "/app/config/site"), ("/tmp/app", "/tmp/app"), ("tmp", "/tmp/app")],
    )
    async def test_where_it_starts(self, sandbox: Sandbox, home: Path, cwd: str, shown: str) -> None:
        (home / "generated_iac/config/site").mkdir(parents=True)
        assert (await sh(sandbox, "pwd", cwd=cwd)).stdout.strip() == shown

    async def test_no_start_outside_or_nowhere(self, sandbox: Sandbox, home: Path) -> None:
        for cwd, fault in [("../..", PathEscape), ("/etc", PathEscape), ("infra/none", ToolError)]:
            with pytest.raises(fault):
                await sh(sandbox, "pwd", cwd=cwd)
        (home / "tmp/file").write_text("")
        with pytest.raises(ToolError, match="no folder"):
            await sh(sandbox, "pwd", cwd="tmp/file")

    async def test_cancelled_nothing_is_left(self, sandbox: Sandbox) -> None:
        mark = f"{os.getpid()}.4711"
        task = asyncio.create_task(sh(sandbox, f"setsid sleep {mark} & (setsid sleep {mark} &) ; sleep {mark}"))
        async with asyncio.timeout(20):
            while _sleepers(mark) < 3:
                await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert _sleepers(mark) == 0


def _sleepers(mark: str) -> int:
    cmdlines = (process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"]))
    return sum(cmdline[-1:] == [mark] and "sleep" in cmdline[0] for cmdline in cmdlines)


@pytest.fixture(params=["cgroups", "watch"])
def bounded(request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A sandbox with small bounds, kept by control groups and without them."""
    if request.param == "watch":
        monkeypatch.setattr(cgroups, "find", lambda: None)
    return sandbox_of(home, limits=SMALL)


_HUNGRY = """
import os, time
for _ in range(4):
    if os.fork() == 0:
        x = bytearray(100 << 20)
        time.sleep(4)
        os._exit(0)
time.sleep(4)
"""


@pytest.mark.real
@needs_bubblewrap
class TestBounds:
    async def test_a_fork_bomb(self, bounded: Sandbox) -> None:
        # a thousand and no more: should nothing end it, the machine must live through it all the same
        done = await sh(bounded, "for i in {1..1000}; do sleep 30 & done; wait", timeout=6)
        assert done.over == "pids" or "Resource temporarily unavailable" in done.stderr

    async def test_a_memory_bomb_in_one_process(self, bounded: Sandbox) -> None:
        done = await sh(bounded, "python3 -c 'x = bytearray(900 << 20)'")
        assert done.exit_code != 0

    async def test_a_memory_bomb_in_many_processes(self, bounded: Sandbox) -> None:
        done = await bounded.run(["python3", "-"], timeout=25, stdin=_HUNGRY.encode())
        assert done.over == "memory"

    @pytest.mark.parametrize("place", ["/tmp", "/dev/shm", "/run", "/home/agent"])
    async def test_a_bomb_on_a_file_system_of_its_own(self, bounded: Sandbox, place: str) -> None:
        script = f"for i in 1 2 3 4 5; do head -c 6M /dev/zero > {place}/$i || exit 9; done"
        done = await sh(bounded, script)
        assert done.exit_code == 9
        assert "No space left" in done.stderr

    async def test_a_file_over_the_bound(self, bounded: Sandbox) -> None:
        done = await sh(bounded, "head -c 9M /dev/zero > /app/infra/big")
        assert done.exit_code == 128 + 25

    async def test_a_workspace_bomb(self, bounded: Sandbox, home: Path) -> None:
        script = "for i in $(seq 100); do head -c 7M /dev/zero > /app/infra/f$i; sleep 0.05; done"
        done = await sh(bounded, script)
        assert (done.over, done.exit_code) == ("disk", None)
        with pytest.raises(QuotaExceeded, match="delete files"):
            await sh(bounded, "true")
        for file in (home / "generated_iac/infra").iterdir():
            file.unlink()
        assert (await sh(bounded, "true")).exit_code == 0

    async def test_an_output_bomb(self, bounded: Sandbox) -> None:
        done = await sh(bounded, "yes | head -c 50M")
        assert done.truncated
        assert len(done.stdout) < (1 << 20) + 100

    async def test_a_loop_runs_out_of_cpu_time(self, bounded: Sandbox) -> None:
        done = await sh(bounded, "while :; do :; done", timeout=25)
        assert not done.timed_out
        assert done.exit_code in (128 + 24, 128 + 9)

    async def test_modest_work_within_all_bounds(self, bounded: Sandbox) -> None:
        script = "head -c 5M /dev/zero > /tmp/x; head -c 5M /dev/zero > /app/infra/x; seq 1000 | sort | tail -1"
        done = await sh(bounded, script)
        assert (done.exit_code, done.over, done.stdout) == (0, None, "999\n")


class TestWithoutBubblewrap:
    @pytest.fixture(autouse=True)
    def _missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        arguments = bubblewrap.arguments

        def missing(*args: object, **more: object) -> list[str]:
            return ["no-such-bwrap", *arguments(*args, **more)[1:]]  # type: ignore[arg-type]

        monkeypatch.setattr(bubblewrap, "arguments", missing)

    async def test_commands_are_refused_with_the_fix(self, home: Path) -> None:
        sandbox = sandbox_of(home)
        with pytest.raises(Refused, match=r"bubblewrap isn't installed; install bubblewrap.*SANDBOX=container"):
            await sh(sandbox, "true")
        assert not (await sandbox.probe()).runs

    async def test_in_a_container_they_run_directly_and_bounded(self, home: Path) -> None:
        sandbox = sandbox_of(home, "container", SMALL)
        (home / "generated_iac/config/site").mkdir(parents=True)
        done = await sh(sandbox, "pwd; echo $GIVEN; ulimit -c", cwd="config/site")
        assert done.stdout.split() == [str(home / "generated_iac/config/site"), "yes", "0"]
        assert (await sh(sandbox, "pwd")).stdout.strip() == str(home / "generated_iac")
        assert (await sandbox.probe()).line().startswith("container: commands run directly")
        done = await sandbox.run(["python3", "-"], timeout=25, stdin=_HUNGRY.encode())
        assert done.over == "memory"


@pytest.mark.parametrize(
    ("program", "detail"),
    [
        ("echo 'No permissions to create new namespace' >&2; exit 1", "No permissions to create new namespace"),
        ("echo 'the host shows'; exit 1", "the host shows"),
        ("exit 1", "no answer"),
    ],
)
async def test_what_bubblewrap_complains_of_is_said(
    home: Path, monkeypatch: pytest.MonkeyPatch, program: str, detail: str
) -> None:
    monkeypatch.setattr(bubblewrap, "arguments", lambda *args, **more: ["sh", "-c", program])
    level = await sandbox_of(home).probe()
    assert (level.name, level.runs) == ("none", False)
    assert detail in level.detail


async def test_a_state_folder_that_cannot_be_made(home: Path) -> None:
    (home / ".state").write_text("a file")
    level = await sandbox_of(home).probe()
    assert level.name == "none"
    assert "can't start" in level.detail


async def test_groups_that_fail_leave_the_watch(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "find", lambda: cgroups.Groups(2, dict.fromkeys(("memory", "pids"), home / "none")))
    sandbox = sandbox_of(home, "container")
    done = await sh(sandbox, "echo works")
    assert done.stdout == "works\n"


@pytest.mark.parametrize(
    ("uid", "release", "counted"), [(1000, "6.1.0-13-amd64", True), (0, "6.1.0", False), (1000, "5.4.0", False)]
)
async def test_the_kernel_counts_processes_where_it_can(
    home: Path, monkeypatch: pytest.MonkeyPatch, uid: int, release: str, counted: bool
) -> None:
    seen: list[list[str]] = []

    def arguments(layout: object, argv: list[str], *, cwd: str, network: bool) -> list[str]:
        seen.append(argv)
        return ["true"]

    monkeypatch.setattr(cgroups, "find", lambda: None)
    monkeypatch.setattr(bubblewrap, "arguments", arguments)
    monkeypatch.setattr("os.getuid", lambda: uid)
    monkeypatch.setattr("platform.release", lambda: release)
    await sh(sandbox_of(home), "true")
    prefix: Callable[[list[str]], bool] = lambda argv: argv[:2] == ["/bin/bash", "-c"] and "ulimit -u" in argv[2]  # noqa: E731
    assert [prefix(argv) for argv in seen] == [counted, counted]


def test_a_level_without_bounds_says_its_name_and_why() -> None:
    assert Level("none", "because").line() == "none: because"
