"""Programs run with what they are given, and end with all they started."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from agents.domain.errors import MissingBinary, ToolError
from agents.executors.process import Finished, Processes, base_environment
from agents.executors.spawning import Bounds

# a child in a session of its own, and a daemon without any of its parents' marks
_HIDING = """
setsid sleep {mark} &
( setsid env -i bash -c 'trap "" TERM; sleep {mark} & wait' >/dev/null 2>&1 </dev/null & )
"""


@pytest.fixture
def processes() -> Processes:
    return Processes(output_cap=1 << 16)


async def run(processes: Processes, *argv: str, timeout: float = 20, **more: object) -> Finished:
    given: dict[str, object] = {"cwd": Path("/"), "env": base_environment(Path("/nonexistent")), **more}
    return await processes.run(argv, timeout=timeout, **given)  # type: ignore[arg-type]


def alive(mark: str) -> list[int]:
    """Processes that sleep for `mark` seconds."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        if process.info["status"] != psutil.STATUS_ZOMBIE and (process.info["cmdline"] or [])[-1:] == [mark]:
            found.append(process.pid)
    return found


async def until_alive(mark: str, count: int) -> None:
    async with asyncio.timeout(20):
        while len(alive(mark)) < count:
            await asyncio.sleep(0.02)


@pytest.fixture
def mark(request: pytest.FixtureRequest) -> str:
    """A number of seconds no other test sleeps for."""
    return f"{1000 + os.getpid() % 1000}.{abs(hash(request.node.name)) % 10**8}"


async def test_streams_exit_code_and_input(processes: Processes) -> None:
    done = await run(processes, "sh", "-c", "cat; echo bad >&2; exit 3", stdin=b"given")
    assert (done.stdout, done.stderr, done.exit_code) == ("given", "bad\n", 3)
    assert (done.timed_out, done.truncated, done.over) == (False, False, None)
    assert done.argv[0] == "sh"


