"""How the room looks: a message as rich text, the same lines as plain text. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from rich.text import Text

from agents.domain.budget import Spending, dollars
from agents.domain.message import SYSTEM, USER, Kind, Message
from agents.domain.mission import Check, HostedApp, Mission, Presence, RoomState, Verdict
from client.text import clean, one_line

COLOURS = {
    USER: "bold white",
    "Architect": "bold cyan",
    "Coder": "bold green",
    "DevOps": "bold yellow",
    "Security": "bold red",
    "QA": "bold magenta",
    "Observer": "bold blue",
    SYSTEM: "bold bright_black",
}
_NAME_CHARS = 40
_LINE_CHARS = 200
_TEXT_STYLES = {
    Kind.APPROVAL: "yellow",
    Kind.THINK: "dim italic",
    Kind.TOOL: "dim",
    Kind.CONTROL: "bold",
    Kind.SYSTEM: "italic",
}
_ROUTINE = ("check", "checked")  # processes among themselves: who runs the checks
_VERDICT_STYLES = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.UNKNOWN: "yellow"}


@dataclass(frozen=True, slots=True)
class Glance:
    """What the toolbar says of the room. `trouble` replaces it all where the room can't be read."""

    state: RoomState = RoomState.IDLE
    reason: str = ""
    at_work: tuple[str, ...] = ()
    present: int = 0
    green: int = 0
    checks: int = 0
    spent: str = ""
    trouble: str = ""

    @property
    def text(self) -> str:
        """One line."""
        if self.trouble:
            return f" {one_line(self.trouble, _LINE_CHARS)}"
        why = f" ({one_line(self.reason, 60)})" if self.reason else ""
        work = ", ".join(one_line(role, _NAME_CHARS) for role in self.at_work) or "nobody"
        checks = f"checks {self.green}/{self.checks}" if self.checks else "no checks yet"
        spent = f" · {one_line(self.spent, 60)}" if self.spent else ""
        state = self.state.value.replace("_", " ")
        return f" {state}{why} · at work: {work} of {self.present} · {checks}{spent} · /help "


def glance(
    state: RoomState, reason: str, present: Iterable[Presence], mission: Mission, spending: Spending
) -> Glance:
    """The toolbar's facts."""
    present = tuple(present)
    return Glance(
        state,
        reason,
        tuple(sorted({presence.role for presence in present if presence.state != "idle"})),
        len({presence.role for presence in present}),
        sum(check.green for check in mission.checks),
        len(mission.checks),
        f"{dollars(spending.total.nano)} of {spending.cap}" if spending.total.calls else "",
    )


def render(message: Message) -> Text:
    """A message as it is shown: `12:30:05 Architect  text`, continuation lines indented."""
    sender = one_line(message.shown_sender, _NAME_CHARS) or "?"
    routine = message.kind is Kind.CONTROL and message.data.get("action") in _ROUTINE
    if message.kind is Kind.TOOL or routine:
        return Text.assemble((f"{_clock(message)} {sender} · {one_line(message.content, _LINE_CHARS)}", "dim"))
    style = COLOURS.get(message.sender, "bold")
    if message.kind is Kind.THINK:
        style = "dim " + style.removeprefix("bold ")
    lines = clean(message.content).rstrip().splitlines() or [""]
    body = "\n".join([lines[0], *(f"    {line}" for line in lines[1:])])
    return Text.assemble(
        (f"{_clock(message)} ", "dim"), (sender, style), "  ", (body, _TEXT_STYLES.get(message.kind, ""))
    )


def notice(text: str, style: str = "italic bright_black") -> Text:
    """A line of the console itself; no message looks like it."""
    lines = clean(text).splitlines() or [""]
    return Text("\n".join(f"── {line}" for line in lines), style)


def body(text: str) -> Text:
    """`text` as it is, cleaned."""
    return Text(clean(text))


def mission_text(mission: Mission) -> Text:
    """The User's words, verbatim, and the checks."""
    if not mission.requests:
        return notice("no mission: say what you want, and the Architect takes it on")
    text = Text()
    for request in mission.requests:
        words = "\n".join(f"  {line}" for line in clean(request.text).splitlines())
        text.append(f"You said (sha256 {request.sha[:12]}):\n", "bold").append(f"{words}\n")
    return text.append_text(checks_text(mission.checks))


def checks_text(checks: Iterable[Check]) -> Text:
    """The checks, one a line."""
    checks = tuple(checks)
    if not checks:
        return notice("no checks yet: the Architect proposes them with its plan")
    lines = [
        Text.assemble(
            (f"[{check.id}] ", "bold"),
            (f"{'waived' if check.waived else check.verdict.value:8}", _VERDICT_STYLES[check.verdict]),
            f"{one_line(check.probe.title, 120)} ({check.probe.type}) — "
            f"{one_line(check.waived or check.evidence, _LINE_CHARS)}",
        )
        for check in checks
    ]
    return Text("\n").join(lines)


def who_text(present: Iterable[Presence]) -> Text:
    """Who is in the room, one a line."""
    rows = sorted(present, key=lambda presence: (presence.role, presence.consumer))
    if not rows:
        return notice("no agent is in the room")
    lines = [
        Text.assemble(
            (f"{one_line(row.role, _NAME_CHARS):10}", COLOURS.get(row.role, "bold")),
            f" {one_line(row.state, 80):30} step {row.step} · {one_line(row.host, 40)} · {row.age:.0f} s ago",
        )
        for row in rows
    ]
    return Text("\n").join(lines)


def spending_text(spending: Spending) -> Text:
    """Who spent what, and the cap."""
    return Text(f"{spending.report()}\nThe cap of this room: {spending.cap}.")


def apps_text(apps: Iterable[HostedApp], now: float) -> Text:
    """What the team serves, one a line; `now` in Unix seconds."""
    lines = [
        Text.assemble(
            (f"http://127.0.0.1:{app.port}/", "bold"),
            f"  {one_line(app.name, _NAME_CHARS)} by {one_line(app.role, _NAME_CHARS)} "
            f"({one_line(app.what, 80)}), {max(app.expires - now, 0) / 60:.0f} minutes left",
        )
        for app in apps
    ]
    return Text("\n").join(lines) if lines else notice("nothing is hosted")


def _clock(message: Message) -> str:
    try:
        return f"{datetime.fromisoformat(message.timestamp).astimezone():%H:%M:%S}"
    except (ValueError, OverflowError):
        return "--:--:--"
