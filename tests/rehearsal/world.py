"""A real world to play a scenario in: the product's tools, a real ansible-playbook, a page on a loopback port.

The room's framing and addressing are the product's own, so a scenario that no longer fits them is noticed here.
"""

import asyncio
import contextlib
import json
import re
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from agents.domain.addressing import Roster, is_acknowledgement
from agents.domain.message import USER, Message
from agents.domain.mission import AnsibleProbe, Control, FileProbe, HostedApp, Verdict
from agents.domain.ports import TurnContext
from agents.domain.redaction import SecretMask
from agents.domain.role import ROLES, Role, parse_role
from agents.domain.turn import Claim, ToolResult
from agents.executors import probes
from agents.executors.ansible import Ansible
from agents.executors.hosting import App, Hosting
from agents.executors.lint import Lint
from agents.executors.process import Processes
from agents.executors.search import Search
from agents.executors.versions import Versions
from agents.executors.workspace import Workspace
from agents.react import wording
from agents.room.in_memory import InMemoryRoom
from agents.runtime.verifier import MissionVerifier, Prober
from agents.tools import ansible, approvals, apps, checks, files, team
from agents.tools.registry import Tool
from tests.support.gates import Guarded, RecordedLedger
from tests.support.team import claimed

PROMPTS = Path(__file__).resolve().parents[2] / "prompts"
ANSIBLE = Path(sys.executable).with_name("ansible-playbook")


class World:
    """The product's own tools over an in-memory room; only serving is simpler than the product's."""

    def __init__(self, root: Path) -> None:
        roots = {name: root / name for name in ("infra", "config", "docs", "tmp")}
        home = root / "home"
        for folder in (*roots.values(), home):
            folder.mkdir()
        self.opened = InMemoryRoom("story")
        self.verdicts: list[str] = []
        self._workspace = Workspace(roots)
        self._processes = Processes()
        self._ansible = Ansible(self._processes, self._workspace, home, home / "known_hosts")
        self._page = PageServer(self._workspace)
        self._claims: dict[str, Claim] = {}
        self._step = 0
        self._asked: set[str] = set()
        self._ledger = RecordedLedger()
        self._guarded = Guarded(self.opened, self._tools(root, home), ledger=self._ledger)

    def _tools(self, root: Path, home: Path) -> list[Tool[Any]]:
        mask = SecretMask()
        verifier = MissionVerifier(self.opened.mission, self._probers(), mask)
        versions = Versions(self._processes, root, home, ("infra", "config"))
        search = Search(self._workspace, self._processes, home)
        lint = Lint(self._workspace, self._processes, home)
        return [
            *files.tools(self._workspace, versions, search, lint, mask),
            *ansible.tools(self._ansible, self._workspace),
            *apps.tools(self._page, self._workspace),
            *approvals.tools(self.opened.approvals, self._ledger),
            *checks.tools(self.opened.mission, verifier),
            *team.tools(team.FinishLine(self.opened.mission, verifier), team.Questions(self.opened.mission)),
        ]

    def _probers(self) -> dict[str, Prober]:
        async def file(probe: FileProbe) -> tuple[Verdict, str]:
            return probes.file(probe, self._workspace)

        async def idempotent(probe: AnsibleProbe) -> tuple[Verdict, str]:
            return await self._ansible.check(probe.playbook, probe.inventory)

        return {"http": probes.http, "file": file, "ansible_idempotent": idempotent}

    async def call(self, role: Role, tool: str, args: dict[str, Any]) -> ToolResult:
        """Call a tool of the role, through the gate."""
        if role.name not in self._claims:
            self._claims[role.name] = await claimed(self.opened, role.name, sender="Story")
        self._step += 1
        turn = TurnContext(role, self._claims[role.name], self._step)
        result = await self._guarded.call(turn, tool, args, f"c{self._step}")
        if tool == "run_checks":
            self.verdicts.append(result.content.split(" checks")[0])
        return result

    async def requests(self) -> list[Message]:
        """Requests for approval that nobody was woken by yet."""
        events = await self.opened.room.events()
        fresh = [m for m in events if m.data.get("action") == "request" and m.id not in self._asked]
        self._asked |= {message.id for message in fresh}
        return fresh

    async def close(self) -> None:
        """Stop serving, and everything that runs."""
        self._page.close()
        await self._processes.stop_all()


