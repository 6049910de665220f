"""Who a text speaks to: @tags outside code, quotes and e-mail addresses; and what wakes nobody."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from agents.domain.errors import PromptError
from agents.domain.role import Role

TEAM_TAGS = ("team", "all", "everyone")
_RESERVED = frozenset((*TEAM_TAGS, "user"))

_FENCE_START = re.compile(r"[ \t]*(?:(?:[-*+]|\d{1,3}[.)])[ \t]+)*(`{3,}(?!.*`)|~{3,})")
# a run of backquotes up to the next run of the same length in the same paragraph
_INLINE = re.compile(r"(?<!`)(`+)(?!`)((?:(?!\n[ \t]*\n).)+?)(?<!`)\1(?!`)", re.DOTALL)
_QUOTE = re.compile(r"^[ \t]*>.*$", re.MULTILINE)
_TAG = re.compile(r"(?<![\w.@/+-])@([A-Za-z][A-Za-z0-9_]*(?:/@[A-Za-z][A-Za-z0-9_]*)*)(?![\w@])")
_ACKNOWLEDGEMENTS = frozenset(
    (
        "thanks thank you noted acknowledged ack ok okay roger understood will do got it great perfect good job "
        "nice work standing by no further action needed sounds much appreciated well all team waiting i am i'm "
        "we are for the update and"
    ).split()
)


@dataclass(frozen=True, slots=True)
class Roster:
    """The roles in the room and how they are called."""

    names: tuple[str, ...]
    by_tag: dict[str, str]
    answers_user: tuple[str, ...]

    @classmethod
    def of(cls, roles: Iterable[Role]) -> "Roster":
        """The roster of `roles`; tags and aliases are case-insensitive. Raise PromptError where two share a tag."""
        roles = tuple(roles)
        by_tag: dict[str, str] = {}
        for role in roles:
            for tag in (role.name, *role.aliases):
                taken = by_tag.setdefault(tag.lower(), role.name)
                if taken != role.name or tag.lower() in _RESERVED:
                    whose = "of the room itself" if tag.lower() in _RESERVED else f"of @{taken}"
                    raise PromptError(f"prompts/{role.name}.md: @{tag} is a tag {whose} already; choose another")
        return cls(
            tuple(role.name for role in roles),
            by_tag,
            tuple(role.name for role in roles if role.answers_user),
        )

    def tagged(self, text: str) -> tuple[str, ...]:
        """Role names tagged in `text`, in order of mention, each once."""
        found: dict[str, None] = {}
        for tag in _tags(text):
            if tag in TEAM_TAGS:
                found.update(dict.fromkeys(self.names))
            elif tag in self.by_tag:
                found[self.by_tag[tag]] = None
        return tuple(found)

    def addressees(self, text: str, sender: str, asker: str | None = None) -> tuple[str, ...]:
        """Who `text` wakes when `sender` says it: never the sender.

        The tagged; else, for the User's words, the roles that answer the User; else the `asker` whose
        message this answers, so that no answer is lost for want of a tag.
        """
        tagged = self.tagged(text)
        if not tagged:
            if sender not in self.names:
                tagged = self.answers_user
            elif asker in self.names and not speaks_to_user(text):
                tagged = (asker,) if asker else ()
        return tuple(name for name in tagged if name != sender)


def spoken(text: str) -> str:
    """`text` without fenced code, inline code and quoted lines."""
    return _QUOTE.sub(" ", _INLINE.sub(" ", _without_fences(text)))


def _without_fences(text: str) -> str:
    """`text` without fenced blocks: a fence ends at one of its kind that is at least as long, or with the text."""
    kept = []
    fence = ""
    for line in text.split("\n"):
        if not fence:
            start = _FENCE_START.match(line)
            fence = start[1] if start else ""
            kept.append("" if fence else line)
        elif (bare := line.strip()) and set(bare) == {fence[0]} and len(bare) >= len(fence):
            fence = ""
    return "\n".join(kept)


def _tags(text: str) -> list[str]:
    """Every tag spoken in `text`, in lower case; `@A/@B` are two."""
    return [tag for match in _TAG.finditer(spoken(text)) for tag in match[1].lower().split("/@")]


def speaks_to_user(text: str) -> bool:
    """Whether `text` tags the User."""
    return "user" in _tags(text)


def is_acknowledgement(text: str) -> bool:
    """Whether `text` only says thanks or noted: it wakes nobody. A question or a piece of code never is one."""
    if "?" in text:
        return False
    words = re.findall(r"[^\W_]+(?:'[^\W_]+)*", _TAG.sub(" ", _QUOTE.sub(" ", text)).lower().replace("’", "'"))
    return len(words) <= 12 and all(word in _ACKNOWLEDGEMENTS for word in words)


def normalised(text: str) -> str:
    """`text` reduced to what makes it the same message again: case and spacing folded."""
    return " ".join(text.lower().split())
