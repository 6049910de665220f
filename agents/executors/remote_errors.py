"""What goes wrong on the way to a host, told apart."""

from enum import StrEnum

from agents.domain.errors import Refused, ToolError, ToolTimeout


class Fault(StrEnum):
    """Where it went wrong: what the reader has to look at."""

    NAME = "name"
    ROUTE = "route"
    KEY = "key"
    HOST_KEY = "host key"
    PERMISSION = "permission"
    COMMAND = "command not found"
    TIMEOUT = "timeout"
    STOPPED = "stopped"


_TYPES: dict[Fault, type[ToolError]] = {Fault.HOST_KEY: Refused, Fault.TIMEOUT: ToolTimeout}


def failure(fault: Fault, host: str, detail: str) -> ToolError:
    """The error to raise: it starts with the host and the fault."""
    return _TYPES.get(fault, ToolError)(f"{host}: {fault}: {detail}")
