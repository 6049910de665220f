"""A workspace of its own in a temporary directory, and what works on it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.domain.redaction import SecretMask
from agents.domain.turn import Claim
from agents.executors.lint import Lint
from agents.executors.process import Processes
from agents.executors.search import Search
from agents.executors.versions import Versions
from agents.executors.workspace import Quota, Workspace
from agents.tools import files
from agents.tools.registry import Act, Output, Tool


def roots(base: Path) -> dict[str, Path]:
    """The four roots as the product lays them out."""
    return {
        "infra": base / "generated_iac/infra",
        "config": base / "generated_iac/config",
        "docs": base / "docs",
        "tmp": base / "tmp",
    }


def workspace(base: Path, *, quota: Quota | None = None, openat2: bool | None = None) -> Workspace:
    """A workspace below `base`, which has a secret next to it that nothing may reach."""
    made = Workspace(roots(base), quota=quota, openat2=openat2)
    (base / ".env").write_text("OPENAI_API_KEY=outside\n")
    manual = base / "docs/manual"
    manual.mkdir(exist_ok=True)
    (manual / "architecture.md").write_text("the manual\n")
    return made


@dataclass(frozen=True)
class Desk:
    """The file tools, ready to be called."""

    base: Path
    workspace: Workspace
    versions: Versions
    tools: dict[str, Tool[Any]]

    async def call(self, tool: str, *, role: str = "Coder", call: str = "call_1", **args: Any) -> Output:
        """Call a tool as the gate does."""
        found = self.tools[tool]
        act = Act(role, Claim("turn01", role, "one", 1, 0, ()), 3, call, 30)
        return await found.run(found.args.model_validate(args), act)


def desk(base: Path, *, secrets: tuple[str, ...] = (), processes: Processes | None = None) -> Desk:
    """File tools over a workspace below `base`."""
    place = workspace(base)
    processes = processes or Processes()
    home = base / "home"
    home.mkdir()
    versions = Versions(processes, base / "generated_iac", home, ("infra", "config"))
    made = files.tools(
        place, versions, Search(place, processes, home), Lint(place, processes, home), SecretMask(secrets)
    )
    return Desk(base, place, versions, {tool.name: tool for tool in made})
