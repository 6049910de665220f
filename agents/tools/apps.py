"""Tools that serve something on this machine's loopback: host_app and stop_app."""

import asyncio
from typing import Any

from pydantic import Field, model_validator

from agents.domain.card import Page
from agents.domain.errors import InvalidArguments
from agents.domain.turn import Effect
from agents.executors.hosting import LOWEST_PORT, App, Hosting
from agents.executors.snapshot import snapshot
from agents.executors.workspace import Workspace
from agents.tools import commands
from agents.tools.material import Foreseen, Material, files_as_pages
from agents.tools.registry import Act, Args, Output, Tool

_HERE = ("localhost",)
_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$"


class HostArgs(Args):
    """What `host_app` takes."""

    name: str = Field(pattern=_NAME, description="a short name, such as status-page")
    port: int = Field(ge=LOWEST_PORT, le=65535)
    folder: str | None = Field(None, min_length=1, description="workspace folder to serve, such as config/site")
    command: str | None = Field(None, min_length=1, max_length=10_000, description="bash; must listen on $HOST:$PORT")
    minutes: int = Field(30, ge=1, le=240, description="how long it is served")

    @model_validator(mode="after")
    def _exactly_one(self) -> "HostArgs":
        if (self.folder is None) == (self.command is None):
            raise ValueError("give exactly one of folder and command")
        return self


class StopArgs(Args):
    """What `stop_app` takes."""

    name: str = Field(min_length=1, max_length=200)


def tools(hosting: Hosting, workspace: Workspace) -> list[Tool[Any]]:
    """`host_app` and `stop_app`."""

    async def material(args: HostArgs) -> Material:
        if args.folder is None:
            return _command_material(args.command or "")
        name = workspace.shown(args.folder)
        if not name or workspace.kind(name) != "folder":
            raise InvalidArguments(f"{args.folder[:120]!r} is no folder: name the folder that holds the page")
        shot = await asyncio.to_thread(snapshot, workspace, [name])
        return Material({"tree": shot.sha}, (name,), _HERE, pages=files_as_pages(shot), foresee=_served)

    async def host(args: HostArgs, act: Act) -> Output:
        app = App(args.name, args.port, act.role, args.minutes * 60, args.folder, args.command)
        hosted = await hosting.host(app)
        return Output(f"{args.name} serves {hosted.what} at {app.url} for {args.minutes} minutes (it answers)")

    async def stop(args: StopArgs, act: Act) -> Output:
        app = await hosting.stop(args.name)
        return Output(f"{app.name} is no longer served; port {app.port} is free")

    return [
        Tool(
            "host_app",
            "Serve a workspace folder, or run a command that serves something, on 127.0.0.1:<port> of this machine. "
            "Returns once the port answers. It ends after its minutes, with stop_app, or with the team. Calling it "
            'again with the same name replaces the app. Example: {"name": "status-page", "port": 8089, "folder": '
            '"config/status-page/site"}',
            HostArgs,
            host,
            Effect.MUTATE,
            material=material,
        ),
        Tool("stop_app", "End an app that host_app serves.", StopArgs, stop, Effect.MUTATE),
    ]


async def _served() -> Foreseen:
    return Foreseen(blind_spots=("what is saved in the folder later is served too",))


def _command_material(command: str) -> Material:
    """A command's text is all that can be pinned of it."""

    async def foresee() -> Foreseen:
        verdict = commands.classify(command)
        return Foreseen(commands=(verdict,), blind_spots=("files the command reads may change until its end",))

    return Material({}, (), _HERE, pages=(Page("command", command),), foresee=foresee)
