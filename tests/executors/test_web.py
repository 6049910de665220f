"""Fetching pages: a real HTTP server, reached through a resolver and a dialler of the test's own."""

import asyncio
import gzip
import http.server
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpcore
import pytest

from agents.domain.errors import InvalidArguments, Refused, ToolError, ToolTimeout
from agents.executors.web import MAX_BYTES, Web, resolve

PUBLIC = "93.184.216.34"
PAGE = b"<html><head><title>A page</title></head><body><h1>Hello</h1><p>from the server</p></body></html>"


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers by path."""

    hosts: list[str]

    def do_GET(self) -> None:
        self.server.hosts.append(self.headers["Host"])  # type: ignore[attr-defined]
        status, headers, body = ROUTES.get(self.path, (404, {}, b"nothing here"))
        if self.path.startswith("/loop"):
            status, headers, body = 302, {"Location": f"/loop{len(self.path)}{self.path[5:]}"}, b""
        self.send_response(status)
        for name, value in ({"Content-Type": "text/html"} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:  # it had enough
            return

    def log_message(self, *_: Any) -> None:
        return


def to(url: str, status: int = 302) -> tuple[int, dict[str, str], bytes]:
    return status, {"Location": url}, b""


ROUTES: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/": (200, {}, PAGE),
    "/text": (200, {"Content-Type": "text/plain; charset=latin-1"}, "caf\xe9".encode("latin-1")),
    "/meta": (200, {}, '<meta charset="iso-8859-1"><p>caf\xe9'.encode("latin-1")),
    "/strange": (200, {"Content-Type": "text/plain; charset=undefined"}, b"plain"),
    "/nocodec": (200, {"Content-Type": "text/plain; charset=x-none"}, b"plain"),
    "/json": (200, {"Content-Type": "application/vnd.api+json"}, b'{"a": 1}'),
    "/picture": (200, {"Content-Type": "image/png", "Content-Length": "4"}, b"\x89PNG"),
    "/large": (200, {"Content-Type": "text/plain"}, b"x" * (3 * MAX_BYTES)),
    "/gzip": (200, {"Content-Encoding": "gzip"}, gzip.compress(PAGE)),
    "/bomb": (200, {"Content-Encoding": "gzip", "Content-Type": "text/plain"}, gzip.compress(b"\0" * (200 << 20))),
    "/broken": (200, {"Content-Encoding": "gzip"}, b"no gzip at all"),
    "/brotli": (200, {"Content-Encoding": "br"}, b"?"),
    "/relative": to("/text"),
    "/elsewhere": to("http://other.example/text"),
    "/inward": to("http://169.254.169.254/latest/meta-data/"),
    "/named": to("http://inside.example/"),
    "/file": to("file:///etc/passwd"),
    "/port": to("http://good.example:6379/"),
    "/userinfo": to("http://user:pw@good.example/"),
}


@dataclass
class Network(httpcore.AsyncNetworkBackend):
    """Dials the test's server whatever the address, and remembers the addresses."""

    port: int
    dialled: list[tuple[str, int]] = field(default_factory=list)
    down: tuple[str, ...] = ()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.dialled.append((host, port))
        if host in self.down:
            raise httpcore.ConnectError("refused")
        return await httpcore.AnyIOBackend().connect_tcp("127.0.0.1", self.port, timeout)


@dataclass
class Names:
    """A resolver: each name's answers in turn, the last one for ever."""

    answers: dict[str, list[list[str]]]
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str) -> list[str]:
        self.asked.append(host)
        if host not in self.answers:
            return await resolve(host)
        turns = self.answers[host]
        return turns.pop(0) if len(turns) > 1 else turns[0]


