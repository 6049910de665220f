"""Every write keeps a version: a git repository of its own beside the files, one commit per write.

Content goes to git from memory (`fast-import`), never by a path git would open itself: no symbolic link, filter,
hook or attribute of the tree has a say. Callers hold the workspace's lock, so commits come one after another.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from agents.domain.errors import InvalidArguments, ToolError
from agents.executors.places import printable
from agents.executors.process import Finished, Processes, base_environment
from agents.executors.workspace import Written

GIT_SECONDS = 20.0
HISTORY = 20
ABBREVIATED = 10
OUTSIDE = "Outside"  # the author of what was found and not written by a tool
_VERSION = re.compile(r"[0-9a-f]{4,40}\Z")
_FIELD = "\x1f"
_SAFE = (
    ("safe.directory", "*"),
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.attributesFile", "/dev/null"),
    ("core.quotePath", "false"),
    ("log.showSignature", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("protocol.allow", "never"),
    ("fastimport.unpackLimit", "10000"),
)
_EXCLUDED = ".terraform/\n*.tfstate*\n*.tfplan\n.minilab-writing-*\n"


@dataclass(frozen=True, slots=True)
class Version:
    """A kept version: abbreviated commit id, time (ISO 8601), author, what was done."""

    id: str
    time: str
    author: str
    title: str


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a version came to be: who wrote, with which tool, in which turn, step and call."""

    role: str
    tool: str
    turn: str
    step: int
    call: str

    def message(self, name: str) -> str:
        """The commit message. The call's id is the model's own text: only its harmless characters are kept."""
        call = re.sub(r"[^\w.:-]", "", self.call, flags=re.ASCII)[:80]
        turn = re.sub(r"[^\w-]", "", self.turn, flags=re.ASCII)[:80]
        return f"{self.tool} {name}\n\nTurn: {turn}\nStep: {self.step}\nCall: {call}\n"


