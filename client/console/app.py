"""The console on a terminal: a line to type on, the conversation above it, the room's state below."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.styles import Style
from rich.console import Console
from rich.text import Text

from agents.domain.errors import MiniLabError
from agents.domain.ports import OpenRoom, Redactor
from client.console import view
from client.console.commands import Desk, submit
from client.console.completion import RoomCompleter
from client.console.feed import Feed, live, look
from client.conversation import ConversationLog
from client.roster import Crew

_GLANCE_SECONDS = 0.5
_STYLE = Style.from_dict({"bottom-toolbar": "noreverse bg:#303030 #d0d0d0", "prompt": "bold"})


class _MaskedHistory(FileHistory):
    """What was typed, kept for the next session without the secrets in it."""

    def __init__(self, file: Path, redactor: Redactor) -> None:
        super().__init__(str(file))
        self._redactor = redactor

    def store_string(self, string: str) -> None:
        with contextlib.suppress(OSError):  # a full disk must not end the session
            super().store_string(self._redactor.text(string))


class Terminal:
    """One console on this terminal. Build it, then `run` it once."""

    def __init__(self, opened: OpenRoom, crew: Callable[[], Crew], redactor: Redactor, state_dir: Path) -> None:
        self._opened = opened
        self._redactor = redactor
        self._glance = view.Glance()
        self._console = Console(force_terminal=True, highlight=False)  # writes to what sys.stdout is when it prints
        self._desk = Desk(opened, crew, self.show, self._ask)
        self._session: PromptSession[str] = PromptSession(
            "you> ",
            history=_MaskedHistory(state_dir / "history", redactor),
            completer=RoomCompleter(crew),
            complete_while_typing=True,
            bottom_toolbar=lambda: self._glance.text,
            key_bindings=_keys(),
            style=_STYLE,
            erase_when_done=True,  # the message itself shows in the conversation
            refresh_interval=_GLANCE_SECONDS,
        )

    def show(self, text: Text) -> None:
        """Print above the line that is being typed; the terminal wraps, so that a resize does too."""
        self._console.print(text, soft_wrap=True)

    async def run(self, log: ConversationLog, start: Callable[[Desk], Awaitable[None]]) -> None:
        """Converse until the User leaves. `start(desk)` is awaited once the conversation is live."""
        await _terminal_size()
        with patch_stdout(raw=True):
            feed = Feed(self._opened, self._redactor, log, self.show)
            async with live(feed):
                watcher = asyncio.create_task(self._watch())
                try:
                    await start(self._desk)
                    await self._converse()
                finally:
                    watcher.cancel()
                    await asyncio.wait([watcher])

    async def _converse(self) -> None:
        typed = ""
        while not self._desk.leaving:
            try:
                line = await self._session.prompt_async(default=typed, handle_sigint=False)
            except EOFError:
                return
            except KeyboardInterrupt:
                typed = ""
                if await self._ask("Leave? A team started here ends with you.", interrupted=True):
                    return
                continue
            typed = ""
            try:
                await submit(self._desk, line)
            except MiniLabError as error:
                self.show(view.notice(f"not sent: {error}", "red"))
                typed = line  # nothing typed is lost

    async def _ask(self, question: str, interrupted: bool = False) -> bool:
        """Ask on a line of its own; no unless the answer is yes. `interrupted`: what Ctrl-C or Ctrl-D answer."""
        asking: PromptSession[str] = PromptSession(key_bindings=_keys(), style=_STYLE)
        try:
            answer = await asking.prompt_async(f"{question} [y/N] ", handle_sigint=False)
        except (EOFError, KeyboardInterrupt):
            return interrupted
        return answer.strip().lower() in ("y", "yes")

    async def _watch(self) -> None:
        while True:
            self._glance = await look(self._opened)
            await asyncio.sleep(_GLANCE_SECONDS)


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("c-c")
    def _(event: KeyPressEvent) -> None:
        """First clears the input; on an empty line it leaves, or asks to."""
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt, style="class:exiting")

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        """A new line in the message."""
        event.current_buffer.insert_text("\n")

    return keys


async def _terminal_size() -> None:
    """Wait until the terminal has a size: a detached container's has none."""
    while True:
        try:
            size = os.get_terminal_size(0)
        except OSError:
            return
        if size.columns and size.lines:
            return
        await asyncio.sleep(0.2)
