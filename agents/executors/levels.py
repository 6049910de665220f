"""How far commands are confined and bounded, in words and numbers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds one call: `memory` and `pids` the whole tree, `cpu_seconds`, `file_bytes` and `open_files` each of
    its processes, `tmp_bytes` each of its own file systems; `workspace_bytes` the workspace, over all calls."""

    memory: int = 1 << 30
    pids: int = 256
    cpu_seconds: int = 600
    file_bytes: int = 256 << 20
    open_files: int = 1024
    tmp_bytes: int = 256 << 20
    workspace_bytes: int = 1 << 30


@dataclass(frozen=True, slots=True)
class Level:
    """What really confines commands here. `name` is bubblewrap, container or none; `detail` says how or why not, and
    `fix` what to do where it should be better."""

    name: str
    detail: str
    bounds: str = ""
    fix: str = ""

    @property
    def runs(self) -> bool:
        """Whether commands may run at all."""
        return self.name != "none"

    def line(self) -> str:
        """One line for people."""
        return ": ".join((self.name, self.detail)) + (f"; bounds by {self.bounds}" if self.bounds else "")
