"""A program of its own that starts programs for the agents' process and ends each with all it started.

It runs as `python -I -S supervisor.py` with a control socket as descriptor 3 and imports next to nothing: small, so
that forking it is cheap, and single-threaded, so that forking it is safe. For every call it forks a guardian, which
starts the program and adopts each orphan the program leaves (PR_SET_CHILD_SUBREAPER): no descendant escapes by
`setsid` or by daemonising. A guardian ends its tree when told to, when its program has ended, and when its owner's
end of the line is closed, which is what a killed owner's end is.

Control socket: one byte per call with four descriptors: line, stdin, stdout, stderr. On the line the owner writes
one JSON object and a newline (argv, program, cwd, env; optional limits {RLIMIT name: value}, groups [cgroup
directory], memory in bytes and pids: bounds on the whole tree, landlock: a ruleset without which the program must
not start), then at most one `E`: end it. The guardian answers in JSON lines: {"failed": errno, "step": at what} where
the program can't start, {"over": "memory"|"pids"}, at last {"exit": code}.
"""

import errno
import gc
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import Any

sys.path.append(__file__.rsplit("/", 3)[0])  # -I looks nowhere but in the standard library

from agents.executors import landlock, process_tree

CONTROL = 3
GRACE = 0.1  # seconds between TERM and KILL
WATCH = 0.05  # seconds between looks at a bounded tree
TICK = 0.002
_TAKEN, _HUNG_UP = b"t", b"h"  # what a guardian says of the control socket


def main() -> None:
    """Keep one guardian waiting for the next call, until the owner hangs up."""
    gc.disable()  # forks share more of their memory so
    process_tree.prctl(process_tree.SUBREAPER, 1)  # should a guardian be killed, its tree comes here
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the line decides, not a terminal's Ctrl-C
    process_tree.close_above(CONTROL)  # what the owner was itself given
    control = socket.socket(fileno=CONTROL)
    wakeup = _wake_on_children()
    news, announce = os.pipe()
    guardians: set[int] = set()
    waiting, listening = 0, True
    while _bury(guardians) or listening:
        if waiting not in guardians and listening:
            waiting = _fork_guardian(control, announce)
            guardians.add(waiting)
        readable, _, _ = select.select([news, wakeup], [], [])
        if wakeup in readable:
            os.read(wakeup, 512)
        if news in readable:
            listening = os.read(news, 1) == _TAKEN
            waiting = 0


def _wake_on_children() -> int:
    """A descriptor to select on: it becomes readable when a child ends."""
    wakeup, waker = os.pipe()
    for end in (wakeup, waker):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return wakeup


def _bury(guardians: set[int]) -> bool:
    """Reap, and end whatever a killed guardian left; whether there are children."""
    stray = False
    try:
        while True:
            ended, status = os.waitpid(-1, os.WNOHANG)
            if ended == 0:
                break
            stray |= ended not in guardians or status != 0
            guardians.discard(ended)
    except ChildProcessError:
        return False
    if stray:
        for child in process_tree.children(os.getpid()) - guardians:
            process_tree.kill([child, *process_tree.descendants(child)], signal.SIGKILL)
    return True


def _fork_guardian(control: socket.socket, announce: int) -> int:
    """Fork one and return its number. Where no more processes may be, the next call is told so."""
    while True:
        try:
            pid = os.fork()
        except OSError as error:
            message, descriptors, _, _ = socket.recv_fds(control, 1, 4)
            if not message:
                os._exit(0)
            _tell(descriptors[0], {"failed": error.errno})
            for descriptor in descriptors:
                os.close(descriptor)
            continue
        if pid == 0:
            with suppress(BaseException):
                _await_call(control, announce)
            os._exit(0)
        return pid


def _await_call(control: socket.socket, announce: int) -> None:
    """A guardian's life."""
    message, descriptors, _, _ = socket.recv_fds(control, 1, 4)
    os.write(announce, _TAKEN if message else _HUNG_UP)
    control.close()
    if message:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        _Guardian(*descriptors).run()


def _tell(line: int, what: dict[str, Any]) -> None:
    with suppress(OSError):
        os.write(line, json.dumps(what).encode() + b"\n")


