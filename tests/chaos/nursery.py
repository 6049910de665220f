"""Bears workers quickly: imports everything once and forks. One JSON order per line in, `born` and `dead` lines out.

A worker is a process of its own, killed like any other; only its start is cheap. All end with the nursery.
"""

import asyncio
import ctypes
import gc
import json
import os
import select
import signal
import traceback

from agents.react.models import ChatModel
from agents.react.transport import Endpoint, Timeouts, Transport
from tests.chaos.worker import Order, work

_PR_SET_PDEATHSIG = 1


async def _warm() -> None:
    """Have the slow imports behind us before the first fork."""
    await ChatModel(Transport(Endpoint("http://127.0.0.1:9/v1", "none"), Timeouts()), ["chaos"]).warm()


def bear(line: bytes) -> int:
    """Fork a worker; its process id."""
    pid = os.fork()
    if pid:
        return pid
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    try:
        asyncio.run(work(Order(**json.loads(line))))
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(3)


def bury() -> None:
    """Report the dead."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        print("dead", pid, os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status), flush=True)


def main() -> None:
    """Serve until standard input ends."""
    asyncio.run(_warm())
    gc.collect()
    gc.freeze()
    print("ready", flush=True)
    rest = b""
    while True:
        if select.select([0], [], [], 0.01)[0]:
            data = os.read(0, 1 << 16)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                print("born", bear(line), json.loads(line)["consumer"], flush=True)
        bury()


if __name__ == "__main__":
    main()
