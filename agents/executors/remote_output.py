"""What a remote command writes: on disk once it is long, so that little of it is held in memory."""

import tempfile
from pathlib import Path

IN_MEMORY = 256 * 1024
KEPT_BYTES = 4 << 20
TAIL_BYTES = 64 * 1024


class RemoteStream:
    """One stream: its first `KEPT_BYTES` and its last `TAIL_BYTES`, in an unnamed file below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY, dir=str(folder))  # noqa: SIM115  closed by text()
        self._room = KEPT_BYTES
        self._tail = bytearray()
        self._over = 0

    @property
    def truncated(self) -> bool:
        """Whether something was left out."""
        return self._over > len(self._tail)

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._file.write(data[: self._room])
        rest = data[self._room :]
        self._room -= len(data) - len(rest)
        if rest:
            self._over += len(rest)
            self._tail += rest
            if len(self._tail) > 2 * TAIL_BYTES:
                del self._tail[:-TAIL_BYTES]

    def text(self) -> str:
        """The stream as text; a gap says its size. Closes the file."""
        self._file.seek(0)
        head = self._file.read()
        self._file.close()
        tail = bytes(self._tail[-TAIL_BYTES:]) if self._over > TAIL_BYTES else bytes(self._tail)
        gap = self._over - len(tail)
        if not gap:
            return (head + tail).decode("utf-8", "replace")
        return f"{head.decode('utf-8', 'replace')}\n… {gap:,} bytes left out …\n{tail.decode('utf-8', 'replace')}"
