"""A long chaos run: `python -m tests.chaos --minutes 10`. Exit code 1 if anything happened that must not."""

import argparse
import asyncio
import sys

from tests.chaos.harness import Run


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--kills", type=int, default=500, help="at least so many")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    count = asyncio.run(Run(options.kills, options.minutes * 60, options.seed, progress=sys.stdout.isatty()).count())
    print(count.report())
    return 0 if count.clean else 1


if __name__ == "__main__":
    sys.exit(main())
