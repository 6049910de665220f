"""Whom the User can speak to: the roster, from the prompt files."""

from dataclasses import dataclass
from pathlib import Path

from agents.domain.addressing import Roster
from agents.domain.errors import PromptError
from agents.domain.role import ROLES, Limits, Role, parse_role

LEAD = "Architect"


@dataclass(frozen=True, slots=True)
class Crew:
    """The roles of a prompt directory. `faults` names the files that can't be read."""

    roles: tuple[Role, ...]
    faults: tuple[str, ...] = ()

    @property
    def roster(self) -> Roster:
        """How they are called."""
        return Roster.of(self.roles)

    @property
    def tags(self) -> dict[str, str]:
        """Every tag one can type, with what it means."""
        tags = {f"@{role.name}": role.title for role in self.roles}
        tags |= {f"@{alias}": role.name for role in self.roles for alias in role.aliases}
        return tags | {"@team": "everyone"}


def read_crew(prompts: Path) -> Crew:
    """The crew of `prompts`. A role whose file is missing or broken is still there by name: its agent has a
    last good version, or says itself what is wrong."""
    roles: list[Role] = []
    faults: list[str] = []
    for name in ROLES:
        try:
            roles.append(parse_role(name, (prompts / f"{name}.md").read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            faults.append(f"prompts/{name}.md: {reason}")
            roles.append(_bare(name))
        except PromptError as error:
            faults.append(str(error))
            roles.append(_bare(name))
    return Crew(tuple(roles), tuple(faults))


def _bare(name: str) -> Role:
    return Role(name, name, (), (), "default", name == LEAD, Limits.model_validate({}), "", "")
