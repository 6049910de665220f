"""`minilab why THING`: the message, the approval and the tool call behind a file, resource, approval or check."""

import contextlib
import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.domain.message import Kind, Message
from agents.domain.mission import Check
from agents.domain.ports import OpenRoom
from agents.domain.redaction import SecretMask
from agents.telemetry import chain
from client.ledger import Say, path_of, reachable
from client.session import Place
from client.text import logged

MOST_SHOWN = 10  # acts, newest first
_PAGE = 1000
_ROOTS = re.compile(r"^(?:\./|/app/|generated_iac/)+")


async def why(place: Place, home: Path, thing: str, mask: SecretMask, say: Say) -> int:
    """Say what is known of `thing`. Exit code: 1 if nothing is."""

    def tell(text: str) -> None:
        say(logged(mask.text(text)))

    name = _ROOTS.sub("", thing.strip())
    lines = list(ledger_lines(path_of(place)))
    async with reachable(place) as opened:
        events = [] if opened is None else await _events(opened)
        checks = () if opened is None else (await opened.mission.read()).checks
    acts = acts_on(lines, name)
    for act in acts[-MOST_SHOWN:][::-1]:
        for text in told(act, {event.id: event for event in events}):
            tell(text)
    if len(acts) > MOST_SHOWN:
        tell(f"… and {len(acts) - MOST_SHOWN} earlier acts")
    shown = [*check_lines(checks, events, name), *_versions(home / "generated_iac", name)]
    for text in shown:
        tell(text)
    if not acts and not shown:
        asked = "" if events else "; the room's log could not be asked, no team is up"
        tell(f"nothing is known of {thing!r}: give a path, an address, an approval's or a check's id{asked}")
        return 1
    return 0


def ledger_lines(path: Path) -> Iterator[chain.Line]:
    """The sound lines of the ledger; `minilab ledger verify` is who judges the others."""
    if path.exists():
        with path.open("rb") as file:
            for raw in file:
                with contextlib.suppress(ValueError):
                    yield chain.parsed(raw.rstrip(b"\n"))


def acts_on(lines: Sequence[chain.Line], name: str) -> list[list[chain.Line]]:
    """The acts that name `name`, oldest first, each with every line of its call and its approval."""
    groups: dict[str, list[chain.Line]] = {}
    calls: dict[str, str] = {}
    for line in lines:
        approval = str(line.body.get("approval", ""))
        call = f"{line.body.get('turn', '')} {line.body.get('call', '')}"
        if approval and line.body.get("tool"):
            calls[approval] = call
        # a decider's line has a call of its own: it belongs to the act that was decided
        groups.setdefault(calls.get(approval, call), []).append(line)
    return [group for group in groups.values() if any(_names(line.body, name) for line in group)]


def _names(body: Mapping[str, Any], name: str) -> bool:
    """Whether the line is about `name`: by an id it carries, or in its targets and arguments."""
    ids = (str(body.get(field, "")) for field in ("approval", "call", "message", "digest", "turn"))
    if any(name == known or (len(name) >= 6 and known.startswith(name)) for known in ids):
        return True
    pattern = re.compile(rf"(?<![\w./-]){re.escape(name)}(?![\w-]|\.\w)")
    texts = [*map(str, body.get("targets", ())), *_texts(body.get("args"))]
    return any(pattern.search(_ROOTS.sub("", text)) for text in texts)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def told(act: Sequence[chain.Line], events: Mapping[str, Message]) -> Iterator[str]:
    """One act in lines: the call, who asked for it, who decided, how it went."""
    first = next((line for line in act if line.body.get("tool")), act[0])
    body = first.body
    args = json.dumps(body.get("args", {}), ensure_ascii=False)
    yield f"{first.at}  {body.get('who', '?')} called {body.get('tool', '?')} {args[:300]}"
    if message := events.get(str(body.get("message", ""))):
        yield f"    asked by {message.sender}: {message.content[:300]}"
    elif body.get("message"):
        yield f"    asked by message {body['message']} (not in the room's log any more)"
    for line in act:
        yield f"    {line.at}  {line.kind} {_facts(line.body)} (line {line.n})"


def _facts(body: Mapping[str, Any]) -> str:
    facts = {field: body[field] for field in ("status", "by", "who", "approval", "why") if body.get(field)}
    return ", ".join(
        f"{field} {value if isinstance(value, str) else ' '.join(value)}" for field, value in facts.items()
    )


def check_lines(checks: Iterable[Check], events: Sequence[Message], name: str) -> Iterator[str]:
    """What the room knows of the check called `name`."""
    for check in checks:
        if check.id != name:
            continue
        yield f"check {check.id}: {check.probe.title}: {check.verdict.value}; {check.evidence[:300]}"
        if check.waived:
            yield f"    waived by the User: {check.waived}"
        for event in events:
            if event.kind is Kind.TOOL and event.data.get("name") in ("propose_checks", "run_checks", "finish"):
                yield f"    {event.timestamp}  {event.sender} called {event.data['name']} (turn {event.turn})"


async def _events(opened: OpenRoom) -> list[Message]:
    found: list[Message] = []
    while page := await opened.room.events(found[-1].seq if found else "0", _PAGE):
        found += page
    return found


def _versions(repository: Path, name: str) -> list[str]:
    """The kept versions of a file of the workspace, newest first."""
    if not (repository / ".git").is_dir() or not re.match(r"(infra|config)/", name):
        return []
    argv = ["git", "-C", str(repository), "-c", "core.hooksPath=/dev/null", "log", f"-n{MOST_SHOWN}"]
    argv += ["--format=%h  %aI  %an: %s (%(trailers:key=Turn,key=Call,separator=%x2C ))", "--", f":(literal){name}"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [f"version {line}" for line in done.stdout.splitlines()]
