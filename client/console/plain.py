"""The console where there is no terminal: plain lines out, each line in is a command or a message."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import TextIO

from rich.text import Text

from agents.domain.errors import MiniLabError
from client.console import view
from client.console.commands import Desk, submit

_LINE_BYTES = 1 << 20


def printer(stream: TextIO) -> Callable[[Text], None]:
    """Prints a rich text without its styles; a reader that went away is no error."""

    def show(text: Text) -> None:
        try:
            print(text.plain, file=stream, flush=True)
        except (BrokenPipeError, OSError):
            return

    return show


async def converse(desk: Desk, stdin: int) -> None:
    """Do what the lines of file descriptor `stdin` say, until `exit`. At its end, say so and wait to be ended."""
    lines: asyncio.Queue[str | None] = asyncio.Queue()
    _read_lines(stdin, lines)
    while not desk.leaving:
        line = await lines.get()
        if line is None:
            desk.show(view.notice("no more input; following the room until Ctrl-C or SIGTERM"))
            await asyncio.Event().wait()
            return
        try:
            await submit(desk, line)
        except MiniLabError as error:
            desk.show(view.notice(f"not sent: {error}"))


def _read_lines(stdin: int, lines: asyncio.Queue[str | None]) -> None:
    """Read in a thread: epoll can't watch files, and a blocked read must not hold up the exit."""
    loop = asyncio.get_running_loop()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)  # in the background of a terminal: no input, not a halt

    def put(line: bytes | None) -> None:
        text = None if line is None else line.decode("utf-8", "replace")
        try:
            loop.call_soon_threadsafe(lines.put_nowait, text)
        except RuntimeError:  # the loop is closed: nobody listens any more
            return

    def read() -> None:
        rest = b""
        while chunk := _chunk(stdin):
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                put(line)
            if len(rest) > _LINE_BYTES:  # refused as too large when it is sent; never unbounded memory
                put(rest)
                rest = b""
        if rest:
            put(rest)
        put(None)

    threading.Thread(target=read, name="stdin", daemon=True).start()


def _chunk(stdin: int) -> bytes:
    try:
        return os.read(stdin, 65536)
    except OSError:
        return b""


async def agree(question: str) -> bool:
    """Nobody can be asked here: who pipes CLEAR means it."""
    return True


def is_terminal(term: str) -> bool:
    """Whether both ends are a terminal that can do more than lines."""
    ends = (sys.stdin, sys.stdout)  # None where it is closed
    return all(end and end.isatty() for end in ends) and term not in ("dumb", "unknown")