class PageServer(Hosting):
    """Serves one folder's page; simpler than the product's hosting."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._server: asyncio.Server | None = None

    def close(self) -> None:
        """Serve no more."""
        if self._server:
            self._server.close()

    async def host(self, app: App) -> HostedApp:
        """Serve the folder of `app`."""
        site = self._workspace.host_path(app.folder or "")

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            body = (site / "index.html").read_bytes()
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            writer.close()

        self._server = await asyncio.start_server(serve, "127.0.0.1", app.port)
        return HostedApp(app.name, app.port, app.what, app.role, 0)


def roles() -> dict[str, Role]:
    """The roles of the shipped prompts."""
    shared = (PROMPTS / "_shared.md").read_text()
    return {name: parse_role(name, (PROMPTS / f"{name}.md").read_text(), shared) for name in ROLES}


@dataclass
class Story:
    """What came of playing a scenario: the rules that spoke, what was said, the words at the end."""

    rules: list[str] = field(default_factory=list)
    said: list[Message] = field(default_factory=list)
    summary: str = ""


class Room:
    """Plays the team: wakes the tagged, one turn at a time, until somebody finishes or nobody is left to act."""

    def __init__(self, url: str, world: World) -> None:
        self._url = url
        self._world = world
        self._roles = roles()
        self._roster = Roster.of(self._roles.values())
        self.story = Story()

    async def say(self, text: str, limit: int = 60) -> Story:
        """The User says `text`; play on until it is quiet. At most `limit` model calls."""
        asked = await self._world.opened.room.post(Message(USER, text))
        waiting = self._post(replace(asked, to=self._roster.addressees(text, USER)))
        async with httpx.AsyncClient(base_url=self._url, timeout=10) as client:
            while waiting and not self.story.summary:
                message = waiting.pop(0)
                for name in message.to:
                    waiting += await self._turn(client, name, message)
                    assert len(self.story.rules) < limit, "the story runs in circles"
        return self.story

    def _post(self, message: Message) -> list[Message]:
        self.story.said.append(message)
        return [message] if message.to else []

    async def _turn(self, client: httpx.AsyncClient, name: str, message: Message) -> list[Message]:
        role = self._roles[name]
        messages = await self._opening(role, message)
        while True:
            answer = await ask(client, messages)
            self.story.rules.append(answer.rule)
            messages.append(answer.message)
            calls = answer.message.get("tool_calls", ())
            for call in calls:
                function = call["function"]
                output = await self._called(client, role, function)
                if output.ends:
                    self.story.summary = output.content
                    return []
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": output.content})
            if not calls:
                text = re.sub(r"(?s)<think>.*?</think>", "", answer.message["content"]).strip()
                if is_acknowledgement(text):
                    return []
                return self._post(Message(name, text, to=self._roster.addressees(text, name, message.sender)))

    async def _called(self, client: httpx.AsyncClient, role: Role, function: dict[str, Any]) -> ToolResult:
        """The call's result; Security is woken while it waits for an approval."""
        call = asyncio.create_task(self._world.call(role, function["name"], json.loads(function["arguments"])))
        while not call.done():
            for request in await self._world.requests():
                assert await self._turn(client, "Security", request) == [], "a decision wakes nobody"
            await asyncio.wait([call], timeout=0.02)
        return call.result()

    async def _opening(self, role: Role, message: Message) -> list[dict[str, Any]]:
        earlier = [wording.window_entry(said) for said in self.story.said if said is not message]
        mission = await self._world.opened.mission.read()
        texts = [wording.mission_text(mission, Control()), wording.addressed([message], role)]
        if earlier:
            texts.insert(0, wording.window(earlier))
        system = {"role": "system", "content": wording.system_prompt(role, self._roster, "the rules")}
        return [system, *({"role": "user", "content": text} for text in texts)]


@dataclass(frozen=True)
class Answer:
    """A model's answer, put together from its stream."""

    rule: str
    message: dict[str, Any]


async def ask(client: httpx.AsyncClient, messages: list[dict[str, Any]]) -> Answer:
    """Ask as a streaming client does."""
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    async with client.stream("POST", "/chat/completions", json={"messages": messages, "stream": True}) as response:
        if response.status_code != 200:
            raise AssertionError((await response.aread()).decode())
        async for line in response.aiter_lines():
            with contextlib.suppress(json.JSONDecodeError):
                for choice in json.loads(line.removeprefix("data: ")).get("choices", ()) if line else ():
                    _add(message, choice["delta"])
        return Answer(response.headers["x-rehearsal-rule"], message)


def _add(message: dict[str, Any], delta: dict[str, Any]) -> None:
    message["content"] += delta.get("content") or ""
    for part in delta.get("tool_calls", ()):
        calls = message.setdefault("tool_calls", [])
        if part["index"] == len(calls):
            calls.append({name: value for name, value in part.items() if name != "index"})
        else:
            calls[part["index"]]["function"]["arguments"] += part["function"]["arguments"]
