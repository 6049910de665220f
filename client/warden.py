"""Runs one program and outlives whatever happens to the session: when that ends, even by kill -9, the program and
everything it ever started end too.

`python -m client.warden FD PROGRAM ARGS…`: FD is the read end of a pipe whose other end the session holds. The
warden adopts orphans (Linux), so that a daemonised grandchild is still found. Exits as the program does.
"""

import ctypes
import os
import select
import signal
import sys
import time

GRACE_SECONDS = 5.0
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def main(argv: list[str]) -> int:
    """Run `argv[1:]` until it ends, the pipe `argv[0]` closes or SIGTERM comes; return its exit code."""
    pipe, program = int(argv[0]), argv[1:]
    os.set_inheritable(pipe, False)
    wake, woken = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, frame: asked.append(received))
    signal.signal(signal.SIGCHLD, lambda received, frame: None)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    child = _start(program)
    code = None
    while code is None and not asked:
        ready, _, _ = select.select([pipe, wake], [], [])
        _drain(wake)
        code = _reap(child)
        if pipe in ready:
            break
    if code is None:
        code = _end(child)
    _kill_descendants()
    return code


def _start(program: list[str]) -> int:
    """The program's pid. It is asked to end if the warden itself is killed."""
    child = os.fork()
    if child:
        return child
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        os.execvp(program[0], program)  # noqa: S606  argv, from the session
    except OSError as error:
        print(f"{program[0]}: {error.strerror}", file=sys.stderr, flush=True)
    os._exit(127)


def _end(child: int) -> int:
    """SIGTERM, a grace, SIGKILL; the exit code."""
    os.kill(child, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline:
        if (code := _reap(child)) is not None:
            return code
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    while (code := _reap(child)) is None:
        time.sleep(0.02)
    return code


def _reap(child: int) -> int | None:
    """Bury every dead descendant; the exit code of `child` if it is among them (128 + n: by signal n)."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            found = code if code >= 0 else 128 - code


def _kill_descendants() -> None:
    """Kill what the program left behind, until nothing is left."""
    import psutil

    myself = psutil.Process()
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline and (left := myself.children(recursive=True)):
        for process in left:
            try:
                process.kill()
            except psutil.Error:
                continue
        time.sleep(0.01)
        _reap(0)


def _drain(fd: int) -> None:
    try:
        os.read(fd, 4096)
    except BlockingIOError:
        return


def _prctl(option: int, value: int) -> None:
    """Linux only; elsewhere the pipe alone has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
