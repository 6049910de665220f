"""A terminal for tests: runs a program in a pty and shows what a person would see of it."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pexpect
import pyte

SCROLLBACK = 2000


class _Screen(pyte.HistoryScreen):
    """Answers where its cursor is, as terminals do."""

    answer: Callable[[str], object] = len

    def write_process_input(self, data: str) -> None:
        self.answer(data)


class Pty:
    """A program on a terminal of `columns` × `rows`."""

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], cwd: Path, columns: int = 100, rows: int = 30
    ) -> None:
        self._screen = _Screen(columns, rows, history=SCROLLBACK, ratio=0.5)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""
        self.process = pexpect.spawn(
            argv[0], list(argv[1:]), env=dict(env), cwd=str(cwd), dimensions=(rows, columns), timeout=5
        )

        self._screen.answer = self.process.send

    @property
    def pid(self) -> int:
        """The program's process id."""
        return int(self.process.pid)

    def type(self, text: str) -> None:
        """Press keys; `\\r` is Enter."""
        self.process.send(text)

    def paste(self, text: str) -> None:
        """Paste, as terminals with bracketed paste do."""
        self.process.send(f"\x1b[200~{text}\x1b[201~")

    def resize(self, columns: int, rows: int) -> None:
        """Change the window's size."""
        self.process.setwinsize(rows, columns)
        self._screen.resize(rows, columns)

    def text(self) -> str:
        """Everything shown so far, scrolled-away lines included."""
        gone = ["".join(line[x].data for x in range(self._screen.columns)) for line in self._screen.history.top]
        return "\n".join(line.rstrip() for line in (*gone, *self._screen.display))

    def screen(self) -> str:
        """What is on the screen now."""
        return "\n".join(line.rstrip() for line in self._screen.display)

    def wait_for(self, text: str, seconds: float = 30, screen: bool = False) -> str:
        """Read until `text` shows (on the screen now, or ever). Raise AssertionError with what shows instead."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            shown = self.screen() if screen else self.text()
            if text in shown:
                return shown
            if not self._read(0.1) and not self.process.isalive():
                break
        if text in (shown := self.screen() if screen else self.text()):
            return shown
        raise AssertionError(f"{text!r} never showed; the terminal shows:\n{shown}")

    def wait_end(self, seconds: float = 30) -> int:
        """Read until the program ends; its exit code (minus the signal's number if one killed it)."""
        deadline = time.monotonic() + seconds
        while self.process.isalive():
            self._read(0.1)
            if time.monotonic() > deadline:
                raise AssertionError(f"the program didn't end; the terminal shows:\n{self.screen()}")
        while self._read(0.1):
            continue
        self.process.close()
        return int(-self.process.signalstatus if self.process.signalstatus else self.process.exitstatus)

    def close(self) -> None:
        """End the program, however it is."""
        self.process.close(force=True)

    def _read(self, seconds: float) -> bool:
        try:
            data = self.process.read_nonblocking(65536, seconds)
        except (pexpect.TIMEOUT, pexpect.EOF):
            return False
        self.raw += data
        self._stream.feed(data)
        return True
