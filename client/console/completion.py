"""What Tab offers: roles after `@`, commands after `/` or at the start of a line."""

from collections.abc import Callable, Iterable

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from client.console.commands import COMMANDS
from client.roster import Crew


class RoomCompleter(Completer):
    """Completes the word before the cursor. `crew` reads the prompts afresh, so that edits show."""

    def __init__(self, crew: Callable[[], Crew]) -> None:
        self._crew = crew

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """The choices for the word before the cursor."""
        before = document.text_before_cursor
        word = before.split()[-1] if before and not before[-1].isspace() else ""
        if word.startswith("@"):
            choices = self._crew().tags
        elif before == word and word.startswith("/"):
            choices = {f"/{row.name}": row.help for row in COMMANDS}
        elif before == word and complete_event.completion_requested:  # on Tab, not while somebody writes a sentence
            choices = {name: row.help for row in COMMANDS for name in row.words}
        else:
            return
        for choice, meaning in choices.items():
            if choice.lower().startswith(word.lower()):
                yield Completion(f"{choice} ", -len(word), display=choice, display_meta=meaning)
