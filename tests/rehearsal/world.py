"""A small real world to play a scenario in: files on disk, a real ansible-playbook, a real page on a loopback port.

The room's framing and addressing are the product's own, so a scenario that no longer fits them is noticed here.
"""

import asyncio
import contextlib
import json
import re
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from agents.domain.addressing import Roster
from agents.domain.message import USER, Message
from agents.domain.mission import PROBE, Check, Control, Mission, Request, Verdict, check_id, report
from agents.domain.role import ROLES, Role, parse_role
from agents.executors import probes
from agents.react import wording

PROMPTS = Path(__file__).resolve().parents[2] / "prompts"
ANSIBLE = Path(sys.executable).with_name("ansible-playbook")
SITE = "config/status-page/site"


class World:
    """The tools' effects. Each method named after a tool returns what the model reads."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.checks: tuple[Check, ...] = ()
        self.verdicts: list[str] = []
        self._page: asyncio.Server | None = None

    async def call(self, tool: str, args: dict[str, Any]) -> str:
        """Run a tool."""
        method: Callable[..., Awaitable[str]] = getattr(self, tool)
        return await method(**args)

    async def close(self) -> None:
        """Stop serving."""
        if self._page:
            self._page.close()

    async def save_file(self, path: str, content: str) -> str:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        return f"Saved {path} ({len(content)} bytes)"

    async def edit_file(self, path: str, old: str, new: str) -> str:
        text = (self.root / path).read_text()
        assert text.count(old) == 1, f"{old!r} must occur once in {path}"
        (self.root / path).write_text(text.replace(old, new))
        return f"Edited {path}"

    async def read_file(self, path: str) -> str:
        return (self.root / path).read_text()

    async def list_files(self, path: str) -> str:
        return "\n".join(file.name for file in (self.root / path).iterdir())

    async def search_files(self, pattern: str, path: str) -> str:
        found = []
        for file in sorted((self.root / path).rglob("*")):
            for number, line in enumerate(file.read_text().splitlines() if file.is_file() else (), 1):
                if re.search(pattern, line):
                    found.append(f"{file.relative_to(self.root)}:{number}: {line}")
        return "\n".join(found)

    async def run_ansible(self, playbook: str, check: bool = False) -> str:
        return (await self.ansible(playbook, check=check))[1]

    async def ansible(self, playbook: str, *, check: bool) -> tuple[int, str]:
        argv = [str(ANSIBLE), "-i", "localhost,", playbook, *(["--check"] if check else [])]
        process = await asyncio.create_subprocess_exec(
            *argv, cwd=self.root, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode()

    async def host_app(self, name: str, port: int, folder: str) -> str:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            body = (self.root / folder / "index.html").read_bytes()
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            writer.close()

        self._page = await asyncio.start_server(serve, "127.0.0.1", port)
        return f"{name} is served on http://127.0.0.1:{port}/"

    async def propose_checks(self, checks: list[dict[str, Any]]) -> str:
        found = [PROBE.validate_python(probe, strict=True) for probe in checks]
        self.checks = tuple(Check(check_id(probe), probe) for probe in found)
        return f"The mission has {len(self.checks)} checks:\n{report(self.checks)}"

    async def run_checks(self) -> str:
        self.checks = tuple([await self._judged(check) for check in self.checks])
        green = sum(check.green for check in self.checks)
        self.verdicts.append(f"{green}/{len(self.checks)}")
        return f"{green} of {len(self.checks)} checks are green.\n{report(self.checks)}"

    async def finish(self, summary: str) -> str:
        await self.run_checks()
        assert all(check.green for check in self.checks)
        return summary

    async def _judged(self, check: Check) -> Check:
        probe = check.probe
        if probe.type == "http":
            verdict, evidence = await probes.http(probe)
        elif probe.type == "file":
            found = probe.contains is None or probe.contains in (self.root / probe.path).read_text()
            verdict, evidence = (Verdict.PASS if found else Verdict.FAIL), probe.path
        elif probe.type == "ansible_idempotent":
            code, output = await self.ansible(probe.playbook, check=True)
            same = code == 0 and "changed=0" in output
            verdict, evidence = (Verdict.PASS if same else Verdict.FAIL), output.splitlines()[-1]
        else:
            raise AssertionError(f"no probe here for {probe.type}")
        return replace(check, verdict=verdict, evidence=evidence)


def roles() -> dict[str, Role]:
    """The roles of the shipped prompts."""
    shared = (PROMPTS / "_shared.md").read_text()
    return {name: parse_role(name, (PROMPTS / f"{name}.md").read_text(), shared) for name in ROLES}


@dataclass
class Story:
    """What came of playing a scenario: the rules that spoke, what was said, the words at the end."""

    rules: list[str] = field(default_factory=list)
    said: list[Message] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    summary: str = ""


class Room:
    """Plays the team: wakes the tagged, one turn at a time, until somebody finishes or nobody is left to act."""

    def __init__(self, url: str, world: World) -> None:
        self._url = url
        self._world = world
        self._roles = roles()
        self._roster = Roster.of(self._roles.values())
        self._mission = Mission()
        self.story = Story()

    async def say(self, text: str, limit: int = 60) -> Story:
        """The User says `text`; play on until it is quiet. At most `limit` model calls."""
        self._mission = Mission(requests=(Request.of("m1", text, "2026-01-01T00:00:00+00:00"),))
        waiting = self._post(Message(USER, text, to=self._roster.addressees(text, USER)))
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
        messages = self._opening(role, message)
        while True:
            answer = await ask(client, messages)
            self.story.rules.append(answer.rule)
            messages.append(answer.message)
            calls = answer.message.get("tool_calls", ())
            for call in calls:
                function = call["function"]
                assert function["name"] in role.tools, f"{name} has no {function['name']}"
                self.story.calls.append((name, function["name"]))
                content = await self._world.call(function["name"], json.loads(function["arguments"]))
                if function["name"] == "finish":
                    self.story.summary = content
                    return []
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": content})
            if not calls:
                text = re.sub(r"(?s)<think>.*?</think>", "", answer.message["content"]).strip()
                return self._post(Message(name, text, to=self._roster.addressees(text, name, message.sender)))

    def _opening(self, role: Role, message: Message) -> list[dict[str, Any]]:
        earlier = [wording.window_entry(said) for said in self.story.said if said is not message]
        mission = replace(self._mission, checks=self._world.checks)
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
