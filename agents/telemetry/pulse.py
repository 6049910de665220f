"""The mark of each heartbeat that the room took, for `agents.healthcheck` beside this process."""

from collections.abc import Callable
from pathlib import Path


class Pulse:
    """Marks heartbeats below `directory`, a file per role. `complain` is told once if it can't be written."""

    def __init__(self, directory: Path, complain: Callable[[str], None]) -> None:
        self._directory = directory
        self._complain = complain
        self._complained = False

    def mark(self, role: str) -> None:
        """The room has just taken a heartbeat of `role`."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._directory / role).touch()
        except OSError as error:
            if not self._complained:
                self._complaint(error)

    def forget(self, role: str) -> None:
        """`role` leaves."""
        (self._directory / role).unlink(missing_ok=True)

    def _complaint(self, error: OSError) -> None:
        self._complained = True
        self._complain(f"heartbeats can't be marked in {self._directory}: {error.strerror}; health checks will fail")
