"""`client/logs/conversation_<time>.log`: every event of a session as it was shown, one per line."""

import contextlib
import errno
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import IO

from agents.domain.message import Message
from agents.domain.ports import Redactor
from client.text import logged


class ConversationLog:
    """Appends events, redacted. A disk that can't take them is complained of once; the session goes on."""

    def __init__(self, directory: Path, redactor: Redactor, complain: Callable[[str], None]) -> None:
        self.path = directory / f"conversation_{datetime.now():%Y-%m-%d_%H-%M-%S}_{os.getpid()}.log"
        self._redactor = redactor
        self._complain = complain
        self._file: IO[bytes] | None = None
        self._failing = False

    def write(self, message: Message) -> None:
        """One line: time, sender, kind, addressees, text."""
        to = ",".join(message.to) or "-"
        # redacted before it is escaped: an escaped newline would hide a secret that spans lines
        text = self._redactor.text(message.content)
        head = f"{message.timestamp} {message.shown_sender} {message.kind.value} {to}"
        self._append(f"{logged(head)} {logged(text)}\n")

    def close(self) -> None:
        """Close the file, if one was opened."""
        if self._file:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def _append(self, line: str) -> None:
        try:
            if self._file is None:
                self._file = self._open()
            data = line.encode("utf-8", "replace")
            if self._file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._failing = False
        except OSError as error:
            self.close()
            if not self._failing:
                self._failing = True
                self._complain(
                    f"the conversation isn't logged: {self.path}: {error.strerror or error}; the room goes on"
                )

    def _open(self) -> IO[bytes]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = os.fdopen(os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600), "ab+", buffering=0)
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # a full disk or a crash cut the last line
                file.write(b"\n")
        return file
