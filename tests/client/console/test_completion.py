"""What Tab offers."""

from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from client.console.completion import RoomCompleter
from client.roster import read_crew


@pytest.mark.parametrize(
    ("typed", "tab", "offered"),
    [
        ("@Co", False, ["@Coder ", "@Coder_Alias "]),
        ("hello @qa", False, ["@QA ", "@QA_Alias "]),
        ("@te", False, ["@team "]),
        ("/ch", False, ["/checks "]),
        ("see /ch", False, []),
        ("st", True, ["STOP "]),
        ("st", False, []),
        ("hello st", True, []),
        ("", True, ["STOP ", "CLEAR ", "exit ", "quit "]),
        ("@Coder ", True, []),
    ],
)
def test_completions(prompts: Path, typed: str, tab: bool, offered: list[str]) -> None:
    completer = RoomCompleter(lambda: read_crew(prompts))
    event = CompleteEvent(text_inserted=not tab, completion_requested=tab)
    assert [choice.text for choice in completer.get_completions(Document(typed), event)] == offered
