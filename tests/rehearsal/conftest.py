"""A running rehearsal."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from rehearsal.faults import Faults
from rehearsal.scenario import Fault, Scenario
from rehearsal.server import Server

Start = Callable[..., Awaitable[str]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start a server for a scenario; it stops with the test."""
    servers: list[Server] = []

    async def begin(scenario: Scenario, *faults: Fault, latency: float = 0.0) -> str:
        servers.append(Server(scenario, latency=latency, faults=Faults(faults)))
        return await servers[-1].start()

    yield begin
    for server in servers:
        await server.stop()
