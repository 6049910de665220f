"""HTTP and TCP probes against a real listener."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from agents.domain.mission import HttpProbe, TcpProbe, Verdict
from agents.executors import probes


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readline()
        if request:
            status = "404 Not Found" if b"/missing" in request else "200 OK"
            body = b"x" * probes.BODY_CAP * 4 if b"/endless" in request else b"<p>node-1 up</p>"
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode())
            writer.write(body)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


def http(port: int, path: str = "/", **fields: object) -> HttpProbe:
    url = f"http://127.0.0.1:{port}{path}"
    return HttpProbe.model_validate({"type": "http", "title": "page", "url": url, **fields})


async def test_an_answering_page_passes_with_evidence(port: int) -> None:
    verdict, evidence = await probes.http(http(port, contains="node-1"))
    assert verdict is Verdict.PASS
    assert "200" in evidence
    assert "'node-1'" in evidence


@pytest.mark.parametrize(
    ("path", "fields", "said"),
    [("/missing", {}, "expected status 200"), ("/", {"contains": "node-2"}, "lacks 'node-2'")],
)
async def test_a_wrong_page_fails_and_says_why(port: int, path: str, fields: dict[str, object], said: str) -> None:
    verdict, evidence = await probes.http(http(port, path, **fields))
    assert verdict is Verdict.FAIL
    assert said in evidence


async def test_an_expected_status_may_be_another_than_200(port: int) -> None:
    assert (await probes.http(http(port, "/missing", status=404)))[0] is Verdict.PASS


async def test_a_huge_body_is_read_only_so_far(port: int) -> None:
    verdict, evidence = await probes.http(http(port, "/endless"))
    assert verdict is Verdict.PASS
    assert f"{probes.BODY_CAP:,} bytes" in evidence


async def test_tcp_passes_on_an_open_port_and_fails_on_a_closed_one(port: int) -> None:
    open_port = TcpProbe(type="tcp", title="port", host="127.0.0.1", port=port)
    assert (await probes.tcp(open_port))[0] is Verdict.PASS
    closed = TcpProbe(type="tcp", title="port", host="127.0.0.1", port=1)
    verdict, evidence = await probes.tcp(closed)
    assert verdict is Verdict.FAIL
    assert "127.0.0.1:1" in evidence
    assert (await probes.http(http(1)))[0] is Verdict.FAIL


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]"])
async def test_metadata_services_are_not_probed(host: str) -> None:
    probe = HttpProbe(type="http", title="meta", url=f"http://{host}/latest/meta-data/", status=200, contains=None)
    verdict, evidence = await probes.http(probe)
    assert verdict is Verdict.FAIL
    assert "link-local" in evidence


async def test_a_name_that_does_not_resolve_fails(port: int) -> None:
    verdict, evidence = await probes.tcp(TcpProbe(type="tcp", title="name", host="no-such-host.invalid", port=80))
    assert verdict is Verdict.FAIL
    assert "no-such-host.invalid" in evidence
