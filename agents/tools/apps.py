"""Tools that serve something on this machine's loopback: host_app and stop_app."""

from typing import Any

from pydantic import Field, model_validator

from agents.domain.turn import Effect
from agents.executors.hosting import LOWEST_PORT, App, Hosting
from agents.tools.registry import Act, Args, Output, Tool

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


def tools(hosting: Hosting) -> list[Tool[Any]]:
    """`host_app` and `stop_app`."""

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
        ),
        Tool("stop_app", "End an app that host_app serves.", StopArgs, stop, Effect.MUTATE),
    ]
