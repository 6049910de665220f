"""The console on a terminal: a line to type on, the conversation above it, the room's state below."""

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import Output
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.styles import Style
from rich.console import Console
from rich.text import Text

from agents.domain.errors import MiniLabError, RoomUnavailable
from agents.domain.ports import OpenRoom, Redactor
from client.console import view
from client.console.absence import Absence
from client.console.commands import Desk, submit
from client.console.completion import RoomCompleter
from client.console.feed import Feed, live, look
from client.console.sizes import Attaches, first_size, size
from client.console.waiting import waiting
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


class _Output(Vt100_Output):
    """The terminal, whose cursor nothing depends on: where nobody is attached, each question would wait in vain."""

    @property
    def responds_to_cpr(self) -> bool:
        """No."""
        return False

    def get_rows_below_cursor_position(self) -> int:
        """Enough for the input; what needs more scrolls."""
        return 1


class Terminal:
    """One console on this terminal. Build it, then `run` it once."""

    def __init__(self, opened: OpenRoom, crew: Callable[[], Crew], redactor: Redactor, state_dir: Path) -> None:
        self._opened = opened
        self._redactor = redactor
        self._glance = view.Glance()
        self._console = Console(force_terminal=True, highlight=False)  # writes to what sys.stdout is when it prints
        self._output: Output = _Output.from_pty(sys.stdout)
        self._absence = Absence()
        self._attaches = Attaches()
        self._desk = Desk(opened, crew, self.show, self._ask)
        self._session = self._prompt(
            history=_MaskedHistory(state_dir / "history", redactor),
            completer=RoomCompleter(crew),
            complete_while_typing=True,
            bottom_toolbar=lambda: self._glance.text,
            erase_when_done=True,  # the message itself shows in the conversation
            refresh_interval=_GLANCE_SECONDS,
        )

    def show(self, text: Text) -> None:
        """Print above the line that is being typed; the terminal wraps, so that a resize does too."""
        self._console.print(text, soft_wrap=True)

    async def run(self, log: ConversationLog, start: Callable[[Desk], Awaitable[None]]) -> None:
        """Converse until the User leaves. `start(desk)` is awaited once the conversation is live."""
        await first_size()
        with patch_stdout(raw=True), self._attaches.heard():
            feed = Feed(self._opened, self._redactor, log, self._tell)
            async with live(feed):
                await start(self._desk)
                watchers = [asyncio.create_task(watch) for watch in (self._watch(), self._watch_the_door())]
                try:
                    await self._converse()
                finally:
                    for watcher in watchers:
                        watcher.cancel()
                    await asyncio.wait(watchers)

    async def _converse(self) -> None:
        typed = ""
        while not self._desk.leaving:
            try:
                line = await self._line(self._session, "you> ", typed)
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
        try:
            answer = await self._line(self._prompt(), f"{question} [y/N] ")
        except (EOFError, KeyboardInterrupt):
            return interrupted
        return answer.strip().lower() in ("y", "yes")

    def _prompt(self, **options: Any) -> PromptSession[str]:
        session: PromptSession[str] = PromptSession(
            key_bindings=_keys(self._once_more, self._attaches.answered), style=_STYLE, output=self._output, **options
        )
        session.app.key_processor.before_key_press += self._absence.over
        return session

    async def _line(self, session: PromptSession[str], prompt: str, typed: str = "") -> str:
        try:
            return await session.prompt_async(
                prompt, default=typed, handle_sigint=False, pre_run=self._attaches.listen_soon
            )
        finally:
            self._attaches.listen()

    def _tell(self, text: Text) -> None:
        """Show what happened in the room."""
        self._absence.shown(text)
        self.show(text)

    def _once_more(self) -> None:
        self.show(self._absence.recent(columns=size()[0]))

    async def _watch(self) -> None:
        while True:
            self._glance = await look(self._opened)
            await asyncio.sleep(_GLANCE_SECONDS)

    async def _watch_the_door(self) -> None:
        """Tell whoever attaches what they missed, and what waits for them."""
        while True:
            await self._attaches.next()
            self.show(self._absence.ended(columns=size()[0]))
            with contextlib.suppress(RoomUnavailable):  # the toolbar says so
                for line in await waiting(self._opened):
                    self.show(view.notice(self._redactor.text(line), "yellow"))


def _keys(once_more: Callable[[], None], answered: Callable[[int], None]) -> KeyBindings:
    keys = KeyBindings()

    @keys.add(Keys.CPRResponse, save_before=lambda event: False)
    def _(event: KeyPressEvent) -> None:
        """The terminal says where its cursor is: `ESC [ row ; column R`. Not for prompt_toolkit, which never asks."""
        answered(int(event.data[2:-1].partition(";")[2]))

    @keys.add("c-l")
    def _(event: KeyPressEvent) -> None:
        """A clean screen with the last messages."""
        event.app.renderer.clear()
        once_more()

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
