"""The tool on the environment: one named variable at a time, and no secret."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import Field

from agents.domain.errors import InvalidArguments, Refused
from agents.domain.ports import Redactor
from agents.domain.redaction import is_secret_name
from agents.domain.turn import Effect
from agents.tools.registry import Act, Args, Output, Tool

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_EVERYTHING = ("ALL", "ENV", "ENVIRON", "ENVIRONMENT", "EVERYTHING", "PRINTENV")


class EnvArgs(Args):
    """What `read_env` takes."""

    name: str = Field(min_length=1, max_length=200, description="exactly one variable's name")


def tools(variables: Mapping[str, str], redactor: Redactor, allowed: Collection[str] = ()) -> list[Tool[Any]]:
    """`read_env` over `variables`. Names of `allowed` are shown although they look like a secret's."""

    async def read(args: EnvArgs, act: Act) -> Output:
        name = _one(args.name)
        value = variables.get(name)
        if value is None:
            return Output(f"{name} is not set")
        hidden = is_secret_name(name) and name not in allowed
        if hidden or redactor.text(value) != value:
            return Output(f"{name} is set, value hidden")
        return Output(f"{name}={value}")

    return [
        Tool(
            "read_env",
            "Read one environment variable by its exact name. Of a secret you learn whether it is set. There is no "
            'listing. Example: {"name": "REDIS_URL"}',
            EnvArgs,
            read,
            Effect.READ,
        )
    ]


def _one(name: str) -> str:
    """The name. Raise Refused for a wish for all of them, InvalidArguments for what is no name."""
    if name.strip().upper() in _EVERYTHING or any(sign in name for sign in "*?[]%"):
        raise Refused("the environment is never listed: name exactly one variable")
    if not re.fullmatch(_NAME, name):
        raise InvalidArguments(f"{name[:80]!r} is no variable name: give exactly one, such as REDIS_URL")
    return name
