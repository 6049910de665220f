"""The owner's side of the supervisor: a line to it per call, and the call's streams read as they come."""

import asyncio
import json
import os
import socket
import sys
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from agents.domain.errors import ToolError
from agents.executors.capture import Capture
from agents.executors.landlock_rules import Ruleset

_PROGRAM = Path(__file__).resolve().with_name("supervisor.py")
_CONTROL = 3  # the supervisor's descriptor
_CHUNK = 1 << 16
_TRAILING = 1.0  # seconds the streams may stay open after the whole tree ended: somebody else holds them


@dataclass(frozen=True, slots=True)
class Bounds:
    """What bounds a call's tree.

    `limits` are rlimits by name, per process; `groups` are cgroup directories to join (the supervisor removes them
    afterwards); `memory` (bytes, resident) and `pids` are watched over the whole tree. Under `landlock` the program
    runs, or it doesn't start.
    """

    limits: Mapping[str, int] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    memory: int | None = None
    pids: int | None = None
    landlock: Ruleset | None = None


class Spawner:
    """Starts the supervisor with the first call, and again should it have died."""

    def __init__(self) -> None:
        self._control: socket.socket | None = None
        self._hang_up: weakref.finalize[[], Spawner] | None = None

    async def call(
        self,
        program: str,
        argv: Sequence[str],
        cwd: Path,
        env: Mapping[str, str],
        stdin: bytes,
        captures: tuple[Capture, Capture],
        bounds: Bounds,
    ) -> "Call":
        """Start `program`. Raise ToolError if a word of it can't be passed on."""
        request: dict[str, object] = {"program": program, "cwd": str(cwd)}
        request |= {"argv": [_passable(word) for word in argv]}
        request |= {"env": {name: _passable(value) for name, value in env.items()}}
        request |= {"limits": dict(bounds.limits), "groups": bounds.groups}
        request |= {name: value for name in ("memory", "pids") if (value := getattr(bounds, name)) is not None}
        request |= {"landlock": bounds.landlock.request()} if bounds.landlock else {}
        if any("\0" in word for word in (*argv, *env, *env.values())):
            raise ToolError(f"{argv[0]} can't be started: an argument holds a NUL character")
        theirs, ours = _streams(bool(stdin))
        line, far = socket.socketpair()
        try:
            self._send([far.fileno(), *theirs])
        except OSError as error:
            line.close()
            for descriptor in ours:
                os.close(descriptor)
            raise ToolError(f"{argv[0]} can't be started: {error.strerror}") from None
        finally:
            far.close()
            for descriptor in theirs:
                os.close(descriptor)
        call = Call(argv[0], line, ours, stdin, captures)
        await call.begin(json.dumps(request).encode() + b"\n")
        return call

    def _send(self, descriptors: list[int]) -> None:
        for attempt in range(2):
            control = self._control or self._launch()
            try:
                socket.send_fds(control, [b"+"], descriptors)
            except OSError:
                if attempt:
                    raise
                self._dismiss()
            else:
                return

    def _launch(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        argv = [sys.executable, "-I", "-S", "-B", str(_PROGRAM)]
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, theirs.fileno(), _CONTROL),
        ]
        with theirs:
            try:
                os.posix_spawn(sys.executable, argv, {}, file_actions=actions, setsid=True)
            except OSError:
                ours.close()
                raise
        self._control = ours
        self._hang_up = weakref.finalize(self, ours.close)
        return ours

    def _dismiss(self) -> None:
        if self._hang_up:
            self._hang_up()
        self._control = None