class _Guardian:
    """One call: starts the program, watches it, ends its tree."""

    def __init__(self, line: int, *streams: int) -> None:
        self._line = socket.socket(fileno=line)
        self._streams = streams
        self._status: int | None = None
        self._killed = False

    def run(self) -> None:
        """See the module."""
        process_tree.prctl(process_tree.SUBREAPER, 1)
        call = json.loads(self._request())
        wakeup = _wake_on_children()
        if "memory" in call or "pids" in call:
            process_tree.precede()
        try:
            program = os.fork()
        except OSError as error:
            self._say({"failed": error.errno})
            return
        if program == 0:
            self._become(call)
        for stream in self._streams:
            os.close(stream)
        grace = self._wait(program, call, wakeup)
        self._end(program, grace)
        for group in call.get("groups", ()):
            if over := process_tree.exceeded(group):
                self._say({"over": over})
            process_tree.remove_group(group)
        self._say({"exit": None if self._killed else self._status})

    def _request(self) -> bytes:
        parts = []
        while not (part := self._line.recv(1 << 16)).endswith(b"\n"):
            if not part:
                os._exit(0)  # the owner is gone before the program began
            parts.append(part)
        return b"".join([*parts, part])

    def _become(self, call: dict[str, Any]) -> None:
        """Turn into the program. Never returns."""
        step = ""
        try:
            process_tree.prctl(process_tree.PDEATHSIG, signal.SIGKILL)
            os.setsid()
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            if hasattr(signal, "SIGXFSZ"):
                signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            for place, stream in enumerate(self._streams):
                os.dup2(stream, place)  # the streams came later than 0, 1 and 2: none is overwritten
            os.chdir(call["cwd"])
            for group in call.get("groups", ()):
                process_tree.write(f"{group}/cgroup.procs", "0")
            for name, value in call.get("limits", {}).items():
                process_tree.limit(getattr(resource, name), value)
            if "landlock" in call:
                step = "Landlock: "
                landlock.restrict(call["landlock"])
                step = ""
            os.execve(call["program"], call["argv"], call["env"])  # noqa: S606  no shell is the point
        except OSError as error:
            self._say({"failed": error.errno or errno.EIO, "step": step})
        except BaseException:  # anything at all: a forked copy of this program must not run on
            self._say({"failed": errno.EINVAL, "step": step})
        os._exit(127)

    def _wait(self, program: int, call: dict[str, Any], wakeup: int) -> float:
        """Wait for the program's end or an order to end it; return the grace it is given."""
        bounded = "memory" in call or "pids" in call
        while not self._reap(program):
            readable, _, _ = select.select([self._line.fileno(), wakeup], [], [], WATCH if bounded else None)
            if wakeup in readable:
                os.read(wakeup, 512)
            if self._line.fileno() in readable:
                with suppress(ConnectionResetError):
                    if self._line.recv(1):
                        return GRACE
                return 0.0
            if bounded and (over := process_tree.over(os.getpid(), call.get("pids"), call.get("memory"))):
                self._say({"over": over})
                self._killed = True
                return 0.0
        return GRACE

    def _reap(self, program: int) -> bool:
        """Reap whatever ended; whether the program has."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == program:
                    self._status = os.waitstatus_to_exitcode(status)
                if pid == 0:
                    break
        return self._status is not None

    def _end(self, program: int, grace: float) -> None:
        """End all that is left below: TERM, then freeze and KILL until nothing is."""
        deadline = time.monotonic() + grace
        if grace and self._left(program):
            process_tree.kill(process_tree.descendants(os.getpid()), signal.SIGTERM)
            while self._left(program) and time.monotonic() < deadline:
                time.sleep(TICK)
        with suppress(ProcessLookupError):
            if self._status is None:
                os.kill(program, signal.SIGKILL)  # bubblewrap takes all of its tree along, which no bomb outruns
        while self._left(program):
            frozen: set[int] = set()
            # a frozen process can't fork: only then is what we see all there is
            while fresh := set(process_tree.descendants(os.getpid())) - frozen:
                process_tree.kill(fresh, signal.SIGSTOP)
                frozen |= fresh
            process_tree.kill(frozen, signal.SIGKILL)
            time.sleep(TICK)

    def _left(self, program: int) -> bool:
        self._reap(program)
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True

    def _say(self, what: dict[str, Any]) -> None:
        _tell(self._line.fileno(), what)


if __name__ == "__main__":
    main()
