"""The team in containers: image size, time from `up` to all healthy, memory of each idle container.

Needs the image (`./minilab compose up --build` once) and no team of this checkout that is up. Starts it with the
rehearsal, lets it idle, takes it down with its volumes.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PROJECT = "minilabbench"


def main() -> int:
    """Measure and print. Exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=3, help="how often it is started")
    parser.add_argument("--idle", type=float, default=10, help="seconds of idleness before memory is read")
    options = parser.parse_args()
    _image(os.environ.get("MINILAB_IMAGE") or "minilab:latest")
    seconds, resident = [], {}
    for _ in range(options.times):
        started = time.monotonic()
        _compose("up", "--demo")
        seconds.append(time.monotonic() - started)
        time.sleep(options.idle)
        resident = _resident()
        _compose("down", "--volumes")
    print(
        f"up → all healthy: median {statistics.median(seconds):.1f} s, longest {max(seconds):.1f} s of {len(seconds)}"
    )
    for name, size in sorted(resident.items()):
        print(f"resident, idle: {name:28} {size / 1e6:6.0f} MB")
    return 0


def _image(name: str) -> None:
    told = json.loads(_said("docker", "image", "inspect", name))[0]
    layers = _said("docker", "history", "--human=false", "--no-trunc", "--format", "{{.Size}} {{.CreatedBy}}", name)
    over = 0
    for line in layers.splitlines():  # newest first; below the first apt-get lies the base
        if "apt-get" in line:
            break
        over += int(line.split()[0])
    print(f"image: {told['Size'] / 1e6:.0f} MB, of which over base and system packages {over / 1e6:.0f} MB")


def _resident() -> dict[str, int]:
    """Resident bytes by container, all its processes together."""
    found = {}
    label = f"label=com.docker.compose.project={PROJECT}"
    for identity in _said("docker", "ps", "-q", "--filter", label).split():
        name = _said("docker", "inspect", "--format", "{{.Name}}", identity).strip().lstrip("/")
        pids = _said("docker", "top", identity, "-o", "pid").split()[1:]
        pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
        found[name] = sum(pages) * os.sysconf("SC_PAGE_SIZE")
    return found


def _compose(*arguments: str) -> None:
    environment = {**os.environ, "COMPOSE_PROJECT_NAME": PROJECT}
    done = subprocess.run(
        [sys.executable, "-m", "client.cli", "compose", *arguments],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}: {done.stderr[-2000:]}")


def _said(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
