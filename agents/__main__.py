"""`python -m agents <Role>|all`: run agents in this process."""

import asyncio
import sys

from agents.domain.errors import BadInput, MiniLabError
from agents.settings import load


def main(arguments: list[str]) -> int:
    """Exit code 0 after SIGTERM, 1 for a room that can't be reached, 2 for bad usage or settings."""
    if len(arguments) != 1:
        print("usage: python -m agents <Role>[,<Role>…]|all", file=sys.stderr)
        return 2
    try:
        settings = load()
        from agents.worker import chosen, run  # the libraries of the loop load only once the settings are known good

        asyncio.run(run(settings, chosen(arguments[0])))
    except BadInput as error:
        print(f"minilab: {error}", file=sys.stderr)
        return 2
    except MiniLabError as error:
        print(f"minilab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
