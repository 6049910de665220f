"""A console desk over an in-memory room that keeps what it showed."""

from dataclasses import dataclass, field
from pathlib import Path

from rich.text import Text

from agents.room.in_memory import InMemoryRoom
from client.console.commands import Desk
from client.roster import read_crew


@dataclass
class Shown:
    """What was shown, and what a question gets for an answer."""

    lines: list[str] = field(default_factory=list)
    answer: bool = True
    questions: list[str] = field(default_factory=list)

    def show(self, text: Text) -> None:
        """Keep it."""
        self.lines.append(text.plain)

    async def confirm(self, question: str) -> bool:
        """Keep the question; answer as set."""
        self.questions.append(question)
        return self.answer

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(self.lines)


def desk_of(prompts: Path, answer: bool = True) -> tuple[Desk, Shown]:
    """A desk in a fresh room."""
    shown = Shown(answer=answer)
    return Desk(InMemoryRoom("lab"), lambda: read_crew(prompts), shown.show, shown.confirm), shown