@pytest.fixture(scope="module")
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    made.hosts = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=made.serve_forever, args=(0.02,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def network(server: http.server.ThreadingHTTPServer) -> Network:
    return Network(server.server_address[1])


@pytest.fixture
def web(network: Network) -> Web:
    names = Names({"good.example": [[PUBLIC]], "other.example": [[PUBLIC]], "inside.example": [["10.0.0.7"]]})
    return Web(resolve=names, backend=network)


async def test_a_page_as_text(web: Web, network: Network, server: Any) -> None:
    page = await web.fetch("http://good.example/")
    assert (page.status, page.kind, page.size, page.cut) == (200, "text/html", len(PAGE), False)
    assert page.text == "# A page\n\n# Hello\n\nfrom the server"
    assert network.dialled == [(PUBLIC, 80)], "the address that was checked is the one dialled"
    assert server.hosts[-1] == "good.example"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/text", "café"),
        ("/meta", "café"),
        ("/strange", "plain"),
        ("/nocodec", "plain"),
        ("/json", '{"a": 1}'),
        ("/gzip", "# A page\n\n# Hello\n\nfrom the server"),
        ("/relative", "café"),
        ("/elsewhere", "café"),
        ("/text#part", "café"),
    ],
)
async def test_what_is_read(web: Web, path: str, text: str) -> None:
    assert (await web.fetch(f"http://good.example{path}")).text == text


async def test_a_failure_is_an_answer(web: Web) -> None:
    page = await web.fetch("http://good.example/nowhere")
    assert (page.status, page.text) == (404, "nothing here")


async def test_no_more_than_the_bound(web: Web) -> None:
    page = await web.fetch("http://good.example/large")
    assert (page.size, page.cut, len(page.text)) == (MAX_BYTES, True, MAX_BYTES)
    bomb = await web.fetch("http://good.example/bomb")
    assert (bomb.size, bomb.cut) == (MAX_BYTES, True)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/picture", r"'image/png' \(4 bytes\) is no text"),
        ("/broken", "its gzip is broken"),
        ("/brotli", "asked for plain bytes and sends 'br'"),
        ("/loop", "more than 5 redirects"),
        ("/inward", "169.254.169.254, which is not an address of the public internet"),
        ("/named", "inside.example is 10.0.0.7"),
        ("/file", "only http:// and https://"),
        ("/port", "port 6379 is not fetched from"),
        ("/userinfo", "user name or password"),
    ],
)
async def test_what_is_not_read(web: Web, path: str, said: str) -> None:
    with pytest.raises(ToolError, match=said):
        await web.fetch(f"http://good.example{path}")


ATTACKS = [
    "http://127.0.0.1/", "http://127.1/", "http://2130706433/", "http://0x7f.0.0.1/", "http://0177.0.0.1/",
    "http://0.0.0.0/", "http://0/", "http://localhost/", "http://localhost./", "http://[::1]/", "http://[::]/",
    "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[::127.0.0.1]/", "http://10.1.2.3/",
    "http://172.16.0.1/", "http://172.31.255.255/", "http://192.168.1.1/", "http://169.254.169.254/latest/",
    "http://[fd00:ec2::254]/", "http://100.64.0.1/", "http://100.127.255.255/", "http://198.18.0.1/",
    "http://192.0.0.192/", "http://192.88.99.1/", "http://224.0.0.1/", "http://239.255.255.250/", "http://240.0.0.1/",
    "http://255.255.255.255/", "http://168.63.129.16/", "http://203.0.113.9/", "http://[fe80::1]/", "http://[fc00::1]/",
    "http://[ff02::1]/", "http://[64:ff9b::7f00:1]/", "http://[64:ff9b:1::a00:1]/", "http://[2002:7f00:1::]/",
    "http://[2001:0:7f00:1::]/", "http://[2001:db8::1]/", "http://[3fff::1]/", "http://[100::1]/", "http://[fec0::1]/",
    "https://127.0.0.1/", "ftp://good.example/", "file:///etc/passwd", "gopher://good.example/", "data:text/plain,x",
    "http:///etc/passwd", "http://", "//good.example/", "good.example/", "http://user@good.example/",
    "http://user:pw@good.example/", "http://good.example@127.0.0.1/", "http://good.example:22/",
    "http://good.example:8080/", "http://good.example:99999/", "http://good.example:x/", "http://good.example\\@127.0.0.1/",
    "http://good.example /", "http://good.example/\r\nHost: inside.example", "http://good.example/\x00",
    "http://good.example/" + "x" * 5000, "http://[fe80::1%25eth0]/", "http://1.2.3.4.5/", "http://inside.example/",
]  # fmt: skip


