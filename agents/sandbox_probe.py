"""Says what confines commands on this machine, found by running one exactly as the agents do.

`python -m agents.sandbox_probe <auto|bubblewrap|container>` writes one JSON object: name (bubblewrap, container or
none), detail, bounds, fix. A composition root of its own, for the doctor; it touches nothing of the installation.
"""

import asyncio
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import cast

from agents.executors.levels import Level
from agents.executors.process import Processes
from agents.executors.sandbox import Mode, Sandbox
from agents.executors.workspace import Workspace


async def probed(mode: Mode) -> Level:
    """What confines commands here."""
    with tempfile.TemporaryDirectory(prefix="minilab-probe-") as folder:
        workspace = Workspace({"infra": Path(folder) / "infra"})
        return await Sandbox(Processes(), workspace, Path(folder) / "state", mode=mode).probe()


def main() -> None:
    """See the module."""
    print(json.dumps(asdict(asyncio.run(probed(cast(Mode, sys.argv[1]))))))


if __name__ == "__main__":
    main()
