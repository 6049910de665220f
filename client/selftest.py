"""`minilab test`: what `make check` does, step by step, with a summary."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

Start = Callable[[Path, Sequence[str]], int]
"""Runs a development tool in a directory; its exit code."""

STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("lint", ("ruff", "check", ".")),
    ("format", ("ruff", "format", "--check", ".")),
    ("types", ("mypy",)),
    ("import contracts", ("lint-imports",)),
    # twice the cores: most tests wait for programs they started
    ("tests", ("pytest", "-n", str(2 * (os.cpu_count() or 1)), "--dist", "loadfile")),
)


def main(home: Path, extra: Sequence[str], start: Start | None = None) -> int:
    """Run every step, also after one failed. Exit 0 only if all passed."""
    start = start or tool
    outcome: list[tuple[str, int]] = []
    for name, argv in STEPS:
        arguments = (*argv, *extra) if name == "tests" else argv
        print(f"── {name}: {' '.join(arguments)}", flush=True)
        outcome.append((name, start(home, arguments)))
    print("── summary", flush=True)
    for name, code in outcome:
        print(f"   {name:17} {'ok' if code == 0 else f'FAILED (exit code {code})'}")
    print("   what was skipped, and why, is in the short summary of pytest above")
    return 0 if all(code == 0 for _, code in outcome) else 1


def tool(home: Path, argv: Sequence[str]) -> int:
    """Run one of the tools of this .venv; 127 if it isn't there."""
    program = Path(sys.executable).with_name(argv[0])
    if not program.is_file():
        print(f"{program} is missing: start ./minilab test, which installs it", file=sys.stderr)
        return 127
    return subprocess.run((program, *argv[1:]), cwd=home, check=False).returncode
