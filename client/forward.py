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

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        process = await asyncio.create_subprocess_exec(
            *relay, str(port), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdin is not None  # noqa: S101  it was asked for
        assert process.stdout is not None  # noqa: S101
        upwards = asyncio.create_task(_pour(reader, process.stdin))
        await _pour(process.stdout, writer)
        upwards.cancel()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()

    try:
        server = await asyncio.start_server(connected, HOST, port)
    except (OSError, OverflowError) as error:
        raise SessionError(f"can't listen on {HOST}:{port}: {error}") from None
    say(f"http://{HOST}:{port}/ shows what DevOps hosts on port {port}; Ctrl-C ends it")
    async with server:
        await server.serve_forever()


async def _pour(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(CHUNK):
            target.write(data)
            await target.drain()
    with contextlib.suppress(ConnectionError, RuntimeError):
        target.close()
