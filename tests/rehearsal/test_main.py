"""The process: it announces itself, says what is wrong with its options, and goes when its parent goes."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from rehearsal.__main__ import main
from rehearsal.lifetime import parent_gone

ROOT = Path(__file__).resolve().parents[2]
PIPE = asyncio.subprocess.PIPE


class Started:
    """Processes of a test; they are gone when it ends."""

    def __init__(self) -> None:
        self._processes: list[asyncio.subprocess.Process] = []

    async def __call__(self, *argv: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(sys.executable, *argv, cwd=ROOT, stdout=PIPE, stderr=PIPE)
        self._processes.append(process)
        return process

    async def rehearsal(self, *options: str) -> asyncio.subprocess.Process:
        return await self("-m", "rehearsal", *options)

    async def end(self) -> None:
        for process in self._processes:
            if process.returncode is None:
                process.kill()
                await process.wait()


@pytest.fixture
async def started() -> AsyncIterator[Started]:
    started = Started()
    yield started
    await started.end()


async def line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 20)).decode().strip()


async def answers(url: str) -> bool:
    async with httpx.AsyncClient() as client:
        try:
            return (await client.get(f"{url}/models")).status_code == 200
        except httpx.TransportError:
            return False


async def appears(file: Path) -> None:
    async with asyncio.timeout(20):
        while not file.exists():
            await asyncio.sleep(0.05)


async def until(wanted: bool, url: str) -> None:
    async with asyncio.timeout(20):
        while await answers(url) is not wanted:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_announces_its_url_and_ends_quietly(started: Started, number: signal.Signals) -> None:
    process = await started.rehearsal("--latency", "0.01", "--fault", "500")
    assert await answers(await line(process))
    process.send_signal(number)
    _, errors = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, errors) == (0, b"")


async def test_it_listens_where_it_is_told(started: Started) -> None:
    url = await line(await started.rehearsal("--host", "127.0.0.2"))
    assert url.startswith("http://127.0.0.2:")
    assert await answers(url)
    assert not await answers(url.replace("127.0.0.2", "127.0.0.1"))  # and nowhere else
    process = await started.rehearsal("--host", "192.0.2.1")
    _, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert b"can't serve on 192.0.2.1" in err


async def test_it_announces_into_a_file(started: Started, tmp_path: Path) -> None:
    file = tmp_path / "url"
    await started.rehearsal("--announce", str(file))
    await appears(file)
    assert await answers(file.read_text().strip())
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--scenario", "nope"], 2, "rehearsal: no scenario 'nope'; there is "),
        (["--fault", "flood"], 2, "no fault 'flood'"),
        (["--port", "x"], 2, "'x' is no port: 0 to 65535"),
        (["--announce", "/nowhere/at/all"], 1, "/nowhere/at/all"),
        (["--port", "99999"], 2, "'99999' is no port: 0 to 65535"),
    ],
)
async def test_what_is_wrong_is_said_in_a_line(started: Started, options: list[str], code: int, said: str) -> None:
    process = await started.rehearsal(*options)
    _, errors = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == code
    assert said in errors.decode()
    assert "Traceback" not in errors.decode()


async def test_a_taken_port_is_named(started: Started) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = await started.rehearsal("--port", str(port))
        _, errors = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert f"can't serve on 127.0.0.1:{port}" in errors.decode()


PARENT = """
import subprocess, sys, time
quiet = subprocess.DEVNULL
child = subprocess.Popen([sys.executable, "-m", "rehearsal", *sys.argv[1:]], stdout=quiet, stderr=quiet)
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("bound", [True, False])
async def test_it_dies_with_its_parent_when_asked(started: Started, tmp_path: Path, bound: bool) -> None:
    file = tmp_path / "url"
    options = ["--announce", str(file), *(["--die-with-parent"] if bound else [])]
    parent = await started("-c", textwrap.dedent(PARENT), *options)
    child = int(await line(parent))
    try:
        await appears(file)
        url = file.read_text().strip()
        await until(True, url)
        parent.kill()
        await parent.wait()
        if bound:
            await until(False, url)
        else:
            await asyncio.sleep(0.5)
            assert await answers(url), "nobody asked it to go"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)


def test_in_this_process_it_serves_until_told_to_end(tmp_path: Path) -> None:
    file = tmp_path / "url"
    seen: list[int] = []

    def visit() -> None:
        for _ in range(400):
            if file.exists():
                seen.append(httpx.get(f"{file.read_text().strip()}/models").status_code)
                break
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    visitor = threading.Thread(target=visit)
    visitor.start()
    assert main(["--announce", str(file)]) == 0
    visitor.join()
    assert seen == [200]


def test_in_this_process_it_refuses_what_it_cannot_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--scenario", "nope"]) == 2
    assert main(["--announce", "/nowhere/at/all"]) == 1
    with pytest.raises(SystemExit, match="2"):
        main(["--fault", "flood"])
    with pytest.raises(SystemExit, match="2"):
        main(["--port", "-1"])
    assert capsys.readouterr().err.count("rehearsal: ") >= 2


async def test_a_parent_that_is_another_is_gone() -> None:
    await asyncio.wait_for(parent_gone(os.getpid()), 10)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(parent_gone(os.getppid()), 0.1)
