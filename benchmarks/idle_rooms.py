"""What idle rooms weigh: 200 rooms of six agents in one process. `python -m benchmarks.idle_rooms [--rooms 200]`

Everything an agent does while nobody speaks is done: following the channel, looking into the inbox, heartbeats, the
watch over the room. The product runs one room per process; this is what its parts would cost together.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from agents.domain.redaction import SecretMask
from agents.domain.role import ROLES, Role
from agents.domain.turn import Claim, Outcome, StopReason
from agents.room import embedded, open_room
from agents.runtime.control import Halted, Switchboard
from agents.runtime.listener import Agent, Limits
from agents.runtime.prompts import PromptLibrary
from agents.runtime.team import Notices, Team
from agents.runtime.vigil import Vigil
from agents.telemetry.pulse import Pulse

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 15


async def team(url: str, number: int, prompts: PromptLibrary, folder: Path) -> Team:
    """The six agents of a room."""
    opened, mask = await open_room(url, f"idle-{number}"), SecretMask()

    async def reason(role: Role, claim: Claim, progress: Callable[[int, str], None]) -> Outcome:
        return Outcome(StopReason.REPLIED, "here")

    async def halt(role: str | None) -> Halted:
        return Halted()

    async def close() -> None:
        """Nothing was started."""

    agents = [Agent(name, f"{name}-{number}", "here", opened, prompts, reason, mask, Limits()) for name in ROLES]
    switchboard = Switchboard(opened, agents, halt)
    notices, vigil, pulse = Notices(opened, mask), Vigil(opened, switchboard), Pulse(folder / "pulse", print)
    return Team(opened, agents, switchboard, notices, vigil, None, close, pulse)


async def measure(rooms: int) -> tuple[float, float, float]:
    """(MB in all, MB before the rooms, share of a core)."""
    with tempfile.TemporaryDirectory() as folder:
        server = await embedded.start(Path(folder), None)
        prompts, me = PromptLibrary(ROOT / "prompts"), psutil.Process(os.getpid())
        before = me.memory_info().rss / 1e6
        running = [
            asyncio.create_task((await team(server.url, n, prompts, Path(folder))).run()) for n in range(rooms)
        ]
        await asyncio.sleep(10)
        started, used = time.perf_counter(), sum(me.cpu_times()[:2])
        await asyncio.sleep(SECONDS)
        share = (sum(me.cpu_times()[:2]) - used) / (time.perf_counter() - started)
        weight = me.memory_info().rss / 1e6
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await server.stop()
    return weight, before, share


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rooms", type=int, default=200)
    rooms = parser.parse_args().rooms
    weight, before, share = asyncio.run(measure(rooms))
    each = (weight - before) / rooms
    print(
        f"{rooms} rooms × {len(ROLES)} agents idle in one process: {weight:.0f} MB resident ({before:.0f} without, "
        f"{each:.2f} a room), {share * 100:.1f} % of a core"
    )


if __name__ == "__main__":
    main()
