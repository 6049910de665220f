"""`minilab compose`: what docker-compose.yml needs made, and the engine's compose with the right variables."""

import json
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dotenv import dotenv_values, set_key

from agents.domain.errors import SessionError
from agents.room.keyring import create
from agents.settings import INFRASTRUCTURE
from client import keys

UID = "1000"  # what the image is built for, and who it runs as where root starts it
CONSOLE = "user-console"
BUILDS = "agent-architect"  # one service for all: side by side, builds of one image's name get in each other's way
DETACH = "ctrl-q"  # docker's own, Ctrl-P Ctrl-Q, would take Ctrl-P from the composer
HEALTHY_WITHIN = 120.0  # seconds
# a user that may do nothing but ping, for the health check: there is no secret in its password
PROBE = "user probe reset on >probe resetchannels resetkeys -@all +ping\n"
REHEARSED = {
    "OPENAI_API_BASE": "http://rehearsal:8090/v1",
    "REHEARSAL": "true",
    "LLM_PRICES": "",
    **{f"LLM_PRICE_{what}": "0" for what in ("INPUT", "CACHED", "OUTPUT")},
}
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Stack:
    """The checkout whose containers these are. `environment` is ours, `api_key` the model endpoint's, if any."""

    home: Path
    room: str
    environment: Mapping[str, str]
    api_key: str | None = field(repr=False)
    kubeconfig: Path | None = None

    @property
    def signing(self) -> Path:
        """Where the keys and Redis' passwords are."""
        return self.home / ".minilab" / "keys"

    @property
    def made(self) -> Path:
        """Where the other secrets are that containers are given."""
        return self.home / ".minilab" / "compose"

    @property
    def image(self) -> str:
        """The image's name."""
        return self._asked("MINILAB_IMAGE") or "minilab:latest"

    def owner(self) -> tuple[int, int]:
        """Who the containers run as: whoever asks, and never root. Raise SessionError for what is no such number."""
        mine = (UID, UID) if os.getuid() == 0 else (str(os.getuid()), str(os.getgid()))
        uid, gid = self._asked("MINILAB_UID") or mine[0], self._asked("MINILAB_GID") or mine[1]
        if not (uid.isdecimal() and gid.isdecimal() and int(uid)):
            raise SessionError(
                f"MINILAB_UID={uid}, MINILAB_GID={gid}: two numbers are needed, the first not 0 (root)"
            )
        return int(uid), int(gid)

    def _asked(self, name: str) -> str | None:
        """A variable as compose would take it: the environment's, else `.env`'s."""
        return self.environment.get(name) or dotenv_values(self.home / ".env").get(name)

    def variables(self, *, demo: bool) -> dict[str, str]:
        """What compose is started with."""
        uid, gid = self.owner()
        given = {**self.environment, "MINILAB_UID": str(uid), "MINILAB_GID": str(gid)}
        return given | (REHEARSED | {"COMPOSE_PROFILES": "demo"} if demo else {})


def prepare(stack: Stack) -> None:
    """Make what is missing: keys, Redis' users, secret files, folders. Raise SessionError naming what can't be."""
    try:
        _make(stack)
        _own(stack)
    except OSError as error:
        raise SessionError(f"{error.filename}: {error.strerror}; it must be yours to give to containers") from None


def _make(stack: Stack) -> None:
    create(stack.signing, keys.EVERYBODY)
    for folder in (stack.made, stack.home / ".minilab" / "hosts"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in _shared(stack.home):
        folder.mkdir(parents=True, exist_ok=True)
    # Redis' own user reads it; of each password it holds the hash alone, and its folder is closed to others
    _write(stack.made / "redis-users.acl", keys.acl_text(stack.signing, stack.room) + PROBE, 0o644)
    _write(stack.made / "openai-api-key", stack.api_key or "")
    _write(stack.made / "kubeconfig", stack.kubeconfig.expanduser().read_text("utf-8") if stack.kubeconfig else "")
    _write(stack.made / "infrastructure.env", "")
    for name, value in dotenv_values(stack.home / ".env").items():
        if name.startswith(INFRASTRUCTURE) and value:
            set_key(stack.made / "infrastructure.env", name, value)
    bootstrap = stack.home / "tmp" / "bootstrap_id_rsa"
    bootstrap.touch(mode=0o600, exist_ok=True)
    bootstrap.chmod(0o600)


def _shared(home: Path) -> tuple[Path, ...]:
    iac = home / "generated_iac"
    return iac / "infra", iac / "config", home / "docs", home / "tmp", home / "client" / "logs"


def _write(file: Path, text: str, mode: int = 0o600) -> None:
    """Written in place: a container that has the file mounted would keep seeing one that was replaced."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        os.fchmod(out.fileno(), mode)
        out.write(text)


def _own(stack: Stack) -> None:
    """Started by root: give the containers' user what it must read and write, as a checkout of its own would be."""
    if os.getuid() != 0:
        return
    uid, gid = stack.owner()
    closed = (stack.signing, stack.made, stack.home / ".minilab" / "hosts")
    for top in (*closed, *_shared(stack.home), stack.home / "generated_iac"):
        for path in _below(top, but=stack.home / "docs" / "manual"):
            if path.stat(follow_symlinks=False).st_uid != uid:
                os.chown(path, uid, gid, follow_symlinks=False)


def _below(top: Path, but: Path) -> Iterator[Path]:
    if top == but:
        return
    yield top
    if stat.S_ISDIR(top.stat(follow_symlinks=False).st_mode):
        for inner in top.iterdir():
            yield from _below(inner, but)


def program(which: Callable[[str], str | None] = shutil.which) -> list[str]:
    """The engine's compose. Raise SessionError with what to install."""
    if which("docker"):
        found = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)  # noqa: S607
        if found.returncode == 0:
            return ["docker", "compose"]
    if which("docker-compose"):
        return ["docker-compose"]
    raise SessionError("no docker compose here: install Docker with its compose plugin, or docker-compose ≥ 1.29")


