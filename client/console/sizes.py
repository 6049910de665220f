"""The terminal's size: the first one, and the two quick changes by which `docker attach` makes a program redraw."""

import asyncio
import contextlib
import itertools
import math
import os
import signal
import time
from collections import deque
from collections.abc import Iterator

Size = tuple[int, int]  # columns, rows

_SETTLED = 0.3  # seconds without a change
_TOGETHER = 0.5  # seconds at most between the two changes
_POLL = 0.2
_ANSWER = 3.0  # seconds in which a terminal answers
_WHERE = b"\x1b[6n"  # asks for the cursor's place


def size() -> Size:
    """What it is now; 0×0 where there is none: a container's terminal to which nobody was ever attached."""
    try:
        columns, rows = os.get_terminal_size(0)
    except OSError:
        return 0, 0
    return columns, rows


async def first_size() -> None:
    """Wait until the terminal has a size that stays."""
    if not os.isatty(0) or all(size()):
        return
    known: Size = (0, 0)
    while known != (now := size()) or not all(now):
        known = now
        await asyncio.sleep(_SETTLED if all(now) else _POLL)


class Redraws:
    """Tells an attach from a resize. `docker attach` sets the size to one more each way, then to what it is.

    Only those two changes, with none shortly before or after, count; or the mere sign of a change that left the size
    as it was: it came and went before it could be looked at. Times in seconds.
    """

    def __init__(self, size: Size) -> None:
        self._size = size
        self._changes: deque[tuple[float, Size]] = deque(maxlen=3)
        self._there_and_back = False
        self._last = -math.inf

    def saw(self, size: Size, now: float) -> None:
        """A sign of change came at `now`; the size was found to be `size`."""
        if size != self._size:
            self._changes.append((now, size))
            self._size, self._there_and_back = size, False
        elif now - self._last > _SETTLED:  # else both signs of two changes found the second one
            self._there_and_back = True
        self._last = now

    def attached(self, now: float) -> bool:
        """Whether it was an attach, and is over. True once."""
        if now - self._last < _SETTLED or not (self._there_and_back or self._twice()):
            return False
        self._changes.clear()
        self._there_and_back = False
        return True

    def _twice(self) -> bool:
        if len(self._changes) < 2:
            return False
        (grown, bigger), (shrunk, (columns, rows)) = list(self._changes)[-2:]
        alone = len(self._changes) == 2 or grown - self._changes[0][0] >= _SETTLED
        return alone and bigger == (columns + 1, rows + 1) and shrunk - grown <= _TOGETHER


class Attaches:
    """Waits for attaches to this terminal. prompt_toolkit takes the signal each time it starts: `listen` again.

    Where the engine's two changes come as one, the terminal tells: the cursor of one that is new is in the first
    column, ours is behind the prompt. It is asked at each change while an input is there to read the answer.
    """

    def __init__(self) -> None:
        self._redraws = Redraws(size())
        self._sign = asyncio.Event()
        self._number = itertools.count()
        self._seen: list[tuple[int, float, Size]] = []
        self._reading = False
        self._new = False
        self._asked = self._answers = 0
        self._told = 0  # answers up to this one belong to an attach that was told of
        self._asked_at = -math.inf
        self._loop = asyncio.get_running_loop()

    @contextlib.contextmanager
    def heard(self) -> Iterator[None]:
        """Listen for as long as the block runs."""
        self.listen()
        try:
            yield
        finally:
            signal.signal(signal.SIGWINCH, signal.SIG_DFL)

    def listen(self, reading: bool = False) -> None:
        """Look at the size within the signal: in the loop's turn, the first of two changes may be gone.

        The loop's own handler, prompt_toolkit's, is told by a file descriptor and stays; it draws after we asked.
        """
        self._reading = reading
        signal.signal(signal.SIGWINCH, self._changed)

    def listen_soon(self) -> None:
        """`listen` once prompt_toolkit, which is starting, has taken the signal and reads."""
        self._loop.call_soon(self.listen, True)

    def answered(self, column: int) -> None:
        """The terminal says in which column the cursor was, from 1."""
        self._answers += 1
        if column == 1 and self._answers > self._told:
            self._new = True
            self._sign.set()

    async def next(self) -> None:
        """Return when somebody attached."""
        while True:
            await self._sign.wait()
            self._sign.clear()
            await asyncio.sleep(_SETTLED)
            for sighting in sorted(self._seen):
                self._redraws.saw(sighting[2], sighting[1])
                self._seen.remove(sighting)
            twice = self._redraws.attached(time.monotonic())
            if twice or self._new:
                self._new = False
                self._told = self._asked
                return

    def _changed(self, signal: int, frame: object) -> None:
        # the second signal may interrupt this very function: the number says which came first
        number, now = next(self._number), time.monotonic()
        if self._reading:
            self._ask(now)
        self._seen.append((number, now, size()))
        self._loop.call_soon_threadsafe(self._sign.set)

    def _ask(self, now: float) -> None:
        if now - self._asked_at > _ANSWER:  # what wasn't answered by now never will be
            self._answers = self._asked
        self._asked += 1
        self._asked_at = now
        with contextlib.suppress(OSError):
            os.write(1, _WHERE)
