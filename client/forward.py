"""`minilab compose forward PORT`: a page that DevOps hosts in its container, on the same port of this machine."""

import asyncio
import contextlib
from collections.abc import Callable

from agents.domain.errors import SessionError

HOST = "127.0.0.1"
CHUNK = 1 << 16
# runs in the container: its standard input and output are the connection
RELAY = """
import socket, sys, threading
end = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)
end.settimeout(None)
def up():
    while data := sys.stdin.buffer.raw.read(65536):
        end.sendall(data)
    end.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while data := end.recv(65536):
    sys.stdout.buffer.raw.write(data)
"""


def main(port: int, container: str, say: Callable[[str], None]) -> int:
    """Forward until interrupted. Exit code. Raise SessionError for a port that is taken."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(forward(port, ("docker", "exec", "-i", container, "python3", "-I", "-c", RELAY), say))
    return 0


async def forward(port: int, relay: tuple[str, ...], say: Callable[[str], None]) -> None:
    """Listen on `port` of the loopback; each connection gets a process of `relay` with the port as argument."""
    open_now: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            open_now.add(task)
            task.add_done_callback(open_now.discard)
        await _relayed((*relay, str(port)), reader, writer)

    try:
        server = await asyncio.start_server(connected, HOST, port)
    except (OSError, OverflowError) as error:
        raise SessionError(f"can't listen on {HOST}:{port}: {error}") from None
    say(f"http://{HOST}:{port}/ shows what DevOps hosts on port {port}; Ctrl-C ends it")
    try:
        async with server:
            await server.serve_forever()
    finally:
        for task in open_now:
            task.cancel()
        await asyncio.gather(*open_now, return_exceptions=True)


async def _relayed(argv: tuple[str, ...], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, until its process has said all; the process ends with it."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL)
    assert process.stdin is not None  # noqa: S101  it was asked for
    assert process.stdout is not None  # noqa: S101
    upwards = asyncio.create_task(_pour(reader, process.stdin))
    try:
        await _pour(process.stdout, writer)
    finally:
        upwards.cancel()
        process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        ended = asyncio.ensure_future(process.wait())
        while not ended.done():  # a killed process ends at once: not even being cancelled leaves it unreaped
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(ended)


async def _pour(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(CHUNK):
            target.write(data)
            await target.drain()
    with contextlib.suppress(ConnectionError, RuntimeError):
        target.close()