class Versions:
    """The versions of the files below `roots`, in the git repository at `repository`.

    `home` is git's home directory: ours, without any configuration. Methods raise MissingBinary where git is not
    installed, and ToolError with what git said.
    """

    def __init__(self, processes: Processes, repository: Path, home: Path, roots: Sequence[str]) -> None:
        self._processes = processes
        self._repository = repository.resolve()
        self._home = home
        self._roots = tuple(roots)
        self._begun = False

    def covers(self, name: str) -> bool:
        """Whether the file called `name` has versions."""
        return name.split("/", 1)[0] in self._roots

    async def keep(self, written: Written, cause: Cause) -> str:
        """Commit one write; return the version's id, "" where nothing changed.

        What was there before and isn't the last version (somebody edited it otherwise) is kept first, as found.
        """
        await self._prepare()
        name = str(written.place)
        last = await self._blob_of(name)
        commits = []
        if written.before is not None and blob_id(written.before) != last:
            commits.append(_commit(OUTSIDE, f"{name} as found before the next write\n", name, written.before))
            last = blob_id(written.before)
        if (blob_id(written.after) if written.after is not None else "") != last:
            commits.append(_commit(cause.role, cause.message(name), name, written.after))
        if not commits:
            return ""
        version = await self._append(commits, b"from HEAD^0\n")
        await self._show_in_index(name, written.after)
        return version

    async def history(self, name: str, limit: int = HISTORY) -> list[Version]:
        """The last versions of a file, newest first; also of one that is deleted now."""
        if not self._exists():
            return []
        form = f"--format=%h{_FIELD}%aI{_FIELD}%an{_FIELD}%s"
        finished = await self._git("log", f"--abbrev={ABBREVIATED}", f"-{limit}", form, "HEAD", "--", name)
        return [Version(*line.split(_FIELD, 3)) for line in finished.stdout.splitlines()]

    async def content(self, name: str, version: str) -> bytes | None:
        """The file as it was in `version`; None: it did not exist then. Raise InvalidArguments for no version."""
        if not _VERSION.match(version):
            raise InvalidArguments(f"{printable(version[:40])!r} is no version; take an id from file_history")
        if not self._exists() or not await self._known(version):
            raise InvalidArguments(f"there is no version {version}; take an id from file_history")
        blob = await self._blob_of(name, version)
        return await self._unpacked(blob) if blob else None

    def _exists(self) -> bool:
        return (self._repository / ".git" / "HEAD").is_file()

    async def _prepare(self) -> None:
        """Make the repository, with an empty first commit, where there is none."""
        if self._begun and self._exists():
            return
        if not self._exists():
            await self._git("init", "--quiet", "--initial-branch=main", "--template=", str(self._repository))
            info = self._repository / ".git" / "info"
            info.mkdir(exist_ok=True)
            (info / "exclude").write_text(_EXCLUDED)
        if not await self._known("HEAD"):
            await self._append([_commit(OUTSIDE, "Begin\n", "", None)], b"")
        self._begun = True

    async def _append(self, commits: Sequence[tuple[bytes, bytes]], parent: bytes) -> str:
        """Add commits to the branch that is checked out, and return the last one's id.

        `parent` is the line that names the first one's parent.
        """
        stream = b""
        for index, (head, change) in enumerate(commits):
            stream += head + (b"" if index else parent) + change
        stream += b"get-mark :1\n"
        finished = await self._git("fast-import", "--quiet", "--date-format=now", stdin=stream)
        return finished.stdout.strip()[:ABBREVIATED]

    async def _known(self, version: str) -> bool:
        finished = await self._git("cat-file", "-e", f"{version}^{{commit}}", allowed=(0, 1, 128))
        return finished.exit_code == 0

    async def _blob_of(self, name: str, version: str = "HEAD") -> str:
        """The id of the file's content in `version`, "" where it isn't there."""
        finished = await self._git("rev-parse", "--verify", "--quiet", f"{version}:{name}", allowed=(0, 1, 128))
        return finished.stdout.strip() if finished.exit_code == 0 else ""

    async def _unpacked(self, blob: str) -> bytes:
        """A blob's bytes, by way of a file: a process's output is text here."""
        with TemporaryDirectory(prefix="minilab-version-") as directory:
            finished = await self._git("unpack-file", blob, worktree=Path(directory))
            return (Path(directory) / finished.stdout.strip()).read_bytes()

    async def _show_in_index(self, name: str, content: bytes | None) -> None:
        """Let `git status` see what was committed. A person's git may hold the index: then it just looks stale."""
        mode, blob = ("100644", blob_id(content)) if content is not None else ("0", "0" * 40)
        line = f"{mode} {blob}\t{name}\0".encode()
        await self._git("update-index", "-z", "--index-info", stdin=line, allowed=(0, 128))

    async def _git(
        self, *args: str, stdin: bytes = b"", allowed: Sequence[int] = (0,), worktree: Path | None = None
    ) -> Finished:
        """Run git on our repository alone: GIT_DIR is given, so it never finds another one further up."""
        worktree = worktree or self._repository
        settings = [part for key, value in _SAFE for part in ("-c", f"{key}={value}")]
        env = base_environment(self._home) | {
            "GIT_DIR": str(self._repository / ".git"),
            "GIT_WORK_TREE": str(worktree),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0",
        }
        argv = ["git", "--no-pager", "--literal-pathspecs", *settings, *args]
        finished = await self._processes.run(argv, cwd=worktree, env=env, timeout=GIT_SECONDS, stdin=stdin)
        if finished.exit_code not in allowed:
            said = printable(" ".join(finished.stderr.split()))[-300:] or f"exit code {finished.exit_code}"
            raise ToolError(f"git {args[0]}: {'out of time' if finished.timed_out else said}")
        return finished


def blob_id(content: bytes) -> str:
    """The name git gives `content`."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _commit(author: str, message: str, name: str, content: bytes | None) -> tuple[bytes, bytes]:
    """One commit of a fast-import stream: what precedes the parent's line, and what follows it."""
    author = re.sub(r"[^\w-]", "", author, flags=re.ASCII) or OUTSIDE
    person = f"{author} <{author.lower()}@minilab.local> now"
    head = f"commit HEAD\nmark :1\nauthor {person}\ncommitter {person}\n".encode() + _data(message.encode())
    if not name:
        return head, b"\n"
    if content is None:
        return head, b"D %s\n\n" % _quoted(name)
    return head, b"M 100644 inline %s\n" % _quoted(name) + _data(content) + b"\n"


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _quoted(name: str) -> bytes:
    """A path as fast-import reads it: in quotes, everything but plain characters in octal."""
    return b'"' + re.sub(rb"[^A-Za-z0-9./_ -]", lambda match: b"\\%03o" % match[0][0], name.encode()) + b'"'
