"""One room's throughput at zero model latency against 1, 2, 4 replicas of a role: `python -m benchmarks.replicas`

Each replica is a process. A turn here is one message, three journaled steps and a reply; what waits isn't taken
together, which the product does. Redis is one server for all of them.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from pathlib import Path

import structlog

from agents.domain.message import Message, new_id
from agents.domain.redaction import SecretMask
from agents.domain.role import Role
from agents.domain.turn import Claim, Outcome, StopReason
from agents.room import embedded, inbox, open_room
from agents.runtime.listener import Agent, Limits, Progress
from agents.runtime.prompts import PromptLibrary
from benchmarks.room import EVENTS, STEP

ROOT = Path(__file__).resolve().parent.parent
STEPS = 3


async def replica(url: str, room: str) -> None:
    """Work until killed."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    inbox.MOST_PER_TURN = 1
    opened = await open_room(url, room)

    async def reason(role: Role, claim: Claim, progress: Progress) -> Outcome:
        for _ in range(STEPS):
            await opened.journal.record(claim, STEP, EVENTS)
        return Outcome(StopReason.REPLIED, f"@Architect done with {claim.deliveries[0].message.content}")

    prompts = PromptLibrary(ROOT / "prompts")
    limits = Limits(poll=0.005, hop_budget=10**6, window=1)
    agent = Agent("QA", f"QA-{new_id()}", "here", opened, prompts, reason, SecretMask(), limits)
    print("ready", flush=True)
    await agent.run()


async def throughput(url: str, replicas: int, count: int) -> float:
    """Turns per second."""
    room = f"bench-{new_id()[:8]}"
    opened = await open_room(url, room)
    argv = [sys.executable, "-m", "benchmarks.replicas", "--replica", url, room]
    pipe = asyncio.subprocess.PIPE
    workers = [await asyncio.create_subprocess_exec(*argv, stdout=pipe, cwd=ROOT) for _ in range(replicas)]
    try:
        for worker in workers:
            assert worker.stdout
            await worker.stdout.readline()
        box = opened.inbox("QA", "looker")
        started = time.perf_counter()
        posts = [Message("Architect", f"task {n}", to=("QA",)) for n in range(count)]
        await asyncio.gather(*map(opened.room.post, posts))
        while await box.pending():
            await asyncio.sleep(0.02)
        return count / (time.perf_counter() - started)
    finally:
        for worker in workers:
            worker.kill()
            await worker.wait()
        await opened.aclose()


async def measure(count: int) -> None:
    """Print a row for each number of replicas."""
    with tempfile.TemporaryDirectory() as folder:
        server = await embedded.start(Path(folder), None)
        for replicas in (1, 2, 4):
            turns = await throughput(server.url, replicas, count)
            print(f"{replicas} replicas: {turns:7.0f} turns/s ({turns * STEPS:.0f} journaled steps/s)", flush=True)
        await server.stop()


def main() -> None:
    """Measure, or be a replica."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--replica", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    asyncio.run(replica(*options.replica) if options.replica else measure(options.count))


if __name__ == "__main__":
    main()
