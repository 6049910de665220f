"""All examinations at once, and the table they make."""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from client.doctor import endpoint, hosts, places, programs
from client.doctor.rows import Level, Row, Subject
from client.text import one_line

_STYLES = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}


def main(subject: Subject, *, as_json: bool) -> int:
    """Examine and report. Exit code: 1 if something needed is missing."""
    rows = asyncio.run(examine(subject))
    if as_json:
        print(json.dumps({"ok": healthy(rows), "rows": [asdict(row) for row in rows]}, indent=2, ensure_ascii=False))
    else:
        Console(file=sys.stdout, highlight=False).print(table(rows), soft_wrap=True)
    return 0 if healthy(rows) else 1


async def examine(subject: Subject) -> list[Row]:
    """Every row, in the table's order; they are found side by side."""
    return list(
        await asyncio.gather(
            asyncio.to_thread(programs.python),
            asyncio.to_thread(programs.venv, subject.sandbox),
            places.redis(subject),
            endpoint.model(subject.endpoint),
            asyncio.to_thread(places.prompts, subject),
            asyncio.to_thread(places.workspace, subject),
            asyncio.to_thread(places.disk, subject),
            asyncio.to_thread(programs.ansible),
            asyncio.to_thread(programs.sandbox, subject.sandbox),
            *(asyncio.to_thread(programs.program, row) for row in programs.needed(subject.sandbox)),
            hosts.hosts(subject),
        )
    )


def healthy(rows: Sequence[Row]) -> bool:
    """Whether a team can start."""
    return all(row.level is not Level.FAIL for row in rows)


def table(rows: Sequence[Row]) -> Text:
    """The rows for people: level, name, what was found, and below it the fix."""
    shown = Text()
    for row in rows:
        shown.append(f"{row.level.value:5}", _STYLES[row.level]).append(
            f"{row.name:15} {one_line(row.detail, 300)}\n"
        )
        if row.fix:
            shown.append(f"{'':20} → {one_line(row.fix, 300)}\n", "dim")
    shown.rstrip()
    return shown
