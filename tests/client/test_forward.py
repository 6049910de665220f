"""A page inside, shown outside: the relay is a process per connection."""

import asyncio
import http.server
import socket
import sys
import threading
from collections.abc import Iterator

import pytest

from agents.domain.errors import SessionError
from client import forward


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"x" * 300_000
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def inside() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield int(server.server_address[1])
        server.shutdown()
        thread.join()


async def fetched(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer


async def test_several_at_once_get_the_whole_page(inside: int) -> None:
    outside, said = free_port(), asyncio.Event()
    # the relay's own argument comes first, then the port that is asked for
    relay = (sys.executable, "-I", "-c", forward.RELAY.replace("int(sys.argv[1])", str(inside)))
    serving = asyncio.create_task(forward.forward(outside, relay, lambda text: said.set()))
    await asyncio.wait_for(said.wait(), 10)
    answers = await asyncio.wait_for(asyncio.gather(*(fetched(outside) for _ in range(4))), 30)
    assert [answer.count(b"x") for answer in answers] == [300_000] * 4
    serving.cancel()
    await asyncio.wait([serving])


async def test_nothing_inside_ends_the_connection_and_not_the_forwarding() -> None:
    outside, nobody, said = free_port(), free_port(), asyncio.Event()
    relay = (sys.executable, "-I", "-c", forward.RELAY.replace("int(sys.argv[1])", str(nobody)))
    serving = asyncio.create_task(forward.forward(outside, relay, lambda text: said.set()))
    await asyncio.wait_for(said.wait(), 10)
    for _ in range(2):
        assert await asyncio.wait_for(fetched(outside), 20) == b""
    serving.cancel()
    await asyncio.wait([serving])


async def test_a_port_that_is_taken_is_named(inside: int) -> None:
    with pytest.raises(SessionError, match=f"can't listen on 127.0.0.1:{inside}"):
        await forward.forward(inside, ("true",), print)
