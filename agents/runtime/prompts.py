"""The role prompts on disk: edited by people, in effect from the next turn on."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from agents.domain.addressing import Roster
from agents.domain.approval import SECURITY
from agents.domain.errors import PromptError
from agents.domain.role import ROLES, Role, parse_role

SHARED = "_shared.md"
THREAT_MODEL_CHARS = 6_000
_THREAT_MODEL = (
    "## This place: the User's threat model (docs/threat_model.md)\n"
    "Its assets, accepted risks and posture decide what may block; what it accepts, you don't raise."
)


class PromptLibrary:
    """Reads `<Role>.md` and `_shared.md` of a directory afresh at each turn.

    A file that became unreadable or broken keeps its last good version; `complain` hears of each new fault once.
    `threat_model` is a file of the User's that Security is given, where it is there.
    """

    def __init__(
        self,
        directory: Path,
        complain: Callable[[str], None] = lambda fault: None,
        *,
        threat_model: Path | None = None,
    ) -> None:
        self._directory = directory
        self._complain = complain
        self._threat_model = threat_model
        self._good: dict[str, Role] = {}
        self._faults: dict[str, str] = {}

    def role(self, name: str) -> Role:
        """The role as its file says now. Raise PromptError if it never was good."""
        try:
            role = parse_role(name, self._read(f"{name}.md"), self.shared())
        except PromptError as error:
            return self._last_good(name, str(error))
        self._faults.pop(name, None)
        if name == SECURITY and (model := self._read_threat_model()):
            prose = f"{role.prose}\n\n{_THREAT_MODEL}\n\n{model}"
            role = replace(role, prose=prose, sha=hashlib.sha256(f"{role.sha}\0{model}".encode()).hexdigest())
        self._good[name] = role
        return role

    def shared(self) -> str:
        """The rules all roles share."""
        return self._read(SHARED)

    def roster(self) -> Roster:
        """The roles whose files are there."""
        return Roster.of(self.role(name) for name in ROLES if (self._directory / f"{name}.md").is_file())

    def _read_threat_model(self) -> str:
        """The threat model's text, cut where it is too long for every query; "" where there is none."""
        try:
            text = self._threat_model.read_text(encoding="utf-8") if self._threat_model else ""
        except (OSError, UnicodeDecodeError):
            return ""
        cut = len(text) - THREAT_MODEL_CHARS
        return text.strip() if cut <= 0 else f"{text[:THREAT_MODEL_CHARS]}\n… {cut} more in docs/threat_model.md"

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