class Call:
    """One program under the supervisor: its line and its streams."""

    def __init__(
        self, name: str, line: socket.socket, streams: list[int], stdin: bytes, captures: tuple[Capture, Capture]
    ) -> None:
        self.exit_code: int | None = None
        self.over: str | None = None
        self._name = name
        self._failed: int | None = None
        self._step = ""
        self._loop = asyncio.get_running_loop()
        self._line = line
        self._line.setblocking(False)
        self._heard = b""
        self._ended = asyncio.Event()
        self._silent = asyncio.Event()
        self._readers = dict(zip(streams[:2], captures, strict=True))
        self._input = (streams[2], memoryview(stdin)) if len(streams) > 2 else None

    @property
    def ended(self) -> bool:
        """Whether its whole tree is gone."""
        return self._ended.is_set()

    async def begin(self, request: bytes) -> None:
        """Send the request and start to listen."""
        for descriptor, capture in self._readers.items():
            self._loop.add_reader(descriptor, self._read, descriptor, capture)
        if self._input:
            self._loop.add_writer(self._input[0], self._write)
        try:
            await self._loop.sock_sendall(self._line, request)
        except OSError as error:
            self.close()
            raise ToolError(f"{self._name} can't be started: {error.strerror}") from None
        except asyncio.CancelledError:
            self.close()
            raise
        self._loop.add_reader(self._line, self._listen)

    async def finished(self) -> None:
        """Wait for the end of the tree, and of what it wrote. Raise ToolError if it never started."""
        await self._ended.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(_TRAILING):
                await self._silent.wait()
        self.close()
        if self._failed is not None:
            raise ToolError(f"{self._name} can't be started: {self._step}{os.strerror(self._failed)}")

    def request_end(self) -> None:
        """Ask for the end of the tree."""
        with suppress(OSError):
            self._line.send(b"E")

    def close(self) -> None:
        """Let go of everything. A tree still there is killed at once, for its line is closed."""
        if self._line.fileno() >= 0:
            self._loop.remove_reader(self._line)
            self._line.close()
        for descriptor in list(self._readers):
            self._close_reader(descriptor)
        self._close_input()
        self._ended.set()

    def _listen(self) -> None:
        try:
            data = self._line.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            said = json.loads(line)
            self._failed = said.get("failed", self._failed)
            self._step = said.get("step", self._step)
            self.over = said.get("over", self.over)
            self.exit_code = said.get("exit", self.exit_code)
        if not data:
            # the guardian says the exit code last and hangs up; without it, the guardian was killed
            self._loop.remove_reader(self._line)
            self._ended.set()

    def _read(self, descriptor: int, capture: Capture) -> None:
        try:
            data = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return
        if data:
            capture.feed(data)
        else:
            self._close_reader(descriptor)

    def _close_reader(self, descriptor: int) -> None:
        self._loop.remove_reader(descriptor)
        del self._readers[descriptor]
        os.close(descriptor)
        if not self._readers:
            self._silent.set()

    def _write(self) -> None:
        if self._input is None:
            return
        descriptor, data = self._input
        try:
            rest = data[os.write(descriptor, data[:_CHUNK]) :]
        except BlockingIOError:
            return
        except OSError:  # it doesn't want to read any more
            rest = data[:0]
        self._input = (descriptor, rest)
        if not rest:
            self._close_input()

    def _close_input(self) -> None:
        if self._input:
            self._loop.remove_writer(self._input[0])
            os.close(self._input[0])
            self._input = None


def _passable(word: str) -> str:
    """`word`, with a question mark where it has half a character, which no program can be given."""
    try:
        os.fsencode(word)
    except UnicodeEncodeError:
        return word.encode("utf-8", "replace").decode()
    return word


def _streams(with_input: bool) -> tuple[list[int], list[int]]:
    """The program's ends (stdin, stdout, stderr) and ours (stdout, stderr, and stdin if it gets any)."""
    out, err = os.pipe(), os.pipe()
    theirs, ours = [out[1], err[1]], [out[0], err[0]]
    if with_input:
        read, write = os.pipe()
        theirs.insert(0, read)
        ours.append(write)
    else:
        theirs.insert(0, os.open(os.devnull, os.O_RDONLY))
    for descriptor in ours:
        os.set_blocking(descriptor, False)
    return theirs, ours
