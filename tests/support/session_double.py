"""The real console, session and wardens with the scripted team: `python -m tests.support.session_double up WORDS…`.

MINILAB_TEST_HOME holds prompts, logs and state; REDIS_URL, ROOM and TERM as ever. SECRET is masked.
"""

import asyncio
import os
import sys
from pathlib import Path

from agents.domain.errors import MiniLabError
from agents.domain.redaction import SecretMask
from client import desk
from client.session import Place
from client.signals import Signalled, until_signalled

SECRET = "hunter2hunter2"
REPOSITORY = Path(__file__).resolve().parents[2]


def main(command: str, words: str) -> int:
    """As `minilab COMMAND WORDS`."""
    home = Path(os.environ["MINILAB_TEST_HOME"])
    place = Place(
        home=REPOSITORY,
        state_dir=home / ".minilab",
        keys=home / ".minilab" / "keys",
        room=os.environ.get("ROOM", "agent_channel"),
        redis_url=os.environ.get("REDIS_URL"),
        rehearsing=False,
        environment=os.environ,
        team=(sys.executable, "-m", "tests.support.scripted_team"),
        patience=float(os.environ.get("PATIENCE", "5")),
        ready_within=20,
        restarts=int(os.environ.get("RESTARTS", "0")),
    )
    front = desk.Front(place, home, SecretMask([SECRET]), os.environ.get("TERM", ""))
    work = {"up": lambda: desk.up(front, words), "console": lambda: desk.console(front)}
    work["run"] = lambda: desk.run(front, words)
    try:
        return int(asyncio.run(until_signalled(work[command]())))
    except Signalled as signalled:
        return signalled.exit_code
    except MiniLabError as error:
        print(f"minilab: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], " ".join(sys.argv[2:])))
