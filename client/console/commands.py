"""What one can type: a table of commands. Help, completion and the manual derive from it; all else is said."""

import asyncio
import contextlib
import difflib
import re
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from rich.text import Text

from agents.domain.addressing import TEAM_TAGS, spoken
from agents.domain.budget import nanos
from agents.domain.errors import BadInput, RoomError
from agents.domain.message import USER, Kind, Message
from agents.domain.mission import RoomState
from agents.domain.ports import OpenRoom
from client import approvals
from client.console import view
from client.roster import Crew

_TAG = re.compile(r"(?<![\w.@/+-])@([A-Za-z]\w*)(?![\w/@.])")
_COMMAND = re.compile(r"\A/([A-Za-z]+(?:-[A-Za-z]+)*)(?:\s+(.*))?\Z", re.DOTALL)

RECEIPT_SECONDS = 5.0
KEYS = (
    "Tab completes, Alt-Enter starts a new line, Ctrl-L shows the last messages again, Ctrl-C clears the input, "
    "Ctrl-D leaves"
)
_CAP = re.compile(r"\A\$?(?P<amount>[0-9][0-9,]{0,14}(?:\.[0-9]{1,6})?)\s*(?P<unit>tokens?)?\Z", re.IGNORECASE)


@dataclass
class Desk:
    """What the commands act on. `crew` reads the prompts afresh; `confirm` asks where somebody can answer."""

    opened: OpenRoom
    crew: Callable[[], Crew]
    show: Callable[[Text], None]
    confirm: Callable[[str], Awaitable[bool]]
    leaving: bool = field(default=False)
    _later: set[asyncio.Task[None]] = field(default_factory=set, repr=False)

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it while the user goes on typing."""
        task = asyncio.create_task(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)


@dataclass(frozen=True, slots=True)
class Command:
    """One row: `/name args`, what it does, and the bare words that mean it too when they stand alone.

    `taggable`: such a word may be followed by one @tag.
    """

    name: str
    args: str
    help: str
    run: Callable[[Desk, str], Awaitable[None]]
    words: tuple[str, ...] = ()
    taggable: bool = False

    def bare(self, text: str) -> str | None:
        """The args of `text` where it is one of the bare words, else None."""
        word, _, tag = text.partition(" ")
        if word.upper() not in map(str.upper, self.words):
            return None
        return tag.strip() if not tag or (self.taggable and _TAG.fullmatch(tag.strip())) else None

    @property
    def usage(self) -> str:
        """How to type it."""
        return " or ".join((*self.words, f"/{self.name} {self.args}".strip()))


async def submit(desk: Desk, line: str) -> None:
    """Do what `line` says. Raise BadInput or RoomError, nothing done, with the reason."""
    text = line.strip()
    if not text:
        return
    bare = next(((row, args) for row in COMMANDS if (args := row.bare(text)) is not None), None)
    if bare:
        await bare[0].run(desk, bare[1])
    elif match := _COMMAND.match(text):
        await _named(match[1].lower()).run(desk, (match[2] or "").strip())
    else:
        await say(desk, text)


async def say(desk: Desk, text: str) -> Message:
    """Say `text` as the User, to those it tags or else to those who answer the User."""
    crew = desk.crew()
    roster = crew.roster
    message = await desk.opened.room.post(Message(sender=USER, content=text, to=roster.addressees(text, USER)))
    known = {*TEAM_TAGS, USER.lower(), *roster.by_tag}
    for tag in dict.fromkeys(_TAG.findall(spoken(text))):
        if tag.lower() not in known:
            near = difflib.get_close_matches(f"@{tag}", crew.tags, n=1)
            hint = f"; nearest: {near[0]}" if near else ""
            desk.show(view.notice(f"nobody is called @{tag}{hint}. Said to: {', '.join(message.to)}"))
    return message


def _named(name: str) -> Command:
    found = next((row for row in COMMANDS if row.name == name), None)
    if found is None:
        near = difflib.get_close_matches(name, [row.name for row in COMMANDS], n=1, cutoff=0.4)
        hint = f"nearest: /{near[0]}" if near else "/help lists them"
        raise BadInput(f"there is no command /{name}; {hint}")
    return found


async def _stop(desk: Desk, args: str) -> None:
    """End what is under way everywhere, or at one role; each agent answers with its receipt."""
    control, present = desk.opened.control, await desk.opened.presence.present()
    since = (await control.read()).now
    tag, _, why = args.partition(" ") if args.startswith("@") else ("", "", args)
    role = _role(desk, tag) if tag else None
    text = f"STOP{f' @{role}' if role else ''}{f': {why.strip()}' if why.strip() else ''}"
    order = _order("stop", text, **({"role": role} if role else {}))
    if role:
        await control.stop_role(role, order)
    else:
        await control.stop(order)
    asked = {one.consumer: one.role for one in present if role in (None, one.role)}
    desk.later(_roll_call(desk, order, asked, since))


async def _roll_call(desk: Desk, order: Message, asked: dict[str, str], since: float) -> None:
    """Name those who send no receipt. `asked`: roles by worker; `since`: the server's clock before the order."""
    silent = dict(asked)
    with contextlib.suppress(TimeoutError, RoomError):
        async with asyncio.timeout(RECEIPT_SECONDS):
            async for message in desk.opened.room.follow(f"{int(since * 1000) - 1}-0"):
                if message.reply_to == order.id:
                    silent.pop(str(message.data.get("receipt", {}).get("consumer")), None)
                if not silent:
                    return
    if silent:
        names = ", ".join(f"{role} ({worker})" for worker, role in sorted(silent.items()))
        desk.show(
            view.notice(
                f"no receipt in {RECEIPT_SECONDS:g} s from {names}: dead, cut off or held. Nothing new can start "
                "there, because every act asks the room first; what runs there already may go on"
            )
        )


