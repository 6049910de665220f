"""Landlock itself: a ruleset put on a process, as whoever runs the tests and as an unprivileged user."""

import ctypes
import errno
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.executors import container, landlock, landlock_rules
from agents.executors.bubblewrap import Bind
from agents.executors.landlock_rules import Reach, Ruleset
from agents.executors.process import Processes
from agents.executors.spawning import Bounds
from tests.conftest import REPOSITORY

HERE = container.offer()
needs_landlock = pytest.mark.skipif(HERE.abi == 0, reason="Landlock isn't offered here")


def _open_to_others(program: str | None) -> bool:
    path = Path(program or "/nowhere").resolve()
    return path.exists() and all(above.stat().st_mode & 0o001 for above in (path, *path.parents))


_PYTHONS = (sys.executable, shutil.which("python3", path="/usr/local/bin:/usr/bin"))
PYTHON = next(filter(_open_to_others, _PYTHONS), None)
USERS = [None, 12345] if os.getuid() == 0 else [None]

# Says ok or the error's name for each of what it tries: `read <path>`, `write <path>`, `link <from> <to>` …
TRY = """
import errno, os, socket, sys
def attempt(act, *words):
    if act == "read": open(words[0], "rb").read(1)
    elif act == "write": open(words[0], "w").close()
    elif act == "truncate": os.truncate(words[0], 0)
    elif act == "list": os.listdir(words[0])
    elif act == "link": os.link(words[0], f"{words[1]}.{os.getpid()}")
    elif act == "move": os.rename(*words); os.rename(*reversed(words))
    elif act == "readlink": os.readlink(words[0])
    elif act == "kill": os.kill(int(words[0]), 0)
    elif act == "tcp": socket.create_connection(("127.0.0.1", int(words[0])), 5).close()
    elif act == "abstract": socket.socket(socket.AF_UNIX).connect("\\0" + words[0])
for line in sys.stdin.read().splitlines():
    try: attempt(*line.split())
    except OSError as error: print(errno.errorcode[error.errno])
    else: print("ok")
"""
# becomes the user, keeps its environment from nobody, tries without a ruleset and then under it
RUN = f"""
import ctypes, json, os, subprocess, sys
sys.path.append({str(REPOSITORY)!r})
from agents.executors import landlock
user, ruleset, program = json.loads(sys.argv[1])
if user is not None:
    os.setgroups([]); os.setgid(user); os.setuid(user)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
lines = sys.stdin.read().replace("AGENT", str(os.getpid()))
for restricted in (False, True):
    child = os.fork()
    if child == 0:
        if restricted: landlock.restrict(ruleset)
        sys.exit(subprocess.run([sys.executable, "-I", "-S", "-c", program], input=lines, text=True).returncode)
    os.waitpid(child, 0)
    print("--", flush=True)
"""


