"""Pages made from the code: `.env.template` and the settings, tools and errors of the manual.

`python -m agents.reference` writes them; a test says when they are stale.
"""

import inspect
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic.fields import FieldInfo

from agents.compose_variables import VARIABLES
from agents.domain import errors
from agents.domain.redaction import SecretMask
from agents.domain.role import ROLES
from agents.room.in_memory import InMemoryRoom
from agents.runtime.prompts import PromptLibrary
from agents.settings import HOME, Settings
from agents.telemetry.ledger import Ledger
from agents.toolbox import Toolbox


def pages() -> dict[str, str]:
    """Every generated page: path from the root → text."""
    return {
        ".env.template": env_template(),
        "docs/manual/reference/settings.md": settings_page(),
        "docs/manual/reference/tools.md": tools_page(),
        "docs/manual/reference/errors.md": errors_page(),
    }


def env_template() -> str:
    """Every setting with its default and what it is for."""
    parts = [
        "# Copy to .env and fill in what you need: every setting has a default.\n"
        "# With no OPENAI_API_KEY the rehearsal plays a scripted team.\n"
    ]
    for name, field in Settings.model_fields.items():
        default = shown_default(name, field)
        parts.append(f"# {field.description}\n{'' if default else '# '}{name.upper()}={default}\n")
    parts.append("\n# Only for containers: docker-compose.yml and the image's build.\n")
    parts += [f"# {meaning}\n# {name}={default}\n" for name, (default, meaning) in VARIABLES.items()]
    return "\n".join(parts)


def settings_page() -> str:
    """The settings as a table."""
    rows = "\n".join(
        f"| `{name.upper()}` | {shown_default(name, field) or '—'} | {field.description} |"
        for name, field in Settings.model_fields.items()
    )
    containers = "\n".join(
        f"| `{name}` | {default or '—'} | {meaning} |" for name, (default, meaning) in VARIABLES.items()
    )
    head = "| setting | default | meaning |\n|---|---|---|\n"
    return (
        "# Settings\n\nFrom the environment, else from `.env`, else from files in `/run/secrets` named for "
        f"them in small letters.\n\n{head}{rows}\n\n"
        f"Only for containers, from the environment or `.env`:\n\n{head}{containers}\n"
    )


def tools_page() -> str:
    """Every tool: what it does, its effect, its arguments, and the roles whose shipped prompts name it."""
    with TemporaryDirectory() as directory:
        settings = Settings(minilab_home=Path(directory), _env_file=None)
        registry = Toolbox(
            settings, InMemoryRoom(), SecretMask(), Ledger(Path(directory), "reference", SecretMask(), print)
        ).registry
    prompts = PromptLibrary(HOME / "prompts")
    holders = {role: prompts.role(role).tools for role in ROLES}
    parts = ["# Tools\n\nWhat agents may do, as they are told it. `effect` is what the gate takes a call for.\n"]
    for name in registry.names():
        tool = registry.find(name, (name,))
        effect = "by its arguments" if callable(tool.effect) else tool.effect.value
        roles = ", ".join(role for role, tools in holders.items() if name in tools) or "no shipped role"
        arguments = ", ".join(
            f"`{field}`" if info.is_required() else f"`{field}` (optional)"
            for field, info in tool.args.model_fields.items()
        )
        parts.append(
            f"## {name}\n\n{tool.description}\n\n"
            f"Effect: {effect}. Arguments: {arguments or 'none'}. Held by: {roles}.\n"
        )
    return "\n".join(parts)


def errors_page() -> str:
    """The tree of errors."""
    return f"# Errors\n\n```\n{inspect.getdoc(errors)}\n```\n"


def shown_default(name: str, field: FieldInfo) -> str:
    """A default as one writes it in `.env`."""
    default = field.default
    if default is None or name == "minilab_home":
        return ""
    return ",".join(default) if isinstance(default, tuple) else str(default)


def write(root: Path) -> None:
    """Write every page below `root`."""
    for path, text in pages().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


if __name__ == "__main__":
    write(HOME)