async def _pause(desk: Desk, args: str) -> None:
    """Hold the room; each turn waits at its next step."""
    await desk.opened.control.pause(_order("pause", f"PAUSE{f': {args}' if args else ''}"))


async def _resume(desk: Desk, args: str) -> None:
    if (await desk.opened.control.read()).state is not RoomState.PAUSED:
        raise BadInput("the room isn't paused; /pause holds it, and a stopped team goes on when you say something")
    await desk.opened.control.resume(_order("resume", "RESUME"))


async def _clear(desk: Desk, args: str) -> None:
    if await desk.confirm("Stop everybody and wipe the history, the inboxes and the mission?"):
        await desk.opened.control.clear(_order("clear", "CLEAR: a new page"))
    else:
        desk.show(view.notice("nothing was cleared"))


def _order(action: str, text: str, **data: str) -> Message:
    return Message(sender=USER, content=text, kind=Kind.CONTROL, data={"action": action, **data})


def _role(desk: Desk, tag: str) -> str:
    """The role that `tag` calls. Raise BadInput naming the nearest."""
    crew = desk.crew()
    role = crew.roster.by_tag.get(tag.removeprefix("@").lower())
    if role is None:
        near = difflib.get_close_matches(tag, crew.tags, n=1)
        hint = f"; nearest: {near[0]}" if near else f"; there are {', '.join(crew.tags)}"
        raise BadInput(f"nobody is called {tag}{hint}. Nobody was stopped")
    return role


async def _exit(desk: Desk, args: str) -> None:
    desk.leaving = True


async def _help(desk: Desk, args: str) -> None:
    desk.show(help_text())


async def _mission(desk: Desk, args: str) -> None:
    desk.show(view.mission_text(await desk.opened.mission.read()))


async def _checks(desk: Desk, args: str) -> None:
    desk.show(view.checks_text((await desk.opened.mission.read()).checks))


async def _waive(desk: Desk, args: str) -> None:
    check, _, why = args.partition(" ")
    if not check or not why.strip():
        raise BadInput("say which check and why: /waive c1a2b3 it is only a lab; /checks lists the ids")
    waived = await desk.opened.mission.waive(check.strip("[]"), why.strip())
    desk.show(view.checks_text([waived]))
    text = f"waived check [{waived.id}] {waived.probe.title}: {why.strip()}"
    await desk.opened.room.post(
        Message(sender=USER, content=text, kind=Kind.CONTROL, data={"action": "waive", "check": waived.id})
    )


async def _who(desk: Desk, args: str) -> None:
    desk.show(view.who_text(await desk.opened.presence.present()))


