"""What a decider reads of an act: a card, and pages with the very material its digest covers.

Nearly all of it was written by agents or by what they read, so every value stands on lines that no value can forge:
one line after its name, or lines behind a bar.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from agents.domain.approval import Approval
from agents.domain.message import USER

LINE_CHARS = 400
SUMMARY_LINES = 40
PAGE_CHARS = 6_000  # shown at once
_LINE_WIDTH = 1_000
MATERIAL_CHARS = 120_000  # kept with an approval
# printable to Python, blank to eyes
_HIDDEN = frozenset("\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180e\u2800\u3164\uffa0")


@dataclass(frozen=True, slots=True)
class Page:
    """One piece of the material: a file, a script, a plan."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Card:
    """An act in short. `args` is JSON text, `score` 0–1, `blast` a line; `rule` and `why` are the policy's."""

    role: str
    tool: str
    args: str
    effect: str
    score: float
    digest: str
    targets: tuple[str, ...] = ()
    blast: str = ""
    reasons: tuple[str, ...] = ()
    blind_spots: tuple[str, ...] = ()
    rule: str = ""
    why: tuple[str, ...] = ()
    summary: str = ""
    pages: tuple[Page, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The card as a JSON object."""
        return asdict(self)

    @classmethod
    def of_json(cls, body: Mapping[str, Any]) -> "Card":
        """The card of a JSON object; what is missing is empty."""
        fields: dict[str, Any] = {name: str(body.get(name, "")) for name in _TEXTS}
        fields |= {name: tuple(map(str, body.get(name, ()))) for name in _LISTS}
        pages = tuple(Page(str(page["title"]), str(page["text"])) for page in body.get("pages", ()))
        return cls(**fields, score=float(body.get("score", 1.0)), pages=pages)

    def headline(self) -> str:
        """The act in a line."""
        return (
            f"{visible(self.tool, 60)} by {visible(self.role, 40)} ({visible(self.effect, 20)}, risk {self.score:g})"
        )

    def text(self, approval: Approval) -> str:
        """The card for people and models."""
        rows = [
            f"[{approval.id}] wants leave: {self.headline()}",
            f"decided by: {decided_by(approval)}",
            f"arguments: {visible(self.args)}",
            *_row("targets", [", ".join(self.targets)] if self.targets else []),
            f"blast: {visible(self.blast)}",
            *_row("reason", self.reasons),
            *_row("blind spot", self.blind_spots),
            f"policy: {visible(self.rule)}" + "".join(f"; {visible(why)}" for why in self.why),
            f"digest: {self.digest}",
        ]
        if self.summary.strip():
            rows += ["what would happen:", *barred(self.summary, SUMMARY_LINES)]
        return "\n".join(rows)


_LISTS = ("targets", "reasons", "blind_spots", "why")
_TEXTS = ("role", "tool", "args", "effect", "digest", "blast", "rule", "summary")


def decided_by(approval: Approval) -> str:
    """Whose leave it needs, and who gave theirs."""
    given = {decision.by for decision in approval.decisions if decision.approve}
    names = {name: "the User" if name == USER else name for name in approval.needed}
    return " and ".join(f"{names[who]}{' (agreed)' if who in given else ''}" for who in sorted(names))


def pages_of(card: Card, approval: Approval) -> list[str]:
    """The card and all the material, in pieces of at most about `PAGE_CHARS` characters."""
    pieces: list[str] = []
    lines: list[str] = []
    used = 0
    for line in (*card.text(approval).splitlines(), "material:", *_material_lines(card.pages)):
        if lines and used + len(line) > PAGE_CHARS:
            pieces.append("\n".join(lines))
            lines, used = [], 0
        lines.append(line)
        used += len(line) + 1
    return [*pieces, "\n".join(lines)]


def _material_lines(pages: Iterable[Page]) -> Iterator[str]:
    if not pages:
        yield "  (the arguments are all there is)"
    for page in pages:
        yield f"== {visible(page.title)}"
        for line in page.text.splitlines():
            shown = visible(line, len(line), keep=True)
            # a line as long as a file is no hiding place: it goes on, behind its own bar
            for at in range(0, max(len(shown), 1), _LINE_WIDTH):
                yield f"  {'|' if at == 0 else '…'} {shown[at : at + _LINE_WIDTH]}"


def barred(text: str, most: int) -> list[str]:
    """The text's lines, each behind a bar that no text can leave; what is beyond `most` is counted."""
    lines = text.splitlines()
    shown = [f"  | {visible(line, keep=True)}" for line in lines[:most]]
    return [*shown, f"  … {len(lines) - most} more lines"] if len(lines) > most else shown


def visible(text: str, cap: int = LINE_CHARS, *, keep: bool = False) -> str:
    """`text` on one line, everything a terminal or an eye would be deceived by spelled out; `keep` leaves blanks."""
    if not keep:
        text = " ".join(text.split())
    cut = len(text) - cap
    shown = "".join(_spelled(letter) for letter in text[:cap])
    return shown if cut <= 0 else f"{shown}… {cut} more"


def _spelled(letter: str) -> str:
    if letter.isprintable() and letter not in _HIDDEN:
        return letter
    if letter == "\t":
        return "    "
    return f"\\u{{{ord(letter):x}}}"


def _row(name: str, values: Iterable[str]) -> Iterator[str]:
    return (f"{name}: {visible(value)}" for value in values)
