"""What the doctor looks at, and what it finds."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Level(StrEnum):
    """How bad it is: `warn` limits what the team can do, `fail` keeps it from starting."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Row:
    """One finding. `fix` says what to do about it, empty where all is well."""

    name: str
    level: Level
    detail: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model endpoint as the settings name it."""

    base: str
    key: str
    model: str


@dataclass(frozen=True, slots=True)
class Subject:
    """The installation under examination. `endpoint` is None while the rehearsal plays."""

    home: Path
    state_dir: Path
    redis_url: str | None
    room: str
    sandbox: str
    endpoint: Endpoint | None
    key_dir: Path | None = None