class Lab:
    """A workspace root, a folder of the call, a secret beside them; all owned by the user that tries."""

    def __init__(self, folder: Path, user: int | None) -> None:
        self.user = user
        self.root, self.private, self.secret = folder / "infra", folder / "call", folder / "secret"
        for made in (self.root / "site", self.private / "home", self.private / "tmp"):
            made.mkdir(parents=True)
        self.secret.write_text("hunter2")
        (self.root / "site" / "main.tf").write_text("main")
        if user is not None:
            for place in (folder, *folder.rglob("*")):
                os.chown(place, user, user)

    def reach(self, *masks: str, writable: bool = True, network: bool = False) -> Reach:
        binds = [Bind(self.root, "/app/infra", writable)]
        binds += [Bind(Path("/dev/null"), f"/app/infra/{name}") for name in masks]
        return Reach(binds, self.private, network)

    def tried(self, reach: Reach, *lines: str, abi: int = HERE.abi) -> list[tuple[str, str]]:
        """What each line gives without the ruleset, which is the control, and under it."""
        given = json.dumps([self.user, landlock_rules.ruleset(abi, reach).request(), TRY])
        done = subprocess.run(
            [sys.executable if self.user is None else str(PYTHON), "-I", "-S", "-c", RUN, given],
            input="\n".join(lines),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        free, bound, _ = (part.split() for part in done.stdout.split("--\n"))
        assert len(free) == len(bound) == len(lines), done.stdout + done.stderr
        return list(zip(free, bound, strict=True))


@pytest.fixture(params=USERS, ids=lambda user: "self" if user is None else "unprivileged")
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    if request.param is not None and PYTHON is None:
        pytest.skip("no Python lies where other users can reach it")
    # pytest's own folders are closed to others
    with tempfile.TemporaryDirectory() as folder:
        yield Lab(Path(folder), request.param)


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.real
@needs_landlock
class TestRuleset:
    def test_the_agent_and_its_secrets(self, lab: Lab) -> None:
        lines = [f"read {lab.secret}", f"write {lab.secret.with_name('new')}", f"list {lab.secret.parent}"]
        lines += [f"truncate {lab.secret}", "read /proc/AGENT/environ", "read /proc/AGENT/maps"]
        lines += ["readlink /proc/AGENT/cwd", "list /proc/AGENT/cwd", "readlink /proc/AGENT/fd/0"]
        assert lab.tried(lab.reach(), *lines) == [("ok", "EACCES")] * len(lines)

    @pytest.mark.parametrize("act", ["link", "move"])
    def test_a_secret_does_not_get_into_reach(self, lab: Lab, act: str) -> None:
        ((free, bound),) = lab.tried(lab.reach(), f"{act} {lab.secret} {lab.root}/here")
        assert free == "ok"
        assert bound in ("EXDEV", "EACCES")

    def test_the_workspace_and_what_is_the_calls_own(self, lab: Lab) -> None:
        site = lab.root / "site"
        lines = [f"read {site}/main.tf", f"write {site}/new", f"move {site}/new {lab.root}/moved", f"list {site}"]
        lines += [f"write {lab.private}/tmp/x", f"write {lab.private}/home/x", "write /dev/null", "read /dev/urandom"]
        lines += ["read /usr/bin/env", "read /etc/passwd", "read /proc/self/environ", "read /proc/meminfo"]
        assert lab.tried(lab.reach(), *lines) == [("ok", "ok")] * len(lines)

    def test_read_only(self, lab: Lab) -> None:
        site = lab.root / "site"
        lines = [f"read {site}/main.tf", f"write {site}/main.tf", f"write {site}/new", f"truncate {site}/main.tf"]
        tried = lab.tried(lab.reach(writable=False), *lines)
        assert tried == [("ok", "ok")] + [("ok", "EACCES")] * 3

    def test_a_state_and_its_surroundings(self, lab: Lab) -> None:
        state, other = lab.root / "site" / "terraform.tfstate", lab.root / "other"
        other.mkdir()
        for file in (state, other / "main.tf"):
            file.write_text("hunter2")
        if lab.user is not None:
            for place in (state, other, other / "main.tf"):
                os.chown(place, lab.user, lab.user)
        reach = lab.reach("site/terraform.tfstate")
        closed = [f"read {state}", f"truncate {state}", f"link {state} {other}/copy"]
        assert [(free, bound in ("EACCES", "EXDEV")) for free, bound in lab.tried(reach, *closed)] == [
            ("ok", True)
        ] * 3
        still = [f"read {lab.root}/site/main.tf", f"write {lab.root}/site/main.tf", f"write {other}/new"]
        still += [f"list {lab.root}", f"list {lab.root}/site"]
        assert lab.tried(reach, *still) == [("ok", "ok")] * len(still)
        # what folders of a state pay for it
        assert lab.tried(reach, f"write {lab.root}/site/new", f"write {lab.root}/new") == [("ok", "EACCES")] * 2

    def test_a_planted_link_opens_nothing(self, lab: Lab) -> None:
        (lab.root / "state").write_text("")
        (lab.root / "link").symlink_to(lab.secret)
        (lab.root / "folder").symlink_to(lab.secret.parent)
        reach = lab.reach("state")
        lines = [f"read {lab.root}/link", f"read {lab.root}/folder/secret", f"read {lab.secret}"]
        assert lab.tried(reach, *lines) == [("ok", "EACCES")] * 3

    def test_tcp(self, lab: Lab, listener: int) -> None:
        assert lab.tried(lab.reach(network=True), f"tcp {listener}") == [("ok", "ok")]
        if HERE.abi >= 4:
            assert lab.tried(lab.reach(), f"tcp {listener}") == [("ok", "EACCES")]

    @pytest.mark.skipif(HERE.abi < 6, reason="this Landlock has no scopes")
    def test_signals_and_abstract_sockets(self, lab: Lab) -> None:
        name = f"minilab-test-{os.getpid()}"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(f"\0{name}")
            server.listen()
            lines = ("kill AGENT", f"abstract {name}", "kill 0")
            assert lab.tried(lab.reach(), *lines) == [("ok", "EPERM"), ("ok", "EPERM"), ("ok", "ok")]

    @pytest.mark.parametrize("abi", range(1, HERE.abi + 1))
    def test_an_older_interface_still_keeps_files_apart(self, lab: Lab, abi: int, listener: int) -> None:
        lines = [f"read {lab.secret}", f"write {lab.secret.with_name('new')}", "read /proc/AGENT/environ"]
        lines += [f"write {lab.root}/new", f"tcp {listener}", "kill AGENT", f"truncate {lab.secret}"]
        bound = [under for _, under in lab.tried(lab.reach(), *lines, abi=abi)]
        assert bound[:4] == ["EACCES", "EACCES", "EACCES", "ok"]
        assert bound[4:] == [
            "EACCES" if abi >= 4 else "ok",
            "EPERM" if abi >= 6 else "ok",
            "EACCES" if abi >= 3 else "ok",
        ]


@needs_landlock
async def test_a_ruleset_that_cannot_be_put_on_means_no_start(tmp_path: Path) -> None:
    good = landlock_rules.ruleset(HERE.abi, Reach([Bind(tmp_path, "/app/infra", True)], tmp_path))
    env = {"PATH": "/usr/bin:/bin"}
    done = await Processes().run(["touch", "made"], cwd=tmp_path, env=env, timeout=20, bounds=Bounds(landlock=good))
    assert (done.exit_code, (tmp_path / "made").exists()) == (0, True)
    unknown = Ruleset(1 << 60, 0, 0, ())
    with pytest.raises(Exception, match="touch can't be started: Landlock: Invalid argument"):
        await Processes().run(["touch", "not"], cwd=tmp_path, env=env, timeout=20, bounds=Bounds(landlock=unknown))
    assert not (tmp_path / "not").exists()


@needs_landlock
async def test_other_programs_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("seen")
    done = await Processes().run(["cat", "own"], cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, timeout=20)
    assert done.stdout == "seen"


@needs_landlock
async def test_no_capability_is_left(tmp_path: Path) -> None:
    rules = landlock_rules.ruleset(HERE.abi, Reach([], tmp_path))
    script = "grep -E '^(CapPrm|CapEff|NoNewPrivs)' /proc/self/status"
    done = await Processes().run(
        ["sh", "-c", script], cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, timeout=20, bounds=Bounds(landlock=rules)
    )
    fields = dict(line.split(":\t") for line in done.stdout.splitlines())
    assert fields == {"CapPrm": "0" * 16, "CapEff": "0" * 16, "NoNewPrivs": "1"}


@pytest.mark.parametrize("path", ["missing", "file/below"])
@needs_landlock
def test_a_rule_for_what_is_not_there_is_skipped(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("")
    rules = landlock_rules.ruleset(1, Reach([Bind(tmp_path / path, "/app/infra", True)], tmp_path))
    script = f"import sys; sys.path.append({str(REPOSITORY)!r}); from agents.executors import landlock\n"
    script += f"landlock.restrict({rules.request()!r}); print(open('/etc/passwd').read(4))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "root\n", done.stderr


class Kernel:
    """A kernel that says it has version `claims` of the interface and knows `knows`."""

    def __init__(self, claims: int, knows: int, error: int = 0) -> None:
        self.claims, self.knows, self.error = claims, knows, error

    def syscall(self, number: ctypes.c_long, attributes: bytes | None, *_: object) -> int:
        if self.error:
            ctypes.set_errno(self.error)
            return -1
        if attributes is None:
            return self.claims
        fs, net, scoped = (int.from_bytes(attributes[at : at + 8], sys.byteorder) for at in (0, 8, 16))
        tables = (landlock.FS_SINCE, landlock.NET_SINCE, landlock.SCOPE_SINCE)
        if any(asked & ~landlock.known(table, self.knows) for asked, table in zip((fs, net, scoped), tables)):  # noqa: B905
            ctypes.set_errno(errno.EINVAL)
            return -1
        return os.open(os.devnull, os.O_RDONLY)


@pytest.mark.parametrize(("claims", "knows", "usable"), [(1, 1, 1), (7, 7, 7), (9, 9, 9), (6, 5, 5), (6, 3, 3)])
def test_a_version_counts_as_far_as_it_works(
    monkeypatch: pytest.MonkeyPatch, claims: int, knows: int, usable: int
) -> None:
    monkeypatch.setattr(landlock, "_LIBC", Kernel(claims, knows))
    assert landlock.usable_abi() == usable


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errno.ENOSYS, "no Landlock"),
        (errno.EPERM, "a seccomp profile refuses"),
        (errno.EOPNOTSUPP, "switched off"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_why_there_is_none(monkeypatch: pytest.MonkeyPatch, error: int, said: str) -> None:
    monkeypatch.setattr(landlock, "_LIBC", Kernel(0, 0, error))
    offer = container.offer()
    assert (offer.abi, said in offer.why) == (0, True)


def test_it_is_linuxs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert container.offer() == container.Offer(0, "Landlock is Linux's")
