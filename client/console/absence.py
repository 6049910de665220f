"""What somebody missed who was away from the terminal."""

from collections import deque
from math import ceil

from rich.text import Text

from client.console import view

MOST_MESSAGES, MOST_LINES = 20, 50


class Absence:
    """Keeps what was shown last, and how much of it since the last sign that somebody was there."""

    def __init__(self) -> None:
        self._shown: deque[Text] = deque(maxlen=MOST_MESSAGES)
        self._count = 0

    def shown(self, text: Text) -> None:
        """A message was shown."""
        self._shown.append(text)
        self._count += 1

    def over(self, *_: object) -> None:
        """Somebody is there: a key was pressed."""
        self._count = 0

    def ended(self, columns: int) -> Text:
        """Somebody came back, to `columns`: what they missed, or else the last message; the absence is over."""
        count, self._count = self._count, 0
        if not count:
            return self._last(1, columns, "nothing new while you were away")
        return self._last(count, columns, f"while you were away: {count} message{'s' * (count > 1)}")

    def recent(self, columns: int) -> Text:
        """What was shown last, once more."""
        return self._last(MOST_MESSAGES, columns, "once more")

    def _last(self, count: int, columns: int, said: str) -> Text:
        text = Text("\n").join([*self._shown][-count:])
        kept = _end(text, columns)
        cut = len(self._shown) == MOST_MESSAGES < count or len(kept) < len(text)
        rule = view.notice(f"{said}, the end of it" if cut else said, "dim")
        return Text("\n").join([rule, kept]) if kept else rule


def _end(text: Text, columns: int) -> Text:
    """The last lines of `text`, at most MOST_LINES on a terminal of `columns`."""
    kept: list[Text] = []
    left = MOST_LINES
    for line in reversed(text.split("\n")):
        high = max(1, ceil(line.cell_len / columns))
        if high > left:
            if not kept:
                kept.append(line[-left * columns :])
            break
        kept.append(line)
        left -= high
    return Text("\n").join(reversed(kept))
