"""host_app and stop_app, over a real hosting."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agents.domain.turn import Claim, Effect
from agents.executors.hosting import Hosting
from agents.executors.process import Processes
from agents.executors.sandbox import Sandbox
from agents.executors.workspace import Workspace
from agents.room.in_memory import InMemoryRoom
from agents.tools import apps
from agents.tools.registry import Act, Tool

ACT = Act("DevOps", Claim("t", "DevOps", "c", 1, 0, ()), 1, "call", 300)


@pytest.fixture
async def tools(tmp_path: Path) -> AsyncIterator[dict[str, Tool[Any]]]:
    workspace = Workspace({name: tmp_path / name for name in ("infra", "config", "docs", "tmp")})
    (tmp_path / "config" / "site").mkdir()
    processes = Processes()
    sandbox = Sandbox(processes, workspace, tmp_path / ".state", mode="container")
    hosting = Hosting(sandbox, processes, workspace, InMemoryRoom("room").presence)
    yield {tool.name: tool for tool in apps.tools(hosting, workspace)}
    await hosting.stop_all()


async def test_served_and_ended(tools: dict[str, Tool[Any]]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    host, stop = tools["host_app"], tools["stop_app"]
    args = host.args.model_validate({"name": "page", "port": port, "folder": "config/site"})
    served = await host.run(args, ACT)
    assert served.content == (
        f"page serves folder config/site at http://127.0.0.1:{port}/ for 30 minutes (it answers)"
    )
    ended = await stop.run(stop.args.model_validate({"name": "page"}), ACT)
    assert ended.content == f"page is no longer served; port {port} is free"
    assert (host.effect_of(args), stop.effect) == (Effect.MUTATE, Effect.MUTATE)


@pytest.mark.parametrize(
    "wrong",
    [
        {"folder": None},
        {"command": "x"},
        {"port": 80},
        {"port": 70000},
        {"port": "8089"},
        {"minutes": 0},
        {"minutes": 241},
        {"name": "../x"},
        {"name": ""},
        {"folder": ""},
    ],
)
def test_what_is_no_call(wrong: dict[str, Any]) -> None:
    right = {"name": "page", "port": 8089, "folder": "config/site"}
    assert apps.HostArgs.model_validate(right).minutes == 30
    with pytest.raises(ValidationError):
        apps.HostArgs.model_validate({**right, **wrong}, strict=True)
