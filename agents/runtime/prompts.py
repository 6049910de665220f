"""The role prompts on disk: edited by people, in effect from the next turn on."""

from collections.abc import Callable
from pathlib import Path

from agents.domain.addressing import Roster
from agents.domain.errors import PromptError
from agents.domain.role import ROLES, Role, parse_role

SHARED = "_shared.md"


class PromptLibrary:
    """Reads `<Role>.md` and `_shared.md` of a directory afresh at each turn.

    A file that became unreadable or broken keeps its last good version; `complain` hears of each new fault once.
    """

    def __init__(self, directory: Path, complain: Callable[[str], None] = lambda fault: None) -> None:
        self._directory = directory
        self._complain = complain
        self._good: dict[str, Role] = {}
        self._faults: dict[str, str] = {}

    def role(self, name: str) -> Role:
        """The role as its file says now. Raise PromptError if it never was good."""
        try:
            role = parse_role(name, self._read(f"{name}.md"), self.shared())
        except PromptError as error:
            return self._last_good(name, str(error))
        self._faults.pop(name, None)
        self._good[name] = role
        return role

    def shared(self) -> str:
        """The rules all roles share."""
        return self._read(SHARED)

    def roster(self) -> Roster:
        """The roles whose files are there."""
        return Roster.of(self.role(name) for name in ROLES if (self._directory / f"{name}.md").is_file())

    def _read(self, file: str) -> str:
        try:
            return (self._directory / file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise PromptError(f"prompts/{file}: {reason}; restore it from the repository") from None

    def _last_good(self, name: str, fault: str) -> Role:
        if name not in self._good:
            raise PromptError(fault)
        if self._faults.get(name) != fault:
            self._faults[name] = fault
            self._complain(f"{fault}. The last good version stays in effect.")
        return self._good[name]
