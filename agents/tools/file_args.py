"""What the file tools take."""

from pydantic import Field

from agents.tools.registry import Args

_ROOTS = "infra/… (Terraform), config/… (Ansible, app files), docs/… (plans, reports) or tmp/… (scratch)"
_PATH = Field(min_length=1, description=f"file path: {_ROOTS}")


class SaveArgs(Args):
    """What `save_file` takes."""

    path: str = _PATH
    content: str = Field(description="the whole file, exactly as it should be on disk")


class AppendArgs(Args):
    """What `append_file` takes."""

    path: str = _PATH
    content: str = Field(min_length=1, description="text to add at the end, line breaks included")


class ReadArgs(Args):
    """What `read_file` takes."""

    path: str = _PATH
    start_line: int | None = Field(None, ge=1, description="first line to show, counted from 1")
    end_line: int | None = Field(None, ge=1, description="last line to show")


class FolderArgs(Args):
    """What `list_files` takes."""

    path: str = Field("", description="folder, such as config/site; empty: everything")


class SearchArgs(Args):
    """What `search_files` takes."""

    pattern: str = Field(min_length=1, description="regular expression (Python), matched line by line")
    path: str = Field("", description="folder or file to search; empty: everything")


class EditArgs(Args):
    """What `edit_file` takes."""

    path: str = _PATH
    old: str = Field(min_length=1, description="text that is in the file exactly once, white space included")
    new: str = Field(description="text to put in its place; empty: remove it")


class PathArgs(Args):
    """What `delete_file` and `file_history` take."""

    path: str = _PATH


class DiffArgs(Args):
    """What `file_diff` takes."""

    path: str = _PATH
    version: str | None = Field(None, description="an id from file_history; none: what the last write changed")


class RestoreArgs(Args):
    """What `file_restore` takes."""

    path: str = _PATH
    version: str = Field(min_length=4, description="an id from file_history")
