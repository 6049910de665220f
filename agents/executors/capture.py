"""What a process writes, kept within bounds: the head and the tail, and how much was left out."""

from collections import deque


class Capture:
    """Keeps at most `cap` bytes of a stream: its first half and its last."""

    def __init__(self, cap: int) -> None:
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._half = max(1, cap // 2)
        self._tail_size = 0
        self._dropped = 0

    @property
    def truncated(self) -> bool:
        """Whether something was left out."""
        return self._dropped > 0 or self._tail_size > self._half

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        room = self._half - len(self._head)
        self._head += data[:room]
        rest = data[room:] if room > 0 else data
        if not rest:
            return
        self._tail.append(rest)
        self._tail_size += len(rest)
        while self._tail_size - len(self._tail[0]) >= self._half:
            gone = len(self._tail.popleft())
            self._tail_size -= gone
            self._dropped += gone

    def text(self) -> str:
        """The stream as text; a gap says its size in bytes."""
        tail = b"".join(self._tail)
        dropped = self._dropped + max(0, len(tail) - self._half)
        kept = tail[-self._half :] if tail else b""
        if not dropped:
            return (bytes(self._head) + kept).decode("utf-8", "replace")
        gap = f"\n… {dropped:,} bytes left out …\n"
        return self._head.decode("utf-8", "replace") + gap + kept.decode("utf-8", "replace")
