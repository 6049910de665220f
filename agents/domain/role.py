"""A role: who an agent is, read from its prompt file (front matter + prose)."""

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agents.domain.errors import PromptError

ROLES = ("Architect", "Coder", "DevOps", "Security", "QA", "Observer")
_FRONT_MATTER = re.compile(r"\A\ufeff?---\r?\n(.*?)\r?\n---\r?\n(.*)\Z", re.DOTALL)


class Limits(BaseModel):
    """What bounds one turn of a role."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    steps: int = Field(100, ge=1, le=1000, description="model queries per turn")
    tool_errors: int = Field(3, ge=1, description="failed calls in a row before escalation")
    tool_timeout: float = Field(300, gt=0, description="seconds one tool call may take")
    context_tokens: int = Field(24_000, ge=2_000, description="prompt budget, tokens")
    network: bool = Field(False, description="whether sandboxed commands may reach the network")


class _FrontMatter(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    tag: str = Field(pattern=r"^@[A-Za-z][A-Za-z0-9_]*$")
    title: str = Field(min_length=1)
    aliases: tuple[Annotated[str, Field(pattern=r"^@?[A-Za-z][A-Za-z0-9_]*$")], ...] = ()
    tools: tuple[str, ...] = ()
    tier: str = Field("default", pattern=r"^(fast|default|strong)$")
    answers_user: bool = False
    limits: Limits = Limits.model_validate({})


@dataclass(frozen=True, slots=True)
class Role:
    """One role of the team. `sha` is the SHA-256 of its prompt file together with the shared rules."""

    name: str
    title: str
    aliases: tuple[str, ...]
    tools: tuple[str, ...]
    tier: str
    answers_user: bool
    limits: Limits
    prose: str
    sha: str


@lru_cache(maxsize=64)  # prompts are read at each turn, and hardly ever change
def parse_role(name: str, text: str, shared: str = "") -> Role:
    """The role in the prompt file `text`. Raise PromptError naming the file, the field and the fault."""
    match = _FRONT_MATTER.match(text)
    if not match:
        raise PromptError(f"prompts/{name}.md: no front matter; start the file with '---', fields, '---'")
    try:
        fields = _FrontMatter.model_validate(yaml.safe_load(match[1]))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "front matter"
        raise PromptError(f"prompts/{name}.md: {where}: {first['msg']}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date like 2024-13-45
        raise PromptError(f"prompts/{name}.md: front matter is no YAML: {_one_line(error)}") from None
    if fields.tag != f"@{name}":
        raise PromptError(f"prompts/{name}.md: tag is {fields.tag}, but the file's name makes it @{name}")
    return Role(
        name=name,
        title=fields.title,
        aliases=tuple(alias.removeprefix("@") for alias in fields.aliases),
        tools=fields.tools,
        tier=fields.tier,
        answers_user=fields.answers_user,
        limits=fields.limits,
        prose=match[2].strip(),
        sha=hashlib.sha256((text + "\0" + shared).encode()).hexdigest(),
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
