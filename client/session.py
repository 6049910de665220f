"""One session: Redis, the rehearsal where no model is set up, and the agents — started here, or joined."""

import asyncio
import contextlib
import fcntl
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from agents.domain.errors import SessionError
from agents.domain.message import USER
from agents.domain.mission import Presence
from agents.domain.ports import OpenRoom
from agents.domain.role import ROLES
from agents.room import open_room
from agents.room.keyring import Keyring, create
from client.child import Child

REHEARSAL_KEY = "no-key-in-a-rehearsal"  # masked everywhere like any key: a plain word would be missed in the story
AGENTS = (sys.executable, "-m", "agents", "all")
_BEATING_WITHIN = 7.0  # seconds; heartbeats come every three
_POLL = 0.1
_LOOPBACK = "127.0.0.1,localhost"


@dataclass(frozen=True, slots=True)
class Place:
    """Where and with what a session is made; times in seconds.

    `keys` holds the signing keys; `environment` is what the children inherit; `team` is the agents' command line.
    """

    home: Path
    state_dir: Path
    keys: Path
    room: str
    redis_url: str | None
    rehearsing: bool
    environment: Mapping[str, str]
    team: Sequence[str] = AGENTS
    scenario: str = "status-page"
    patience: float = 5.0
    ready_within: float = 60.0
    restarts: int = 3


@dataclass
class Session:
    """A room with a team in it. `ours` says whether the team ends with us."""

    opened: OpenRoom
    url: str
    ours: bool
    rehearsing: bool
    over: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    async def missing(self) -> tuple[str, ...]:
        """The roles nobody plays right now."""
        present = {presence.role for presence in await self.opened.presence.present()}
        return tuple(role for role in ROLES if role not in present)


Tell = Callable[[str], None]


@contextlib.asynccontextmanager
async def team(place: Place, tell: Tell) -> AsyncIterator[Session]:
    """A session with a team: the one that is up already, else one of our own, which ends with the block.

    Raise SessionError or RoomUnavailable with what was tried.
    """
    _private(place.state_dir)
    with (place.state_dir / "session.lock").open("a+", encoding="utf-8") as lock:
        if not _locked(lock):
            async with _joined(await _address(lock, place), place) as session:
                tell(f"joining the team that is up in room {place.room}")
                yield session
            return
        lock.truncate(0)
        try:
            async with _started(place, lock, tell) as session:
                yield session
        finally:
            lock.truncate(0)


@contextlib.asynccontextmanager
async def visit(place: Place) -> AsyncIterator[Session]:
    """A session that only joins: the team started on this machine, or whoever is on REDIS_URL."""
    url = place.redis_url
    if url is None:
        _private(place.state_dir)
        with (place.state_dir / "session.lock").open("a+", encoding="utf-8") as lock:
            if _locked(lock):
                raise SessionError(
                    'no team is up here: start one with ./minilab up "…", or set REDIS_URL to join one'
                )
            url = await _address(lock, place)
    async with _joined(url, place) as session:
        yield session


@contextlib.asynccontextmanager
async def _joined(url: str, place: Place) -> AsyncIterator[Session]:
    await (await open_room(url, place.room, patience=place.patience)).aclose()  # no Redis is the first thing to say
    keyring = Keyring.load(place.keys, [USER])
    opened = await open_room(url, place.room, patience=place.patience, keyring=keyring)
    try:
        yield Session(opened, url, ours=False, rehearsing=place.rehearsing)
    finally:
        await opened.aclose()


@contextlib.asynccontextmanager
async def _started(place: Place, lock: IO[str], tell: Tell) -> AsyncIterator[Session]:
    """Redis, room, rehearsal, agents: each ended in the opposite order."""
    from agents.room import embedded

    async with contextlib.AsyncExitStack() as ends:
        server = await embedded.start(place.state_dir, place.redis_url)
        ends.push_async_callback(server.stop)
        if server.warning:
            tell(server.warning)
        if server.kind == "external" and await _beating(server.url, place):
            tell(f"joining the team that is up in room {place.room}")
            async with _joined(server.url, place) as session:
                yield session
            return
        create(place.keys, (*ROLES, USER))
        keyring = Keyring.load(place.keys, [USER])
        opened = await open_room(server.url, place.room, patience=place.patience, keyring=keyring)
        ends.push_async_callback(opened.aclose)
        json.dump({"url": server.url, "room": place.room, "pid": os.getpid()}, lock)
        lock.flush()
        environment = _environment(place, server.url)
        if place.rehearsing:
            environment |= await _rehearsal(place, environment, ends)
        session = Session(opened, server.url, ours=True, rehearsing=place.rehearsing)
        agents = Child(place.team, place.home, environment, place.state_dir / "agents.log")
        await agents.start()
        ends.push_async_callback(agents.stop)
        await _until_ready(session, agents, place, tell)
        watch = asyncio.create_task(_watch(session, agents, place, tell))
        ends.push_async_callback(_cancelled, watch)
        yield session


