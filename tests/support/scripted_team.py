"""A team double: `python -m tests.support.scripted_team` is present as six roles and answers by a table, no model.

Reads REDIS_URL and ROOM, as the agents do. The first word of the User's message picks the answer.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from agents.domain.message import USER, Kind, Message
from agents.domain.mission import HttpProbe, Presence, RoomState, Verdict
from agents.domain.ports import OpenRoom
from agents.domain.role import ROLES
from agents.domain.turn import StopReason
from agents.room import open_room
from agents.room.keyring import Keyring

Act = Callable[[OpenRoom], Awaitable[None]]


def _says(text: str, outcome: StopReason, state: RoomState | None, kind: Kind = Kind.SAY) -> Act:
    async def act(opened: OpenRoom) -> None:
        if state:
            await opened.control.set_state(state)
        await opened.room.post(Message("Architect", text, kind, data={"outcome": outcome.value}))

    return act


async def _stop(opened: OpenRoom) -> None:
    await opened.control.stop(Message(USER, "STOP", Kind.CONTROL, data={"action": "stop"}))


async def _die(opened: OpenRoom) -> None:
    print("the double dies as told", flush=True)
    os._exit(7)


async def _activity(opened: OpenRoom) -> None:
    await opened.room.post(Message("DevOps", "I think so", Kind.THINK))
    await opened.room.post(Message("DevOps", "run_ansible ok 2.1 s: changed=1\nsecond line", Kind.TOOL))
    await opened.room.post(Message("Coder", "red \x1b[31malert\x1b[0m [bold]kept[/bold] key hunter2hunter2"))


async def _check(opened: OpenRoom) -> None:
    probe = HttpProbe(type="http", title="page answers", url="http://127.0.0.1:1/", status=200, contains=None)
    mission = await opened.mission.propose([probe])
    await opened.mission.judge(mission.checks[0].id, Verdict.FAIL, "connection refused")
    await opened.room.post(Message("QA", f"proposed {mission.checks[0].id}"))


async def _orphans(opened: OpenRoom) -> None:
    """Leave a daemonised grandchild behind."""
    argv = [sys.executable, "-c", "import os,time; os.fork() and os._exit(0); os.setsid(); time.sleep(300)", "orphan"]
    subprocess.Popen(argv, start_new_session=True)
    await opened.room.post(Message("DevOps", "orphaned"))


ACTS: dict[str, Act] = {
    "done": _says("[DONE] the page answers", StopReason.DONE, RoomState.DONE),
    "ask": _says("[AWAITING_INPUT] which port?", StopReason.AWAITING_INPUT, RoomState.AWAITING_INPUT),
    "fail": _says("Architect's turn ended: failed. 401", StopReason.FAILED, None, Kind.SYSTEM),
    "halt": _stop,
    "die": _die,
    "activity": _activity,
    "check": _check,
    "orphans": _orphans,
}


async def _beat(opened: OpenRoom) -> None:
    while True:
        for role in ROLES:
            await opened.presence.beat(Presence(role, f"{role}-{os.getpid()}", "here", "idle"))
        await asyncio.sleep(0.5)


async def _answer(opened: OpenRoom) -> None:
    async for message in opened.room.follow("0"):
        if message.sender != USER:
            continue
        if message.kind is Kind.CONTROL and message.data.get("action") == "stop":
            await opened.room.post(Message("DevOps", "DevOps stopped (was idle)", Kind.CONTROL))
        elif message.kind is Kind.SAY and message.epoch == (await opened.control.read()).epoch:
            words = message.content.split()
            if act := ACTS.get(words[0].lower()):
                await act(opened)
            else:
                await opened.room.post(Message("Architect", f"heard: {message.content} to {','.join(message.to)}"))


async def _main() -> None:
    keys = Keyring.load(Path(os.environ["MINILAB_TEST_HOME"]) / ".minilab" / "keys", (*ROLES, USER))
    opened = await open_room(os.environ["REDIS_URL"], os.environ["ROOM"], keyring=keys)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    tasks = [asyncio.create_task(work) for work in (_beat(opened), _answer(opened))]
    await ended.wait()
    for task in tasks:
        task.cancel()
    for role in ROLES:
        await opened.presence.leave(f"{role}-{os.getpid()}")
    await opened.aclose()


if __name__ == "__main__":
    asyncio.run(_main())
