"""The static server, over real HTTP."""

import http.client
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from agents.executors import static_server


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: dict[str, str]


@dataclass
class Site:
    root: Path
    port: int

    @property
    def folder(self) -> Path:
        return self.root / "site"

    def get(self, path: str, method: str = "GET") -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return Answer(response.status, response.read(), dict(response.getheaders()))
        finally:
            connection.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    root = tmp_path / "config"
    (root / "site" / "sub").mkdir(parents=True)
    (root / "secret.txt").write_text("secret")
    (root / "site" / "page.html").write_text("<p>hi")
    (root / "site" / "data.bin").write_bytes(bytes(range(256)))
    (root / "site" / ".hidden").write_text("hidden")
    with static_server._Server(("127.0.0.1", 0), static_server._Requests) as server:
        server.root, server.below = str(root), ["site"]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Site(root, server.server_address[1])
        server.shutdown()
        thread.join()


def test_a_file(site: Site) -> None:
    answer = site.get("/page.html")
    assert (answer.status, answer.body) == (200, b"<p>hi")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_bytes_as_they_are(site: Site) -> None:
    answer = site.get("/data.bin?query=1")
    assert answer.body == bytes(range(256))
    assert answer.headers["Content-Type"] == "application/octet-stream"


def test_head(site: Site) -> None:
    answer = site.get("/page.html", "HEAD")
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", "5")
    assert site.get("/", "HEAD").body == b""


def test_the_index_is_the_folders_page(site: Site) -> None:
    (site.folder / "index.html").write_text("index")
    assert site.get("/").body == b"index"


def test_a_folder_without_index_is_listed_and_escaped(site: Site) -> None:
    (site.folder / "sub" / "a <b>&.txt").write_text("")
    (site.folder / "sub" / ".dot").write_text("")
    (site.folder / "sub" / "link").symlink_to("/etc/passwd")
    body = site.get("/sub/").body.decode()
    assert '<a href="./a%20%3Cb%3E%26.txt">a &lt;b&gt;&amp;.txt</a>' in body
    assert "dot" not in body
    assert "link" not in body


def test_a_folder_without_its_slash_is_redirected(site: Site) -> None:
    answer = site.get("/sub")
    assert (answer.status, answer.headers["Location"]) == (301, "/sub/")
    # never to another host
    assert site.get("//sub").headers["Location"] == "/sub/"


@pytest.mark.parametrize(
    "path",
    ["/../secret.txt", "/%2e%2e/secret.txt", "/sub/../../secret.txt", "/.hidden", "/nothing", "/page.html/x", "/%00"],
)
def test_nothing_beside_it(site: Site, path: str) -> None:
    assert site.get(path).status == 404
    assert site.get("/page.html").status == 200


@pytest.mark.parametrize("target", ["/etc/passwd", "../secret.txt", "page.html"])
def test_no_link_is_followed(site: Site, target: str) -> None:
    (site.folder / "link").symlink_to(target)
    assert site.get("/link").status == 404


def test_no_linked_folder_is_entered(site: Site) -> None:
    (site.folder / "linked").symlink_to(site.root)
    assert site.get("/linked/secret.txt").status == 404
    assert site.get("/linked/").status == 404


def test_the_folder_itself_swapped_for_a_link_serves_nothing(site: Site) -> None:
    site.folder.rename(site.root / "old")
    site.folder.symlink_to(site.root)
    assert site.get("/secret.txt").status == 404


def test_the_folder_replaced_by_a_newer_one_is_served(site: Site) -> None:
    site.folder.rename(site.root / "old")
    site.folder.mkdir()
    (site.folder / "page.html").write_text("newer")
    assert site.get("/page.html").body == b"newer"


def test_a_pipe_is_no_file(site: Site) -> None:
    os.mkfifo(site.folder / "pipe")
    assert site.get("/pipe").status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_but_reading(site: Site, method: str) -> None:
    assert site.get("/page.html", method).status == 501


def test_the_program_listens_on_loopback_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = []

    def serve(server: ThreadingHTTPServer) -> None:
        seen.append((server.server_address, getattr(server, "root", None), getattr(server, "below", None)))

    monkeypatch.setattr(static_server._Server, "serve_forever", serve)
    static_server.main(["static_server.py", str(tmp_path), "a//b", "0"])
    ((address, root, below),) = seen
    assert address[0] == "127.0.0.1"
    assert (root, below) == (str(tmp_path), ["a", "b"])
