"""What would really run, and what can be told of it beforehand: the ground of risk, card and digest."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agents.domain.card import MATERIAL_CHARS, Page
from agents.domain.turn import Effect
from agents.executors.snapshot import Snapshot
from agents.tools.commands import Verdict
from agents.tools.risk import CheckRun

FILE_CHARS = 40_000
TOO_LONG = "not all of the material fits on the card: read the files themselves"


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What is known of an act before it starts. `effect` is the least it does; `inventory` all hosts it may know."""

    effect: Effect = Effect.READ
    plan: Mapping[str, Any] | None = None
    check_run: CheckRun | None = None
    commands: tuple[Verdict, ...] = ()
    hosts: tuple[str, ...] = ()
    inventory: tuple[str, ...] = ()
    blind_spots: tuple[str, ...] = ()
    summary: str = ""


async def _nothing() -> Foreseen:
    return Foreseen()


@dataclass(frozen=True, slots=True)
class Material:
    """What one call would run.

    `identity` goes into the digest: hashes of everything that decides what happens. `targets` are workspace names
    (findings block by them), `hosts` inventory names, `leases` what nobody else may act on meanwhile. `content` is a
    private copy to act from, where the act takes one. `foresee` may take its time (a check run).
    """

    identity: Mapping[str, Any] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    leases: tuple[str, ...] = ()
    pages: tuple[Page, ...] = ()
    content: bytes = b""
    foresee: Callable[[], Awaitable[Foreseen]] = _nothing


def files_as_pages(snapshot: Snapshot, first: Sequence[str] = ()) -> tuple[Page, ...]:
    """The snapshot's files as pages, those of `first` before the others."""
    order = sorted(snapshot.files, key=lambda path: (path not in first, path))
    return tuple(
        Page(f"{path} ({len(snapshot.files[path]):,} bytes)", as_text(snapshot.files[path])) for path in order
    )


def args_as_pages(args: Mapping[str, Any]) -> tuple[Page, ...]:
    """Every argument that is a text of several lines, or long, as a page of its own."""
    texts = {name: value if isinstance(value, str) else _json(value) for name, value in args.items()}
    return tuple(Page(f"argument {name}", text) for name, text in texts.items() if "\n" in text or len(text) > 200)


def fitted(pages: Sequence[Page]) -> tuple[tuple[Page, ...], bool]:
    """The pages within what an approval keeps, and whether that is all of them."""
    left, kept = MATERIAL_CHARS, []
    whole = True
    for page in pages:
        text = page.text[: min(left, FILE_CHARS)]
        if len(text) < len(page.text):
            whole = False
            text += f"\n… {len(page.text) - len(text):,} characters left out"
        if left > 0 or not page.text:
            kept.append(Page(page.title, text))
        left -= len(text)
    return tuple(kept), whole


def sha256(content: bytes) -> str:
    """The hash that stands for the content in an identity."""
    return hashlib.sha256(content).hexdigest()


def as_text(content: bytes) -> str:
    """Bytes as a decider reads them."""
    if b"\0" in content:
        return f"(binary, sha256 {sha256(content)})"
    return content.decode("utf-8", "backslashreplace")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, default=str)
