"""Whatever happens to the session, its programs and all they started end."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from client.child import Child
from tests.client.conftest import REPOSITORY

# leaves a daemonised grandchild, tells both pids, then does as told
PARENT = r"""
import os, sys, time, signal
def tell(word, pid=""):
    os.write(1, f"{word} {pid}\n".encode())
told, tells = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        tell("grandchild", os.getpid())
        os.write(tells, b".")
        time.sleep(300)
    os._exit(0)
os.wait()
os.read(told, 1)
tell("child", os.getpid())
how = sys.argv[1]
if how == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if how.isdigit():
    sys.exit(int(how))
if how == "abort":
    os.kill(os.getpid(), signal.SIGKILL)
tell("ready")
time.sleep(300)
"""

SESSION = """
import asyncio, os, sys
from pathlib import Path
from client.child import Child
async def main():
    child = Child([sys.executable, "-c", sys.argv[1], "wait"], Path.cwd(), os.environ, Path(sys.argv[2]))
    await child.start()
    await asyncio.sleep(300)
asyncio.run(main())
"""


def _child(directory: Path, how: str) -> Child:
    return Child([sys.executable, "-c", PARENT, how], REPOSITORY, os.environ, directory / "log")


async def _told(log: Path, word: str) -> str:
    """The rest of the line that starts with `word`."""
    async with asyncio.timeout(20):
        while True:
            text = log.read_text() if log.is_file() else ""
            for line in text.splitlines():
                if line.split()[0] == word and text.endswith("\n"):
                    return line.removeprefix(word).strip()
            await asyncio.sleep(0.02)


async def _gone(*pids: int) -> None:
    async with asyncio.timeout(20):
        while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(("how", "code"), [("0", 0), ("7", 7), ("abort", 128 + 9)])
async def test_the_programs_exit_code_is_ours_and_its_orphans_end(tmp_path: Path, how: str, code: int) -> None:
    child = _child(tmp_path, how)
    await child.start()
    async with asyncio.timeout(20):
        assert await child.wait() == code
    assert child.exit_code == code
    await _gone(int(await _told(child.log, "grandchild")))


@pytest.mark.parametrize("how", ["wait", "deaf"])
async def test_stop_ends_everything(tmp_path: Path, how: str) -> None:
    child = _child(tmp_path, how)
    await child.start()
    await _told(child.log, "ready")
    pids = [int(await _told(child.log, word)) for word in ("child", "grandchild")]
    assert all(psutil.pid_exists(pid) for pid in pids)
    await child.stop()
    assert child.exit_code is not None
    await _gone(*pids)


async def test_kill_9_of_the_session_ends_everything(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with subprocess.Popen([sys.executable, "-c", SESSION, PARENT, str(log)], cwd=REPOSITORY) as session:
        await _told(log, "ready")
        pids = [int(await _told(log, word)) for word in ("child", "grandchild")]
        warden = psutil.Process(session.pid).children()[0].pid
        session.send_signal(signal.SIGKILL)
    await _gone(*pids, warden)


async def test_kill_9_of_the_warden_ends_the_program(tmp_path: Path) -> None:
    child = _child(tmp_path, "wait")
    await child.start()
    await _told(child.log, "ready")
    pids = [int(await _told(child.log, word)) for word in ("child", "grandchild")]
    psutil.Process(pids[0]).parent().kill()  # type: ignore[union-attr]
    await _gone(pids[0])
    psutil.Process(pids[1]).kill()  # nobody is left who knows it: this test's own to end
    assert await child.wait() == -9


async def test_ctrl_c_of_the_terminal_is_not_the_programs(tmp_path: Path) -> None:
    child = _child(tmp_path, "wait")
    await child.start()
    await _told(child.log, "ready")
    pid = int(await _told(child.log, "child"))
    assert os.getpgid(pid) != os.getpgid(0)
    await child.stop()


async def test_a_program_that_cannot_start_says_so(tmp_path: Path) -> None:
    child = Child(["/nowhere/program"], REPOSITORY, os.environ, tmp_path / "log")
    await child.start()
    assert await child.wait() == 127
    assert "/nowhere/program: No such file or directory" in child.tail()


async def test_a_child_that_was_not_started(tmp_path: Path) -> None:
    child = _child(tmp_path, "0")
    await child.stop()
    assert (child.exit_code, child.tail()) == (None, "")
    with pytest.raises(RuntimeError):
        await child.wait()


async def test_logs_are_kept_short(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x" * (6 << 20))
    child = _child(tmp_path, "0")
    await child.start()
    await child.wait()
    assert log.stat().st_size < 1000
    assert (tmp_path / "log.1.log").stat().st_size == 6 << 20
