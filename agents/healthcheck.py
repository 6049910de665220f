"""`python -m agents.healthcheck <Role> [SECONDS]`: exit 0 while this process's heartbeat reaches the room.

An agent marks each heartbeat that Redis took (`agents.telemetry.pulse`); this looks how old the mark is. A container
engine asks every few seconds for as long as the container lives: so it imports nothing but the standard library, and
asks the agent and not Redis, whose password it would need.
"""

import sys
import time
from pathlib import Path

STATE = Path(__file__).resolve().parent.parent / ".minilab"
FRESH = 15.0  # seconds; heartbeats come every three


def age(role: str, state: Path = STATE) -> float | None:
    """Seconds since the role's last heartbeat from here, None if there was none."""
    try:
        return max(0.0, time.time() - (state / "pulse" / role).stat().st_mtime)
    except OSError:
        return None


def main(arguments: list[str], state: Path = STATE) -> int:
    """Exit code: 0 fresh, 1 stale or none, 2 bad usage."""
    if not 1 <= len(arguments) <= 2 or not arguments[0].isalnum():
        print("usage: python -m agents.healthcheck <Role> [SECONDS]", file=sys.stderr)
        return 2
    found, bound = age(arguments[0], state), float(arguments[1]) if arguments[1:] else FRESH
    if found is None:
        print(f"{arguments[0]}: no heartbeat yet")
        return 1
    print(f"{arguments[0]}: last heartbeat {found:.0f} s ago")
    return 0 if found <= bound else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