@pytest.mark.parametrize("url", ATTACKS)
async def test_what_may_not_be_reached(web: Web, network: Network, url: str) -> None:
    with pytest.raises(ToolError):
        await web.fetch(url)
    assert network.dialled == []
    assert (await web.fetch("http://good.example/text")).text == "café"


async def test_what_may_be_reached(network: Network) -> None:
    web = Web(resolve=Names({}), backend=network)
    for url, dialled in (
        ("http://1.1.1.1/text", "1.1.1.1"),
        ("http://[2606:4700:4700::1111]/text", "2606:4700:4700::1111"),
        ("HTTP://8.8.8.8:80/text", "8.8.8.8"),
    ):
        assert (await web.fetch(url)).text == "café"
        assert network.dialled[-1] == (dialled, 80)


async def test_a_name_that_changes_its_mind_is_asked_once(network: Network) -> None:
    names = Names({"rebind.example": [[PUBLIC], ["127.0.0.1"], [PUBLIC]]})
    web = Web(resolve=names, backend=network)
    assert (await web.fetch("http://rebind.example/text")).text == "café"
    assert (names.asked, network.dialled) == (["rebind.example"], [(PUBLIC, 80)])
    with pytest.raises(Refused, match=r"rebind\.example is 127\.0\.0\.1"):
        await web.fetch("http://rebind.example/text")
    assert len(network.dialled) == 1


async def test_one_private_address_among_public_ones_is_enough(network: Network) -> None:
    web = Web(
        resolve=Names({"mixed.example": [[PUBLIC, "192.168.0.9"]], "odd.example": [["::1%lo"]]}), backend=network
    )
    for name in ("mixed.example", "odd.example"):
        with pytest.raises(Refused):
            await web.fetch(f"http://{name}/")
    assert network.dialled == []


async def test_the_next_address_is_tried(network: Network) -> None:
    network.down = (PUBLIC,)
    web = Web(resolve=Names({"two.example": [[PUBLIC, "1.0.0.1"]], "one.example": [[PUBLIC]]}), backend=network)
    assert (await web.fetch("http://two.example/text")).text == "café"
    with pytest.raises(ToolError, match="refused"):
        await web.fetch("http://one.example/text")


async def test_other_ports_where_they_are_allowed(network: Network) -> None:
    web = Web(ports=(8080,), resolve=Names({"good.example": [[PUBLIC]]}), backend=network)
    assert (await web.fetch("http://good.example:8080/text")).text == "café"
    assert network.dialled == [(PUBLIC, 8080)]
    with pytest.raises(Refused, match="port 80 is not"):
        await web.fetch("http://good.example/text")


async def test_names_that_do_not_resolve(network: Network) -> None:
    async def nothing(host: str) -> list[str]:
        return []

    async def nonsense(host: str) -> list[str]:
        return ["nonsense"]

    with pytest.raises(ToolError, match="does not resolve"):
        await Web(backend=network).fetch("http://no-such-name.invalid/")
    with pytest.raises(ToolError, match="has no address"):
        await Web(resolve=nothing, backend=network).fetch("http://a.example/")
    with pytest.raises(Refused, match="no address"):
        await Web(resolve=nonsense, backend=network).fetch("http://a.example/")


async def test_a_server_that_never_answers() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the client gives up
        writer.close()
        gone.set()

    gone = asyncio.Event()
    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        network = Network(server.sockets[0].getsockname()[1])
        with pytest.raises(ToolTimeout, match=r"no complete answer in 0\.1 s"):
            await Web(resolve=Names({"slow.example": [[PUBLIC]]}), backend=network).fetch("http://slow.example/", 0.1)
        await gone.wait()


async def test_tls_is_checked_against_the_name(network: Network) -> None:
    with pytest.raises(ToolError, match=r"(?i)ssl|tls|record"):
        await Web(resolve=Names({"good.example": [[PUBLIC]]}), backend=network).fetch("https://good.example/")


async def test_an_invalid_url_is_an_argument_at_fault(web: Web) -> None:
    with pytest.raises(InvalidArguments):
        await web.fetch("http://good.example:x/")
