"""What one can type: a table of commands. Help, completion and the manual derive from it; all else is said."""

import difflib
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from rich.text import Text

from agents.domain.addressing import TEAM_TAGS, spoken
from agents.domain.budget import nanos
from agents.domain.errors import BadInput
from agents.domain.message import USER, Kind, Message
from agents.domain.ports import OpenRoom
from client.console import view
from client.roster import Crew

_TAG = re.compile(r"(?<![\w.@/+-])@([A-Za-z]\w*)(?![\w/@.])")
_COMMAND = re.compile(r"\A/([A-Za-z]+)(?:\s+(.*))?\Z", re.DOTALL)

_CAP = re.compile(r"\A\$?(?P<amount>[0-9][0-9,]{0,14}(?:\.[0-9]{1,6})?)\s*(?P<unit>tokens?)?\Z", re.IGNORECASE)


@dataclass
class Desk:
    """What the commands act on. `crew` reads the prompts afresh; `confirm` asks where somebody can answer."""

    opened: OpenRoom
    crew: Callable[[], Crew]
    show: Callable[[Text], None]
    confirm: Callable[[str], Awaitable[bool]]
    leaving: bool = field(default=False)


@dataclass(frozen=True, slots=True)
class Command:
    """One row: `/name args`, what it does, and the bare words that mean it too when they stand alone."""

    name: str
    args: str
    help: str
    run: Callable[[Desk, str], Awaitable[None]]
    words: tuple[str, ...] = ()

    @property
    def usage(self) -> str:
        """How to type it."""
        return " or ".join((*self.words, f"/{self.name} {self.args}".strip()))


async def submit(desk: Desk, line: str) -> None:
    """Do what `line` says. Raise BadInput or RoomError, nothing done, with the reason."""
    text = line.strip()
    if not text:
        return
    bare = next((row for row in COMMANDS if text.upper() in map(str.upper, row.words)), None)
    if bare:
        await bare.run(desk, "")
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
    """End what is under way everywhere; each agent answers with its receipt."""
    await desk.opened.control.stop(_order("stop", f"STOP{f': {args}' if args else ''}"))


async def _clear(desk: Desk, args: str) -> None:
    if await desk.confirm("Stop everybody and wipe the history, the inboxes and the mission?"):
        await desk.opened.control.clear(_order("clear", "CLEAR: a new page"))
    else:
        desk.show(view.notice("nothing was cleared"))


def _order(action: str, text: str) -> Message:
    return Message(sender=USER, content=text, kind=Kind.CONTROL, data={"action": action})


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


COMMANDS = (
    Command("stop", "[why]", "stop everybody now: model calls, commands, hosted pages", _stop, ("STOP",)),
    Command("clear", "", "stop, and wipe history, inboxes and mission (asks first)", _clear, ("CLEAR",)),
    Command("mission", "", "your words as the team sees them, and the checks", _mission),
    Command("checks", "", "the acceptance checks and their last verdicts", _checks),
    Command("waive", "CHECK why", "declare a check not needed, on your account", _waive),
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
    text.append("Keys: Tab completes, Alt-Enter starts a new line, Ctrl-C clears the input, Ctrl-D leaves.", "dim")
    return text
