"""Tools on the team's files: read, search, write, edit, and go back to an earlier version."""

from typing import Any

from agents.domain.ports import Redactor
from agents.domain.turn import Effect
from agents.executors.lint import Lint
from agents.executors.search import Search
from agents.executors.versions import Versions
from agents.executors.workspace import Workspace
from agents.tools import file_args
from agents.tools.file_acts import Files
from agents.tools.registry import Tool


def tools(
    workspace: Workspace, versions: Versions, search: Search, lint: Lint, redactor: Redactor
) -> list[Tool[Any]]:
    """The ten file tools."""
    files = Files(workspace, versions, search, lint, redactor)
    return [*_writing(files), *_reading(files), *_going_back(files)]


def _writing(files: Files) -> list[Tool[Any]]:
    """What changes files."""
    return [
        Tool(
            "save_file",
            "Write a whole file (creates folders, replaces what was there; earlier versions in infra/ and config/ "
            "are kept). The answer carries the parser's verdict on the file: mend what it names before you go on. "
            "To change part of a file use edit_file. "
            'Example: {"path": "config/site/index.html", "content": "<h1>Lab</h1>\\n"}',
            file_args.SaveArgs,
            files.save,
            Effect.WRITE,
        ),
        Tool(
            "append_file",
            "Add text at the end of a file; a missing file is created.",
            file_args.AppendArgs,
            files.append,
            Effect.WRITE,
        ),
        Tool(
            "edit_file",
            "Replace one piece of a file by another and get the difference back. `old` must be in the file exactly "
            "once, copied exactly; take a few lines around the change. Cheaper and safer than saving a long file "
            'again. Example: {"path": "config/site.yml", "old": "port: 8080", "new": "port: 8089"}',
            file_args.EditArgs,
            files.edit,
            Effect.WRITE,
        ),
        Tool(
            "delete_file",
            "Delete a file or an empty folder. In infra/ and config/, file_restore brings a file back.",
            file_args.PathArgs,
            files.delete,
            Effect.WRITE,
        ),
    ]


def _reading(files: Files) -> list[Tool[Any]]:
    """What shows files."""
    return [
        Tool(
            "read_file",
            "Read a file. Long files come in pages; give start_line and end_line to see those lines with their "
            "numbers. Numbers and the first line of the answer are not part of the file.",
            file_args.ReadArgs,
            files.read,
        ),
        Tool(
            "list_files",
            "List all files below a folder with their sizes; without a path, all of infra/, config/, docs/ and tmp/.",
            file_args.FolderArgs,
            files.entries,
        ),
        Tool(
            "search_files",
            "Find the lines that match a regular expression in all text files below a folder. "
            'Example: {"pattern": "listen_port|8089", "path": "config"}',
            file_args.SearchArgs,
            files.find,
        ),
    ]


def _going_back(files: Files) -> list[Tool[Any]]:
    """What works on versions."""
    return [
        Tool(
            "file_history",
            "List the kept versions of a file in infra/ or config/, newest first: id, time, who, with which tool.",
            file_args.PathArgs,
            files.history,
        ),
        Tool(
            "file_diff",
            "Show what the last write changed in a file; with a version id, what changed from then until now.",
            file_args.DiffArgs,
            files.difference,
        ),
        Tool(
            "file_restore",
            "Put a file back to a version from file_history, also a deleted one. This is a new version itself: "
            "nothing is lost.",
            file_args.RestoreArgs,
            files.restore,
            Effect.WRITE,
        ),
    ]