def main(stack: Stack, arguments: Sequence[str], say: Say) -> int:
    """Do what `arguments` ask: prepare, up, attach, forward; everything else goes to compose. Exit code."""
    match list(arguments):
        case ["prepare"]:
            prepare(stack)
            say("keys, passwords and folders are there")
            return 0
        case ["up", *rest] if set(rest) <= {"--demo", "--build"}:
            return up(stack, say, demo="--demo" in rest or not stack.api_key, build="--build" in rest)
        case ["attach"]:
            say("Ctrl-Q leaves the console running; `exit` starts it anew")
            code = _call(stack, ["docker", "attach", "--detach-keys", DETACH, CONSOLE])
            # docker tells leaving a running console from its end only in words
            return 0 if _said(stack, ["docker", "ps", "-q", "--filter", f"name={CONSOLE}"], demo=True) else code
        case ["forward", port] if port.isdecimal():
            from client import forward

            return forward.main(int(port), container(stack, "agent-devops"), say)
        case []:
            raise SessionError("say what: prepare, up [--demo] [--build], attach, forward PORT, or a compose command")
    return _call(stack, [*program(), *arguments], demo=True)


def up(stack: Stack, say: Say, *, demo: bool, build: bool) -> int:
    """Build if need be, start, wait until all are healthy. Exit code: 1 if somebody isn't."""
    compose = program()
    prepare(stack)
    if demo:
        say("REHEARSAL: a scripted model plays the demo in containers; put OPENAI_API_KEY into .env for a real team")
    if (build or not _built(stack)) and (code := _call(stack, [*compose, "build", BUILDS], demo=demo)):
        return code
    started = time.monotonic()
    if code := _call(stack, [*compose, "up", "--detach", "--remove-orphans"], demo=demo):
        return code
    late = _until_healthy(stack, compose, demo=demo)
    if late:
        say(f"not healthy after {HEALTHY_WITHIN:.0f} s: {', '.join(late)}; ./minilab compose logs shows why")
        return 1
    say(f"all healthy after {time.monotonic() - started:.1f} s; join with: ./minilab compose attach")
    return 0


def container(stack: Stack, service: str) -> str:
    """The id of a service's container. Raise SessionError if it isn't up."""
    found = _said(stack, [*program(), "ps", "-q", service], demo=True).split()
    if not found:
        raise SessionError(f"{service} isn't up: ./minilab compose up starts it")
    return found[0]


def _built(stack: Stack) -> bool:
    """Whether the image is there, made for the user the containers run as: its folders are theirs."""
    if not _said(stack, ["docker", "image", "ls", "--quiet", stack.image], demo=True).strip():
        return False
    user = _said(
        stack, ["docker", "image", "inspect", "--format", "{{.Config.User}}", stack.image], demo=True
    ).strip()
    return user == ":".join(map(str, stack.owner()))


def _until_healthy(stack: Stack, compose: Sequence[str], *, demo: bool) -> list[str]:
    """Wait; return who still isn't."""
    deadline = time.monotonic() + HEALTHY_WITHIN
    while late := _unhealthy(_said(stack, _inspecting(stack, compose, demo), demo=demo)):
        if time.monotonic() > deadline:
            return late
        time.sleep(0.3)
    return []


def _inspecting(stack: Stack, compose: Sequence[str], demo: bool) -> list[str]:
    return ["docker", "inspect", *_said(stack, [*compose, "ps", "-q"], demo=demo).split()]


def _unhealthy(inspected: str) -> list[str]:
    """Of `docker inspect`'s answer: the containers that don't run or aren't healthy yet."""
    late = []
    for one in json.loads(inspected):
        state = one["State"]
        health = state.get("Health", {"Status": "healthy"})["Status"]
        if not state["Running"] or health != "healthy":
            late.append(one["Name"].lstrip("/"))
    return late


def _call(stack: Stack, argv: Sequence[str], *, demo: bool = False) -> int:
    """Run it on our terminal. Exit code."""
    try:
        return subprocess.run(argv, cwd=stack.home, env=stack.variables(demo=demo), check=False).returncode
    except FileNotFoundError:
        raise SessionError(f"{argv[0]} isn't installed: install Docker, or Podman with its docker command") from None


def _said(stack: Stack, argv: Sequence[str], *, demo: bool) -> str:
    """What it prints. Raise SessionError with what it complains of."""
    done = subprocess.run(
        argv, cwd=stack.home, env=stack.variables(demo=demo), check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise SessionError(f"{' '.join(argv[:3])}: {done.stderr.strip()[-400:] or f'exit code {done.returncode}'}")
    return done.stdout


def tell(text: str) -> None:
    """To standard error: standard output is compose's."""
    print(f"minilab: {text}", file=sys.stderr, flush=True)
