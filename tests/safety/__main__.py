"""`python -m tests.safety`: every attack and its control; prints false allows and false blocks, exits 1 on any."""

import asyncio
import sys

from tests.safety.suite import run_all


def main() -> int:
    """The exit code."""
    false_allows = false_blocks = 0
    verdicts = asyncio.run(run_all())
    for verdict in verdicts:
        false_allows += not verdict.refused
        false_blocks += not verdict.allowed
        print(f"{'ok ' if verdict.right else 'BAD'} {verdict.name:32} {verdict.fault}")
    print(f"{len(verdicts)} attacks, {false_allows} false allows; as many controls, {false_blocks} false blocks")
    return 1 if false_allows or false_blocks else 0


if __name__ == "__main__":
    sys.exit(main())