async def test_the_environment_is_exactly_the_one_given(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINILAB_CANARY", "leak")
    done = await run(processes, "/usr/bin/env", env={"ONLY": "this"})
    assert done.stdout == "ONLY=this\n"


async def test_without_input_standard_input_is_empty(processes: Processes) -> None:
    assert (await run(processes, "cat")).stdout == ""


async def test_a_large_input_and_output_pass_at_once(processes: Processes) -> None:
    done = await run(Processes(output_cap=8 << 20), "cat", stdin=b"x" * (4 << 20))
    assert len(done.stdout) == 4 << 20


async def test_input_nobody_reads_does_no_harm(processes: Processes) -> None:
    assert (await run(processes, "true", stdin=b"x" * (4 << 20))).exit_code == 0


async def test_a_session_of_its_own(processes: Processes) -> None:
    done = await run(processes, sys.executable, "-c", "import os; print(os.getsid(0) == os.getpid())")
    assert done.stdout == "True\n"


async def test_no_descriptor_of_ours_is_inherited(processes: Processes) -> None:
    opened = os.open("/", os.O_RDONLY)
    try:
        done = await run(processes, "ls", "/proc/self/fd")
    finally:
        os.close(opened)
    assert set(done.stdout.split()) <= {"0", "1", "2", "3"}  # 3: the folder ls reads


async def test_endless_output_is_capped_and_ended(processes: Processes) -> None:
    done = await run(processes, "yes", timeout=0.5)
    assert (done.timed_out, done.truncated, done.exit_code) == (True, True, None)
    assert len(done.stdout) < (1 << 16) + 100


async def test_both_streams_are_read_at_once(processes: Processes) -> None:
    script = "for i in $(seq 20000); do echo 0123456789; echo 0123456789 >&2; done"
    done = await run(processes, "bash", "-c", script)
    assert done.exit_code == 0
    assert done.truncated


async def test_death_by_a_signal_of_its_own(processes: Processes) -> None:
    assert (await run(processes, "sh", "-c", "kill -SEGV $$")).exit_code == -signal.SIGSEGV


@pytest.mark.parametrize("program", ["no-such-program", "./no-such-program"])
async def test_a_missing_program_is_named(processes: Processes, program: str) -> None:
    with pytest.raises(MissingBinary, match="no-such-program"):
        await run(processes, program)


async def test_a_known_missing_program_comes_with_its_fix(processes: Processes) -> None:
    with pytest.raises(MissingBinary, match=r"'terraform'.*install Terraform"):
        await run(processes, "terraform", env={"PATH": "/nonexistent"})


async def test_a_file_that_is_no_program_is_an_error(processes: Processes, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_bytes(b"\x00\x01\x02")
    script.chmod(0o755)
    with pytest.raises(ToolError, match="can't be started: Exec format error"):
        await run(processes, str(script))
    # the same way with a program works
    assert (await run(processes, "/bin/true")).exit_code == 0


async def test_a_missing_folder_is_an_error(processes: Processes) -> None:
    with pytest.raises(ToolError, match="there is no folder /no/such"):
        await run(processes, "true", cwd=Path("/no/such"))


async def test_a_nul_is_an_error(processes: Processes) -> None:
    with pytest.raises(ToolError, match="NUL"):
        await run(processes, "echo", "a\0b")


async def test_half_a_character_does_not_stop_the_program(processes: Processes) -> None:
    assert (await run(processes, "echo", "a\ud800b")).stdout == "a?b\n"
    assert (await run(processes, "echo", "äöü→", os.fsdecode(b"\xff"))).stdout == "äöü→ \ufffd\n"


async def test_what_is_left_in_the_background_ends_with_it(processes: Processes, mark: str) -> None:
    done = await run(processes, "bash", "-c", _HIDING.format(mark=mark) + "sleep 0.3; echo started")
    assert (done.stdout, done.exit_code) == ("started\n", 0)
    assert alive(mark) == []


async def test_timeout_ends_the_whole_tree(processes: Processes, mark: str) -> None:
    done = await run(processes, "bash", "-c", _HIDING.format(mark=mark) + f"sleep {mark}", timeout=1.5)
    assert (done.timed_out, done.exit_code) == (True, None)
    assert alive(mark) == []


async def test_cancellation_ends_the_whole_tree_and_is_raised(processes: Processes, mark: str) -> None:
    task = asyncio.create_task(run(processes, "bash", "-c", _HIDING.format(mark=mark) + f"sleep {mark}"))
    await until_alive(mark, 3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert alive(mark) == []


async def test_the_grace_lets_a_program_tidy_up(processes: Processes, tmp_path: Path) -> None:
    script = f"trap 'echo tidied > {tmp_path}/note; exit' TERM; echo up > {tmp_path}/up; while :; do sleep 0.01; done"
    task = asyncio.create_task(run(processes, "bash", "-c", script))
    async with asyncio.timeout(20):
        while not (tmp_path / "up").exists():
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (tmp_path / "note").read_text() == "tidied\n"


async def test_cancelled_again_while_ending_it_is_killed_at_once(processes: Processes, mark: str) -> None:
    task = asyncio.create_task(run(processes, "bash", "-c", f"trap '' TERM; sleep {mark} & wait; wait; sleep {mark}"))
    await until_alive(mark, 1)
    task.cancel()
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(10):
        while alive(mark):
            await asyncio.sleep(0.02)


async def test_stop_all_ends_everything_and_counts(processes: Processes, mark: str) -> None:
    tasks = [asyncio.create_task(run(processes, "sleep", mark)) for _ in range(3)]
    await until_alive(mark, 3)
    assert await processes.stop_all() == 3
    ended = await asyncio.gather(*tasks)
    assert [(one.exit_code, one.timed_out) for one in ended] == [(None, False)] * 3
    assert await processes.stop_all() == 0


async def test_a_fork_bomb_is_ended_whole(processes: Processes, mark: str) -> None:
    # seven levels, under 800 processes: should nothing end it, the machine must live through it all the same
    script = f"f() {{ sleep {mark} & if (($1)); then f $(($1 - 1)) & f $(($1 - 1)) & fi; sleep {mark}; }}; f 7"
    done = await run(processes, "bash", "-c", script, bounds=Bounds(pids=100))
    assert (done.over, done.exit_code) == ("pids", None)
    assert alive(mark) == []


async def test_memory_over_the_bound_is_ended(processes: Processes) -> None:
    hungry = "x = bytearray(200 << 20); import time; time.sleep(30)"
    done = await run(processes, sys.executable, "-c", hungry, bounds=Bounds(memory=100 << 20))
    assert (done.over, done.exit_code) == ("memory", None)
    modest = await run(processes, sys.executable, "-c", "x = 1", bounds=Bounds(memory=100 << 20, pids=10))
    assert (modest.over, modest.exit_code) == (None, 0)


async def test_rlimits_are_set_on_the_program(processes: Processes) -> None:
    done = await run(
        processes, "bash", "-c", "ulimit -n; ulimit -c", bounds=Bounds({"RLIMIT_NOFILE": 99, "RLIMIT_CORE": 0})
    )
    assert done.stdout.split() == ["99", "0"]


@pytest.mark.parametrize("program", ["no-such-program", "true"])
async def test_groups_never_outlive_their_call(processes: Processes, tmp_path: Path, program: str) -> None:
    group = tmp_path / "group"  # a folder without cgroup.procs can't be joined: the program doesn't start
    group.mkdir()
    with pytest.raises(ToolError):
        await run(processes, program, bounds=Bounds(groups=(str(group),)))
    assert not group.exists()


async def test_an_unknown_bound_starts_nothing(processes: Processes) -> None:
    with pytest.raises(ToolError, match="can't be started"):
        await run(processes, "true", bounds=Bounds({"RLIMIT_NONSENSE": 1}))


async def test_killing_its_guardian_sets_nobody_free(processes: Processes, mark: str) -> None:
    script = f"(sleep {mark} & sleep {mark}) & sleep 0.3; kill -9 $PPID; sleep {mark}"
    done = await run(processes, "bash", "-c", script)
    assert done.exit_code is None
    async with asyncio.timeout(10):
        while alive(mark):
            await asyncio.sleep(0.02)


async def test_a_supervisor_that_died_is_replaced(processes: Processes) -> None:
    before = {child.pid for child in psutil.Process().children()}
    await run(processes, "true")
    (supervisor,) = [child for child in psutil.Process().children() if child.pid not in before]
    supervisor.kill()
    async with asyncio.timeout(10):
        while supervisor.is_running() and supervisor.status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.01)
    # the guardian that waited takes one more call, a new supervisor the next
    for _ in range(3):
        assert (await run(processes, "echo", "on")).stdout == "on\n"


async def test_where_no_supervisor_starts_the_error_names_the_program(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with monkeypatch.context() as broken:
        broken.setattr(sys, "executable", "/no/such/python")
        with pytest.raises(ToolError, match="true can't be started: No such file"):
            await run(processes, "true")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert (await run(processes, "true")).exit_code == 0


async def test_nothing_survives_a_killed_owner(mark: str, tmp_path: Path, repository: Path) -> None:
    owner = tmp_path / "owner.py"
    owner.write_text(
        "import asyncio\n"
        "from pathlib import Path\n"
        "from agents.executors.process import Processes, base_environment\n"
        f"script = {_HIDING.format(mark=mark) + f'sleep {mark}'!r}\n"
        "env = base_environment(Path('/'))\n"
        "asyncio.run(Processes().run(['bash', '-c', script], cwd=Path('/'), env=env, timeout=600))\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, str(owner), env={"PYTHONPATH": str(repository)})
    try:
        await until_alive(mark, 3)
    finally:
        process.kill()
        await process.wait()
    deadline = time.monotonic() + 20
    while alive(mark) and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    assert alive(mark) == []


def test_the_base_environment_holds_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINILAB_CANARY", "leak")
    env = base_environment(Path("/somewhere"))
    assert env["HOME"] == "/somewhere"
    assert env["PATH"].split(":")[0] == str(Path(sys.executable).parent)
    assert set(env) == {"PATH", "HOME", "LANG", "TERM", "NO_COLOR"}