async def _apps(desk: Desk, args: str) -> None:
    desk.show(view.apps_text(await desk.opened.presence.hosted(), time.time()))


async def _budget(desk: Desk, args: str) -> None:
    governor = desk.opened.governor()
    if args:
        nano, tokens = cap_of(args)
        await governor.set_cap(nano, tokens)
        cap = (await governor.spent()).cap
        await desk.opened.room.post(
            Message(sender=USER, content=f"the budget of this room is {cap} now", kind=Kind.CONTROL)
        )
    desk.show(view.spending_text(await governor.spent()))


def cap_of(text: str) -> tuple[int | None, int | None]:
    """The cap that `text` means: dollars (as nano-dollars), or tokens. Raise BadInput for neither."""
    match = _CAP.match(text)
    amount = float(match["amount"].replace(",", "")) if match else 0.0
    if not match or not amount or (match["unit"] and amount != int(amount)):
        raise BadInput(f"{text[:40]!r} is no budget: /budget 2.00 for dollars, /budget 500000 tokens for tokens")
    return (None, int(amount)) if match["unit"] else (nanos(amount), None)


async def _approvals(desk: Desk, args: str) -> None:
    desk.show(_or_notice(await approvals.listing(desk.opened), "nothing waits for a decision"))


async def _show(desk: Desk, args: str) -> None:
    desk.show(view.body(await approvals.shown(desk.opened, args)))


async def _approve(desk: Desk, args: str) -> None:
    desk.show(view.notice(await approvals.decide(desk.opened, args, approve=True)))


async def _reject(desk: Desk, args: str) -> None:
    id, _, why = args.partition(" ")
    desk.show(view.notice(await approvals.decide(desk.opened, id, approve=False, reason=why)))


async def _findings(desk: Desk, args: str) -> None:
    desk.show(_or_notice(await approvals.findings(desk.opened), "no finding was raised"))


async def _accept_risk(desk: Desk, args: str) -> None:
    id, _, why = args.partition(" ")
    desk.show(view.notice(await approvals.accept_risk(desk.opened, id, why)))


def _or_notice(text: str, otherwise: str) -> Text:
    return view.body(text) if text else view.notice(otherwise)


COMMANDS = (
    Command(
        "stop",
        "[@Role] [why]",
        "stop everybody or one now: queries, commands, pages",
        _stop,
        ("STOP",),
        taggable=True,
    ),
    Command("pause", "[why]", "hold everybody at the next step; nothing is lost", _pause),
    Command("resume", "", "let a paused team go on where it was", _resume),
    Command("clear", "", "stop, and wipe history, inboxes and mission (asks first)", _clear, ("CLEAR",)),
    Command("mission", "", "your words as the team sees them, and the checks", _mission),
    Command("checks", "", "the acceptance checks and their last verdicts", _checks),
    Command("waive", "CHECK why", "declare a check not needed, on your account", _waive),
    Command("approvals", "", "the acts that wait for a decision", _approvals),
    Command("show", "ID", "an act that waits: its card, and all that would run", _show),
    Command("approve", "ID", "give leave for exactly that act, once", _approve),
    Command("reject", "ID why", "refuse it; the one who asked reads why", _reject),
    Command("findings", "", "what Security holds against files, modules and hosts", _findings),
    Command("accept-risk", "ID why", "take a finding's risk on your account; it blocks no more", _accept_risk),
    Command("who", "", "who is in the room and what they do", _who),
    Command("budget", "[2.00 | 500000 tokens]", "who spent what; with a figure, this room's new cap", _budget),
    Command("apps", "", "what the team serves on this machine", _apps),
    Command("help", "", "this list", _help),
    Command("exit", "", "leave; a team started here ends with it", _exit, ("exit", "quit")),
)


def help_text() -> Text:
    """The table, for people."""
    width = max(len(row.usage) for row in COMMANDS)
    text = Text("Anything else is said to the team: untagged to the Architect, or @Coder …, @team.\n")
    for row in COMMANDS:
        text.append(f"  {row.usage:{width}}", "bold").append(f"  {row.help}\n")
    text.append(f"Keys: {KEYS}.", "dim")
    return text
