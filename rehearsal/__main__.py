"""`python -m rehearsal`: play a scenario as an OpenAI-compatible endpoint."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rehearsal import faults
from rehearsal.lifetime import die_with_parent, parent_gone
from rehearsal.scenario import Fault, Scenario, ScenarioError, load
from rehearsal.server import HOST, Server


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Exit 0; 1: can't listen or announce; 2: bad usage or scenario."""
    parent = os.getppid()
    options = _parser().parse_args(argv)
    if options.die_with_parent:
        die_with_parent()
    try:
        scenario = load(options.scenario)
    except ScenarioError as error:
        print(f"rehearsal: {error}", file=sys.stderr)
        return 2
    return asyncio.run(_serve(scenario, options, parent))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rehearsal", description="Play a scenario as an OpenAI-compatible endpoint."
    )
    parser.add_argument("--scenario", default="status-page", help="name of a scenario, or path of a .yaml file")
    parser.add_argument("--port", type=_port, default=0, help="0 (the default): any free one")
    parser.add_argument(
        "--host", default=HOST, help="address to listen on; it has no password (default: %(default)s)"
    )
    parser.add_argument("--announce", type=Path, help="file to write the base URL to (default: standard output)")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each completion")
    parser.add_argument(
        "--fault",
        type=_fault,
        action="append",
        default=[],
        help="KIND[:TIMES|:always[:SECONDS]], repeatable; KIND: 429 500 401 truncated garbage html hang",
    )
    parser.add_argument("--die-with-parent", action="store_true", help="end when the starting process ends")
    return parser


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to 65535")
    return int(text)


def _fault(text: str) -> Fault:
    try:
        return faults.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


async def _serve(scenario: Scenario, options: argparse.Namespace, parent: int) -> int:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    server = Server(scenario, latency=options.latency, faults=faults.Faults(options.fault))
    try:
        url = await server.start(options.port, options.host)
        _announce(url, options.announce)
    except OSError as error:
        print(f"rehearsal: can't serve on {options.host}:{options.port}: {error}", file=sys.stderr)
        await server.stop()
        return 1
    waits: list[asyncio.Task[Any]] = [loop.create_task(ended.wait())]
    if options.die_with_parent:
        waits.append(loop.create_task(parent_gone(parent)))
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    await server.stop()
    return 0


def _announce(url: str, file: Path | None) -> None:
    """Tell the base URL; a file appears whole or not at all."""
    if file is None:
        print(url, flush=True)
        return
    part = file.with_name(file.name + ".part")
    part.write_text(url + "\n", encoding="utf-8")
    part.replace(file)


if __name__ == "__main__":
    sys.exit(main())
