"""STOP → everything halted and every receipt in: `python -m benchmarks.stop [--rounds 50]`. Goal: p99 ≤ 300 ms.

Three agents at work: one waits for a model that doesn't answer, one runs a shell with a daemonised child, one a
command over SSH (where an sshd is installed). Measured from the order's posting to the last of the receipts, as a
client sees it. Fails if any of their processes is alive after that.
"""

import argparse
import asyncio
import contextlib
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
from langchain_core.messages import HumanMessage

from agents.domain.message import USER, Kind, Message
from agents.domain.redaction import SecretMask
from agents.domain.role import Role
from agents.domain.turn import Claim, Outcome, StopReason
from agents.executors.process import Processes, base_environment
from agents.executors.ssh import Ssh
from agents.react.models import ChatModel
from agents.react.transport import Endpoint, Timeouts, Transport
from agents.room import embedded, open_room
from agents.room.opening import RedisOpenRoom
from agents.runtime.control import Halted, Switchboard
from agents.runtime.listener import Agent, Limits, Progress
from agents.runtime.prompts import PromptLibrary
from tests.support.remote import Lab
from tests.support.sshd import running_sshd

ROOT = Path(__file__).resolve().parent.parent
MARK = "86399.4242"  # seconds nobody else sleeps
TREE = f"setsid sleep {MARK} & sleep {MARK}"
Work = Callable[[], Awaitable[object]]


@asynccontextmanager
async def silent_model() -> AsyncIterator[ChatModel]:
    """A model whose endpoint takes the request and never answers."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while await reader.read(1 << 16):
                pass
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = Transport(Endpoint(f"http://127.0.0.1:{port}/v1", "none"), Timeouts())
    model = ChatModel(transport, ["silent"])
    await model.warm()
    yield model
    await transport.aclose()
    server.close()


def works(model: ChatModel, processes: Processes, ssh: Ssh | None, folder: Path) -> dict[str, Work]:
    """What each agent is at."""
    found: dict[str, Work] = {
        "Coder": lambda: model.query([HumanMessage("hello")], []),
        "DevOps": lambda: processes.run(["bash", "-c", TREE], cwd=folder, env=base_environment(folder), timeout=900),
    }
    if ssh is not None:
        remote = ssh
        found["QA"] = lambda: remote.run("box", TREE, 900)
    return found


async def measure(rounds: int, ssh: Ssh | None, folder: Path) -> list[float]:
    """Milliseconds of each round."""
    server, processes = await embedded.start(folder / "state", None), Processes()
    opened, client = await open_room(server.url, "bench"), await open_room(server.url, "bench")
    async with silent_model() as model:
        work = works(model, processes, ssh, folder)

        async def reason(role: Role, claim: Claim, progress: Progress) -> Outcome:
            progress(1, "at work")
            await work[role.name]()
            return Outcome(StopReason.REPLIED)

        async def halt(role: str | None) -> Halted:
            trees, remote = await asyncio.gather(processes.stop_all(), ssh.stop_all() if ssh else asyncio.sleep(0, 0))
            return Halted(trees, 0, remote)

        prompts, mask = PromptLibrary(ROOT / "prompts"), SecretMask()
        agents = [Agent(name, name, "here", opened, prompts, reason, mask, Limits()) for name in work]
        tasks = [asyncio.create_task(agent.run()) for agent in agents]
        tasks.append(asyncio.create_task(Switchboard(opened, agents, halt).run()))
        try:
            return [await one_round(client, list(work), agents) for _ in range(rounds)]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await opened.aclose()
            await client.aclose()
            await server.stop()


async def one_round(opened: RedisOpenRoom, names: list[str], agents: list[Agent]) -> float:
    """Set everybody to work, stop everybody; milliseconds to the last receipt."""
    await opened.room.post(Message(USER, "work", to=tuple(names)))
    while any(agent.presence().state != "at work" for agent in agents):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.4)  # the shell and the remote command have started their children
    order = Message(USER, "STOP", Kind.CONTROL, data={"action": "stop"})
    waiting = set(names)
    since = (await opened.control.read()).now
    events = opened.room.follow(f"{int(since * 1000) - 1}-0")
    started = time.perf_counter()
    await opened.control.stop(order)
    async for event in events:
        if event.reply_to == order.id:
            waiting.discard(event.sender)
        if not waiting:
            break
    took = (time.perf_counter() - started) * 1000
    await events.aclose()
    left = [process.pid for process in psutil.process_iter(["cmdline"]) if MARK in (process.info["cmdline"] or [])]
    if left:
        raise SystemExit(f"still running after the receipts: {left}")
    return took


def main() -> int:
    """Measure and print; exit code 1 if the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    rounds = parser.parse_args().rounds
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ssh = None
        if shutil.which("sshd"):
            keys = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            sshd = stack.enter_context(running_sshd(keys))
            ssh = Lab(Path(stack.enter_context(tempfile.TemporaryDirectory())), sshd).ssh
        times = sorted(asyncio.run(measure(rounds, ssh, folder)))
    p50, p99 = statistics.median(times), times[min(len(times) - 1, int(len(times) * 0.99))]
    what = "model, shell tree, SSH" if ssh else "model, shell tree (no sshd here)"
    met = "met" if p99 <= 300 else "MISSED"
    print(f"STOP, {what}: {rounds} rounds, p50 {p50:.0f} ms, p99 {p99:.0f} ms, goal p99 ≤ 300: {met}")
    return int(p99 > 300)


if __name__ == "__main__":
    sys.exit(main())
