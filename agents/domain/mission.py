"""The mission: the User's words, verbatim, and the checks that say whether it is done."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter
from pydantic_core import PydanticCustomError


class Verdict(StrEnum):
    """What a probe says. `unknown` counts as not done."""

    PASS = "pass"  # noqa: S105  a verdict, not a password
    FAIL = "fail"
    UNKNOWN = "unknown"


class _Probe(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    title: str = Field(min_length=3, max_length=200, description="what it proves, in a short sentence")


class HttpProbe(_Probe):
    """A GET answers with the status, and its body contains the text."""

    type: Literal["http"]
    url: str = Field(pattern=r"^https?://", max_length=2000)
    status: int = Field(200, ge=100, le=599)
    contains: str | None = Field(None, description="text the body must contain")


class TcpProbe(_Probe):
    """A TCP connection opens."""

    type: Literal["tcp"]
    host: str = Field(min_length=1, max_length=253)
    port: int = Field(ge=1, le=65535)


class FileProbe(_Probe):
    """A workspace file exists, and contains the text."""

    type: Literal["file"]
    path: str = Field(min_length=1)
    contains: str | None = None


class CommandProbe(_Probe):
    """A read-only command exits as expected, and its output contains the text."""

    type: Literal["command"]
    argv: tuple[str, ...] = Field(min_length=1, description="program and arguments, no shell")
    exit_code: int = 0
    contains: str | None = None


class AnsibleProbe(_Probe):
    """A playbook's check run predicts no change and no failure."""

    type: Literal["ansible_idempotent"]
    playbook: str
    inventory: str | None = None


class TerraformProbe(_Probe):
    """A module's plan is empty."""

    type: Literal["terraform_clean"]
    module: str


_TYPES = "http, tcp, file, command, ansible_idempotent, terraform_clean"


def _typed(value: object) -> object:
    """Say which types there are, which the schema's own complaint about a missing one doesn't."""
    if isinstance(value, Mapping) and "type" not in value:
        raise PydanticCustomError("probe_type", "a check needs `type`, one of {types}", {"types": _TYPES})
    return value


Probe = Annotated[
    HttpProbe | TcpProbe | FileProbe | CommandProbe | AnsibleProbe | TerraformProbe,
    Field(discriminator="type"),
    BeforeValidator(_typed),
]
PROBE: TypeAdapter[Probe] = TypeAdapter(Probe)


@dataclass(frozen=True, slots=True)
class Check:
    """An acceptance probe of the mission and what it last said."""

    id: str
    probe: Probe
    verdict: Verdict = Verdict.UNKNOWN
    evidence: str = "not run yet"
    waived: str | None = None

    @property
    def green(self) -> bool:
        """Whether it stands in nobody's way."""
        return self.verdict is Verdict.PASS or self.waived is not None

    def line(self) -> str:
        """One line for people and prompts."""
        state = f"waived by the User: {self.waived}" if self.waived else self.verdict.value
        # evidence is what some server answered: it must not look like another check's line
        return _one_line(f"[{self.id}] {self.probe.title} ({self.probe.type}): {state} — {self.evidence}")


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in " ".join(text.split()))


def check_id(probe: Probe) -> str:
    """The id of a probe: the same probe proposed again is the same check."""
    body = probe.model_dump_json(exclude={"title"})
    return "c" + hashlib.sha256(body.encode()).hexdigest()[:6]


@dataclass(frozen=True, slots=True)
class Request:
    """Words of the User that belong to the mission. `sha` is their SHA-256."""

    message_id: str
    text: str
    timestamp: str
    sha: str

    @classmethod
    def of(cls, message_id: str, text: str, timestamp: str) -> "Request":
        """A request with its hash."""
        return cls(message_id, text, timestamp, hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())


@dataclass(frozen=True, slots=True)
class Mission:
    """What the User wants. `acts` counts the calls that changed the world for it."""

    requests: tuple[Request, ...] = ()
    checks: tuple[Check, ...] = ()
    acts: int = 0

    @property
    def only_talk(self) -> bool:
        """Whether nothing was done to the world and nothing is to be proven: a question, not a job."""
        return not self.acts and not self.checks

    def standing_in_the_way(self) -> tuple[Check, ...]:
        """The checks that are not green."""
        return tuple(check for check in self.checks if not check.green)


class RoomState(StrEnum):
    """What the room is doing."""

    IDLE = "idle"
    RUNNING = "running"
    STOPPED = "stopped"
    DONE = "done"
    AWAITING_INPUT = "awaiting_input"
    PAUSED = "paused"  # lies over the state there was, which is back with /resume


@dataclass(frozen=True, slots=True)
class Control:
    """The room's epoch and state. STOP and CLEAR raise the epoch.

    `born` names this incarnation of the room: another one, or none, and all data is gone. `now` is the server's
    clock, Unix seconds.
    """

    epoch: int = 0
    state: RoomState = RoomState.IDLE
    reason: str = ""
    born: str = field(default="", compare=False)
    now: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Presence:
    """A worker's heartbeat, `age` seconds ago."""

    role: str
    consumer: str
    host: str
    state: str
    step: int = 0
    prompt_sha: str = ""
    age: float = 0.0


@dataclass(frozen=True, slots=True)
class HostedApp:
    """Something the team serves on a loopback port until `expires` (Unix seconds).

    `owner` is the process it ends with, as `host:pid`.
    """

    name: str
    port: int
    what: str
    role: str
    expires: float
    owner: str = ""


def report(checks: Iterable[Check]) -> str:
    """The checks, one a line."""
    return "\n".join(check.line() for check in checks)
