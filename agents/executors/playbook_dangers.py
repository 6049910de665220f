"""Which files could run something when Ansible merely loads them. Runs as a program too, see `main`."""

import json
import sys

from agents.executors.check_hazards import MAY_ACT, MAY_SHOW, hazards

_HARMLESS_HERE = (MAY_ACT, MAY_SHOW)  # a module is named by a syntax check, and not run


def dangers(files: dict[str, str]) -> dict[str, str]:
    """Name → why loading that file could run something, of the files where it could."""
    found = {}
    for name, text in files.items():
        why = [hazard for hazard in hazards({name: text}, {}) if not hazard.endswith(_HARMLESS_HERE)]
        if why:
            found[name] = why[0]
    return found


def main() -> None:
    """Read files (name → text) and write their dangers: a process, as a text can be made to hang a parser."""
    sys.stdout.buffer.write(json.dumps(dangers(json.load(sys.stdin.buffer))).encode())
