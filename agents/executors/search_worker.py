"""The process a search runs in: one JSON request on stdin, one JSON answer on stdout. Imports nothing of ours."""

import json
import re
import resource
import sys
from typing import Any

MEMORY_BYTES = 1 << 30


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """One match more than asked for tells that there are more."""
    try:
        pattern = re.compile(request["pattern"])
    except (re.error, RecursionError, OverflowError, MemoryError) as error:
        return {"error": str(error) or type(error).__name__}
    matches: list[tuple[str, int, str]] = []
    for name, text in request["files"]:
        for number, line in enumerate(text.split("\n"), 1):
            line = line.rstrip("\r")
            if match := pattern.search(line):
                start = max(0, match.start() - request["chars"] // 3)
                matches.append((name, number, line[start : start + request["chars"]]))
                if len(matches) > request["matches"]:
                    return {"matches": matches}
    return {"matches": matches}


def main() -> None:
    """Answer one request, within bounds of its own: it must end even if nobody is left to kill it."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    request = json.load(sys.stdin.buffer)
    cpu = int(request["seconds"]) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
    sys.stdout.buffer.write(json.dumps(answer(request)).encode())


if __name__ == "__main__":
    main()