async def _rehearsal(place: Place, environment: Mapping[str, str], ends: contextlib.AsyncExitStack) -> dict[str, str]:
    """Start the rehearsal; return the settings that make the agents use it."""
    announced = place.state_dir / f"rehearsal-{os.getpid()}.url"
    announced.unlink(missing_ok=True)
    ends.callback(announced.unlink, missing_ok=True)
    argv = f"-m rehearsal --scenario {place.scenario} --port 0 --die-with-parent --announce".split()
    argv = [sys.executable, *argv, str(announced)]
    child = Child(argv, place.home, environment, place.state_dir / "rehearsal.log")
    await child.start()
    ends.push_async_callback(child.stop)
    async with _deadline(place, "the rehearsal", child):
        while not announced.is_file():
            _alive(child, "the rehearsal")
            await asyncio.sleep(_POLL / 5)
    free = {f"LLM_PRICE_{what}": "0" for what in ("INPUT", "CACHED", "OUTPUT")}
    base = announced.read_text(encoding="utf-8").strip()
    return {"OPENAI_API_BASE": base, "OPENAI_API_KEY": REHEARSAL_KEY, "LLM_PRICES": "", **free}


async def _until_ready(session: Session, agents: Child, place: Place, tell: Tell) -> None:
    """Wait for every role. Raise SessionError if the process ends or nobody comes; name who is missing."""
    waited = 0.0
    while missing := await session.missing():
        _alive(agents, "the team")
        if waited > place.ready_within:
            if len(missing) == len(ROLES):
                raise SessionError(f"no agent came within {place.ready_within:.0f} s{_last_words(agents)}")
            tell(f"not here after {place.ready_within:.0f} s: {', '.join(missing)}; going on{_last_words(agents)}")
            return
        await asyncio.sleep(_POLL)
        waited += _POLL


async def _watch(session: Session, agents: Child, place: Place, tell: Tell) -> None:
    """Start the agents again where they died; their journals say where they were. Give up after `restarts`."""
    for left in range(place.restarts, -1, -1):
        code = await agents.wait()
        what = f"the agents' process ended with exit code {code}{_last_words(agents)}"
        if not left:
            break
        tell(f"{what}\nstarting it again")
        await agents.start()
    tell(f"{what}\nit died {place.restarts + 1} times and isn't started again")
    session.over.set_result(what)


async def _beating(url: str, place: Place) -> bool:
    """Whether a live team is there: a heartbeat newer than the ones found, not what a dead team left behind."""
    async with contextlib.aclosing(await open_room(url, place.room, patience=place.patience)) as opened:
        seen = _ages(await opened.presence.present())
        if not seen:
            return False
        first = time.monotonic()
        while (elapsed := time.monotonic() - first) < _BEATING_WITHIN:
            await asyncio.sleep(_POLL)
            now = _ages(await opened.presence.present())
            # a new beat, not the one found: that one would be older by now
            if any(age + _POLL < seen[one] + elapsed for one, age in now.items() if one in seen):
                return True
        return False


def _ages(present: Sequence[Presence]) -> dict[str, float]:
    return {presence.consumer: presence.age for presence in present}


def _environment(place: Place, url: str) -> dict[str, str]:
    """What the children inherit: the caller's, without foreign tracing, with ours."""
    kept = {
        name: value for name, value in place.environment.items() if not name.startswith(("LANGSMITH_", "LANGCHAIN_"))
    }
    proxies = ",".join(filter(None, (kept.get("NO_PROXY") or kept.get("no_proxy"), _LOOPBACK)))
    return kept | {"REDIS_URL": url, "ROOM": place.room, "NO_PROXY": proxies, "no_proxy": proxies}


def _locked(lock: IO[str]) -> bool:
    """Take the lock if nobody has it; it is ours until the file is closed, however we end."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _address(lock: IO[str], place: Place) -> str:
    """Where the session that holds the lock is, once it says so."""
    for _ in range(int(place.ready_within / _POLL)):
        lock.seek(0)
        with contextlib.suppress(ValueError):
            held = json.load(lock)
            if held["room"] != place.room:
                raise SessionError(
                    f"process {held['pid']} keeps room {held['room']} up here; end it, or or set ROOM={held['room']}"
                )
            return str(held["url"])
        await asyncio.sleep(_POLL)
    raise SessionError(f"another start holds {lock.name} and doesn't get ready; end it and start again")


@contextlib.asynccontextmanager
async def _deadline(place: Place, what: str, child: Child) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(place.ready_within):
            yield
    except TimeoutError:
        raise SessionError(f"{what} didn't start within {place.ready_within:.0f} s{_last_words(child)}") from None


def _alive(child: Child, what: str) -> None:
    if child.exit_code is not None:
        raise SessionError(f"{what} ended at once, exit code {child.exit_code}{_last_words(child)}")


def _last_words(child: Child) -> str:
    tail = child.tail()
    return f"; the end of {child.log}:\n{tail}" if tail else f"; nothing in {child.log}"


def _private(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SessionError(
            f"can't write {directory}: {error.strerror}; set MINILAB_HOME to a place of yours"
        ) from None


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
