"""Files of the workspace as they are at one moment: their bytes, and one hash that covers them all."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agents.domain.errors import Refused
from agents.executors.workspace import Workspace

MOST_FILES = 3_000
MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Workspace name → content. `folders` are there even where they are empty."""

    files: Mapping[str, bytes]
    folders: frozenset[str] = frozenset()

    @property
    def sha(self) -> str:
        """SHA-256 over every name and content: another byte, file or name makes another hash."""
        whole = hashlib.sha256()
        for name in sorted(self.folders):
            whole.update(f"folder {len(name)} {name}\n".encode("utf-8", "surrogateescape"))
        for name, content in sorted(self.files.items()):
            head = f"file {len(name)} {name} {hashlib.sha256(content).hexdigest()}\n"
            whole.update(head.encode("utf-8", "surrogateescape"))
        return whole.hexdigest()

    def text(self, name: str) -> str:
        """A file's text, as well as it can be read."""
        return self.files[name].decode("utf-8", "replace")

    def mentions(self, text: str) -> bool:
        """Whether any file holds `text`."""
        return any(text.encode() in content for content in self.files.values())


def snapshot(workspace: Workspace, paths: Iterable[str]) -> Snapshot:
    """All that lies at and below `paths`. Raise Refused for what can't be pinned: links, too much, swapped files."""
    files: dict[str, bytes] = {}
    folders: set[str] = set()
    size = 0
    for path in dict.fromkeys(paths):
        for entry in workspace.entries(path):
            name = str(entry.place)
            if entry.kind == "folder":
                folders.add(name)
                continue
            if entry.kind != "file":
                raise Refused(f"{name} is a {entry.kind}: what it leads to can't be pinned; replace it by a file")
            if name in files:
                continue
            content = workspace.read(name)
            size += content.size
            if content.size != len(content.raw) or size > MOST_BYTES or len(files) >= MOST_FILES:
                raise Refused(
                    f"{path} holds more than can be pinned ({MOST_FILES:,} files, {MOST_BYTES >> 20} MiB): "
                    "move what doesn't belong to it elsewhere"
                )
            files[name] = content.raw
    return Snapshot(files, frozenset(folders))
