"""What `up`, `console` and `run` do, once the settings are read."""

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from agents.domain.errors import RoomUnavailable
from agents.domain.redaction import SecretMask
from client.console import plain, view
from client.console.commands import Desk, say
from client.console.feed import Feed, live
from client.console.sizes import first_size
from client.console.waiting import waiting
from client.conversation import ConversationLog
from client.oneshot import Exit, pursue
from client.roster import Crew, read_crew
from client.session import Place, Session, team, visit

REHEARSAL = """REHEARSAL: no OPENAI_API_KEY is set, so a scripted model plays the scenario "{scenario}".
HTTP, Redis, tools, files and pages are real; the words are written beforehand, whatever you ask for.
For a real team put OPENAI_API_KEY (and OPENAI_API_BASE, LLM_MODEL for another endpoint) into .env: ./minilab init"""


@dataclass
class Voice:
    """Where the program's own remarks go: standard error until a console is there."""

    speak: Callable[[Text], None] | None = None

    def __call__(self, text: str) -> None:
        if self.speak:
            self.speak(view.notice(text))
            return
        with contextlib.suppress(OSError):  # the terminal may be gone
            print("\n".join(f"minilab: {line}" for line in text.splitlines()), file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Front:
    """The user's side of a session: `term` is the terminal's kind, `home` holds prompts and logs."""

    place: Place
    home: Path
    mask: SecretMask
    term: str

    def crew(self) -> Crew:
        """The roles, as their prompts are now."""
        return read_crew(self.home / "prompts")

    def log(self, complain: Callable[[str], None]) -> ConversationLog:
        """This session's conversation log."""
        return ConversationLog(self.home / "client" / "logs", self.mask, complain)


async def up(front: Front, objective: str) -> int:
    """Prepare a team, say the objective, converse. Exit code."""
    voice = Voice()
    for fault in front.crew().faults:
        voice(fault)
    if front.place.rehearsing:
        voice(REHEARSAL.format(scenario=front.place.scenario))
    voice("starting Redis and six agents …")
    async with team(front.place, voice) as session:
        return await _converse(front, session, voice, objective)


async def console(front: Front) -> int:
    """Join the team that is up. Exit code.

    In a container nobody is attached to at first: what it says, faults included, it says to who comes, and until
    then it ends for no reason.
    """
    voice = Voice()
    if plain.is_terminal(front.term):
        await first_size()
    async with visit(front.place) as session:
        if missing := await session.missing():
            voice(f"not in the room: {', '.join(missing)}")
        return await _converse(front, session, voice, "")


async def run(front: Front, objective: str) -> int:
    """Pursue one objective: activity to standard error, the answer to standard output. Exit code."""
    voice = Voice()
    if front.place.rehearsing:
        voice(REHEARSAL.format(scenario=front.place.scenario))
    async with team(front.place, voice) as session:
        show = plain.printer(sys.stderr)
        feed = Feed(session.opened, front.mask, front.log(voice), show)
        governor = session.opened.governor()
        before = (await governor.spent()).total
        answer = await pursue(objective, session.opened, front.crew, feed, session.over)
        if answer.exit is Exit.FAILED:
            voice(f"failed: {answer.text}")
        else:
            plain.printer(sys.stdout)(view.body(front.mask.text(answer.text)))
        with contextlib.suppress(RoomUnavailable):
            voice(((await governor.spent()).total - before).line())
        return answer.exit


async def _converse(front: Front, session: Session, voice: Voice, objective: str) -> int:
    log = front.log(voice)

    async def start(desk: Desk) -> None:
        voice.speak = desk.show
        desk.show(view.notice(_welcome(front, session)))
        for line in await waiting(session.opened):
            desk.show(view.notice(front.mask.text(line), "yellow"))
        if objective:
            await say(desk, objective)

    try:
        if plain.is_terminal(front.term):
            from client.console.app import Terminal

            await Terminal(session.opened, front.crew, front.mask, front.place.state_dir).run(log, start)
            return 0
        return await _plainly(front, session, log, start)
    finally:
        voice.speak = None
        if session.ours:
            voice("ending the team …")


async def _plainly(
    front: Front, session: Session, log: ConversationLog, start: Callable[[Desk], Awaitable[None]]
) -> int:
    """Lines in, lines out, until `exit`, a signal or the team's end."""
    desk = Desk(session.opened, front.crew, plain.printer(sys.stdout), plain.agree)
    async with live(Feed(session.opened, front.mask, log, desk.show)):
        await start(desk)
        talk = asyncio.create_task(plain.converse(desk, sys.stdin.fileno() if sys.stdin else -1))
        try:
            ends: list[asyncio.Future[Any]] = [talk, session.over]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if session.over.done():
                return Exit.FAILED
            talk.result()
            return 0
        finally:
            talk.cancel()
            await asyncio.wait([talk])


def _welcome(front: Front, session: Session) -> str:
    mode = " (rehearsal)" if front.place.rehearsing else ""
    return (
        f"room {session.opened.room.name}{mode} · /help lists the commands · logged in {front.home / 'client/logs'}"
    )
