"""The Architect's process and DevOps', which runs the checks of both, in one room."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

from agents.domain.message import USER, Kind, Message
from agents.domain.mission import Check, Presence, TcpProbe, Verdict
from agents.domain.ports import OpenRoom
from agents.domain.redaction import SecretMask
from agents.runtime.control import Halted, Switchboard
from agents.runtime.delegated import CheckService, DelegatedVerifier
from agents.runtime.verifier import MissionVerifier

PROBES = (
    TcpProbe(type="tcp", title="port 1", host="h", port=1),
    TcpProbe(type="tcp", title="port 2", host="h", port=2),
)
SECRET = "pass-phrase-1"
Hear = Callable[[Message], None]


class Hosts:
    """What DevOps' probers see: the verdict it is set to, once `may_end`."""

    def __init__(self) -> None:
        self.verdict = Verdict.PASS
        self.evidence = "seen from DevOps"
        self.bug: Exception | None = None
        self.probes = self.cancelled = 0
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def tcp(self, probe: TcpProbe) -> tuple[Verdict, str]:
        self.probes += 1
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.bug:
            raise self.bug
        return self.verdict, self.evidence

    async def probed(self) -> None:
        """Wait until a probe runs."""
        async with asyncio.timeout(10):
            while not self.probes:
                await asyncio.sleep(0.01)


class Scene:
    """The processes of Architect, DevOps and User, each with its own key; and one with no key at all."""

    def __init__(self, stack: AsyncExitStack, open_as: Callable[[str], OpenRoom]) -> None:
        self._stack = stack
        self.open_as = open_as
        self.architect, self.devops, self.user = (open_as(name) for name in ("Architect", "DevOps", USER))
        self.stranger = open_as("")
        self.hosts = Hosts()
        self.verifier = DelegatedVerifier(self.architect, "Architect", "DevOps")
        self.checks: list[Check] = []

    async def begin(self) -> None:
        """Both follow the room; the mission has two checks."""
        await self.follow(self.architect, self.verifier.hear)
        service = self.service(self.hosts)
        self._stack.push_async_callback(service.end)
        await self.follow(self.devops, service.hear)
        await self.devops.presence.beat(Presence("DevOps", "DevOps@h:1-a", "h", "idle", 0))
        self.checks = list((await self.architect.mission.propose(PROBES)).checks)

    def service(self, hosts: Hosts) -> CheckService:
        """A replica of DevOps."""
        verifier = MissionVerifier(self.devops.mission, {"tcp": hosts.tcp}, SecretMask([SECRET]))
        return CheckService(self.devops, "DevOps", verifier)

    async def follow(self, opened: OpenRoom, hear: Hear) -> None:
        """Have `hear` told of control messages, from when this returns."""
        heard = asyncio.Event()

        def listen(message: Message) -> None:
            heard.set()
            hear(message)

        task = asyncio.create_task(Switchboard(opened, [], halt_nothing, listen).run())
        self._stack.push_async_callback(ended, task)
        async with asyncio.timeout(10):
            while not heard.is_set():
                await self.user.room.post(Message(USER, "anybody?", Kind.CONTROL))
                await asyncio.sleep(0.02)

    async def events(self, action: str) -> list[Message]:
        """The control messages of that action."""
        return [event for event in await self.user.room.events() if event.data.get("action") == action]

    async def asking(self) -> tuple[Message, "asyncio.Task[list[Check]]"]:
        """A request whose probes don't end, and who waits for it."""
        self.hosts.may_end.clear()
        waiting = asyncio.create_task(self.verifier.run(self.checks))
        self._stack.push_async_callback(ended, waiting)
        await self.hosts.probed()
        [request] = await self.events("check")
        return request, waiting


async def halt_nothing(role: str | None) -> Halted:
    return Halted()


async def ended(task: "asyncio.Task[None] | asyncio.Task[list[Check]]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
