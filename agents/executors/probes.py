"""Probes of what runs and what is written. They read, they change nothing."""

import asyncio
import ipaddress
import socket

import httpx

from agents.domain.errors import ToolError
from agents.domain.mission import CommandProbe, FileProbe, HttpProbe, TcpProbe, Verdict
from agents.executors.sandbox import Executor
from agents.executors.workspace import Workspace

BODY_CAP = 256 * 1024
_NEVER = tuple(ipaddress.ip_network(net) for net in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128"))


async def http(probe: HttpProbe, timeout: float = 10) -> tuple[Verdict, str]:
    """GET the URL once, following no redirect. `timeout` in seconds."""
    if refusal := await _refusal(httpx.URL(probe.url).host):
        return Verdict.FAIL, refusal
    try:
        async with (
            httpx.AsyncClient(timeout=timeout, trust_env=False) as client,
            client.stream("GET", probe.url, headers={"User-Agent": "minilab-check"}) as response,
        ):
            body = await _body(response)
    except httpx.HTTPError as error:
        return Verdict.FAIL, f"GET {probe.url}: {_name(error)}"
    seen = f"GET {probe.url}: {response.status_code}, {len(body):,} bytes"
    if response.status_code != probe.status:
        return Verdict.FAIL, f"{seen}; expected status {probe.status}"
    if probe.contains is not None and probe.contains not in body.decode("utf-8", "replace"):
        return Verdict.FAIL, f"{seen}; the body lacks {probe.contains!r}"
    return Verdict.PASS, seen + (f", contains {probe.contains!r}" if probe.contains else "")


async def tcp(probe: TcpProbe, timeout: float = 5) -> tuple[Verdict, str]:
    """Open a connection and close it. `timeout` in seconds."""
    if refusal := await _refusal(probe.host):
        return Verdict.FAIL, refusal
    where = f"{probe.host}:{probe.port}"
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(probe.host, probe.port)
    except TimeoutError:
        return Verdict.FAIL, f"{where}: no answer in {timeout:g} s"
    except OSError as error:
        return Verdict.FAIL, f"{where}: {_name(error)}"
    writer.close()
    return Verdict.PASS, f"{where}: connected"


def file(probe: FileProbe, workspace: Workspace) -> tuple[Verdict, str]:
    """Whether a workspace file exists and contains the text."""
    try:
        text = workspace.read(probe.path).required_text()
    except ToolError as error:
        return Verdict.FAIL, str(error)
    if probe.contains is not None and probe.contains not in text:
        return Verdict.FAIL, f"{probe.path} ({len(text):,} characters) lacks {probe.contains!r}"
    return Verdict.PASS, f"{probe.path} is there" + (f" and contains {probe.contains!r}" if probe.contains else "")


async def command(probe: CommandProbe, sandbox: Executor, timeout: float = 60) -> tuple[Verdict, str]:
    """Run the command where it can change nothing, and compare. Raise what the sandbox raises."""
    done = await sandbox.run(probe.argv, timeout=timeout, read_only=True)
    shown = " ".join(probe.argv)[:200]
    if done.timed_out:
        return Verdict.UNKNOWN, f"{shown}: no end in {timeout:g} s"
    last = (done.stdout.strip() or done.stderr.strip())[-200:]
    if done.exit_code != probe.exit_code:
        return Verdict.FAIL, f"{shown}: exit code {done.exit_code}, expected {probe.exit_code}; {last}"
    if probe.contains is not None and probe.contains not in done.stdout:
        return Verdict.FAIL, f"{shown}: the output lacks {probe.contains!r}; {last}"
    return Verdict.PASS, f"{shown}: exit code {done.exit_code}" + (f"; {last}" if last else "")


async def _refusal(host: str) -> str | None:
    """Why a host isn't probed: cloud metadata services answer with credentials, whoever asks."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        return f"{host}: {_name(error)}"
    for *_, address in found:
        ip = ipaddress.ip_address(str(address[0]).split("%")[0])
        if any(ip.version == net.version and ip in net for net in _NEVER):
            return f"{host} is {ip}, a link-local address: not probed"
    return None


async def _body(response: httpx.Response) -> bytes:
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) >= BODY_CAP:
            break
    return body[:BODY_CAP]


def _name(error: Exception) -> str:
    return str(error) or type(error).__name__
