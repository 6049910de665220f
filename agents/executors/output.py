"""Long output for models: the whole text goes to a file, head and tail into the reply."""

import errno
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

SHOWN_FOLDER = "tmp/output"
MAX_FILE_BYTES = 16 << 20
KEPT_FILES = 500
_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Spool:
    """Caps text at `cap` characters. `directory` is the workspace's tmp root: files go to its `output` folder."""

    def __init__(self, directory: Path, cap: int = 8000) -> None:
        self._folder = directory / "output"
        self._cap = cap

    def cap(self, text: str, name: str) -> str:
        """`text`, or its head and tail around a line that names the file with all of it.

        `text` must be redacted already: it is written down as it is.
        """
        if len(text) <= self._cap:
            return text
        head, tail = self._cap * 2 // 3, self._cap // 3
        where = self.keep(text, name)
        gap = f"\n… {len(text) - head - tail:,} characters left out; {where} …\n"
        return text[:head] + gap + text[-tail:]

    def keep(self, text: str, name: str) -> str:
        """Write redacted `text` to a file; return where it is, or why there is none."""
        safe = _NAME.sub("-", name).strip("-")[:80] or "output"
        data = text.encode("utf-8", "replace")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            # agents can write here too: neither the folder nor a file in it may be a link
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                shown = _write(folder, safe, data[:MAX_FILE_BYTES])
                _forget(folder)
            finally:
                os.close(folder)
        except OSError as error:
            return f"they could not be saved to {SHOWN_FOLDER}: {error.strerror}"
        part = "" if len(data) <= MAX_FILE_BYTES else f" (its first {MAX_FILE_BYTES >> 20} MiB)"
        return f"whole output: {SHOWN_FOLDER}/{shown}{part}"


def _write(folder: int, name: str, data: bytes) -> str:
    """Write a new file and return its name."""
    for shown in (f"{name}.txt", *(f"{name}-{secrets.token_hex(4)}.txt" for _ in range(8))):
        try:
            fd = os.open(shown, _FLAGS, 0o644, dir_fd=folder)
        except FileExistsError:
            continue
        with os.fdopen(fd, "wb") as file:
            file.write(data)
        return shown
    raise FileExistsError(errno.EEXIST, "no free file name")


def _forget(folder: int) -> None:
    """Delete the oldest files beyond the last `KEPT_FILES`."""
    with os.scandir(folder) as entries:
        files = [
            (e.stat(follow_symlinks=False).st_mtime, e.name) for e in entries if not e.is_dir(follow_symlinks=False)
        ]
    for _, name in sorted(files)[:-KEPT_FILES]:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
