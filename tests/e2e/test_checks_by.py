"""CHECKS_BY: what the Architect's process can't see, DevOps' sees for it. Each has a home and a key of its own."""

import asyncio
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest

from agents.domain.message import USER, Kind, Message
from agents.domain.mission import RoomState
from agents.domain.ports import OpenRoom
from agents.domain.role import ROLES
from agents.room import open_room
from agents.room.keyring import Keyring, create
from tests.conftest import REPOSITORY
from tests.react.http_double import USAGE, FakeEndpoint, Line, endpoint, piece, stream, tool_delta
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.e2e, pytest.mark.real, pytest.mark.timeout(180)]
ROOM = "checks-by"


def calls(tool: str, **arguments: object) -> Line:
    """The model calls the tool."""
    delta = tool_delta((0, f"call-{tool}", tool, json.dumps(arguments)))
    return stream(piece(tool_calls=delta), piece(finish="tool_calls"), USAGE)


def says(text: str) -> Line:
    """The model says its last word."""
    return stream(piece(text), piece(finish="stop"), USAGE)


@contextmanager
def page(port: int) -> Iterator[None]:
    """A page on the loopback interface, as one that DevOps hosts."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"node-1")

        def log_message(self, format: str, *args: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


def probes(port: int) -> list[dict[str, object]]:
    """A page, and a file in `docs`."""
    return [
        {"type": "http", "title": "page answers", "url": f"http://127.0.0.1:{port}/", "contains": "node-1"},
        {"type": "file", "title": "proof is written", "path": "docs/proof.md", "contains": "deployed"},
    ]


class Stage:
    """The room as the User sees it, a scripted model, and the processes that play roles."""

    def __init__(self, path: Path, url: str, opened: OpenRoom, model: FakeEndpoint, stack: AsyncExitStack) -> None:
        self._path = path
        self._url = url
        self.opened = opened
        self.model = model
        self._stack = stack

    def home(self, role: str) -> Path:
        """The role's own home."""
        home = self._path / role
        if not home.exists():
            shutil.copytree(REPOSITORY / "prompts", home / "prompts")
        return home

    async def play(self, role: str, checks_by: str = "DevOps") -> subprocess.Popen[bytes]:
        """Start the role's process, and wait until it is in the room."""
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home(role)),
            "MINILAB_HOME": str(self.home(role)),
            "KEYS_DIR": str(self._path / "keys"),
            "REDIS_URL": self._url,
            "ROOM": ROOM,
            "OPENAI_API_BASE": self.model.base,
            "OPENAI_API_KEY": "sk-none",
            "CHECKS_BY": checks_by,
        }
        log = self._stack.enter_context((self._path / f"{role}.log").open("ab"))
        process = subprocess.Popen([sys.executable, "-m", "agents", role], cwd=REPOSITORY, env=env, stderr=log)
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        async with asyncio.timeout(60):
            while all(one.role != role for one in await self.opened.presence.present()):
                assert process.poll() is None, (self._path / f"{role}.log").read_text()
                await asyncio.sleep(0.05)
        return process

    async def asks(self, text: str, *lines: Line) -> str:
        """Say it to the Architect, whose model answers with `lines`; return the last word of its turn."""
        said = await self.say(text, *lines)
        event = await self.heard(said, lambda event: event.sender == "Architect" and event.kind is Kind.SAY)
        return event.content

    async def say(self, text: str, *lines: Line) -> Message:
        """Say it to the Architect, whose model answers with `lines`."""
        self.model.lines[:] = lines
        return await self.opened.room.post(Message(USER, text, to=("Architect",)))

    async def heard(self, after: Message, holds: Callable[[Message], bool]) -> Message:
        """The first event after a message that `holds`."""
        async with asyncio.timeout(60):
            while True:
                for event in await self.opened.room.events(after.seq):
                    if holds(event):
                        return event
                await asyncio.sleep(0.05)

    def refusal(self) -> str:
        """What the model was told of its last `finish`."""
        messages = self.model.requests[-1].body["messages"]
        return str([message["content"] for message in messages if message["role"] == "tool"][-1])

    async def events(self, action: str) -> list[Message]:
        """The control messages of that action."""
        return [event for event in await self.opened.room.events() if event.data.get("action") == action]


@pytest.fixture
async def stage(tmp_path: Path, own_server: RedisServer) -> AsyncIterator[Stage]:
    create(tmp_path / "keys", (*ROLES, USER))
    keyring = Keyring.load(tmp_path / "keys", [USER])
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(endpoint(says("nothing is scripted")))
        opened = await open_room(own_server.url, ROOM, patience=5, keyring=keyring)
        stack.push_async_callback(opened.aclose)
        yield Stage(tmp_path, own_server.url, opened, model, stack)


async def test_finish_believes_what_devops_sees_and_nobody_else(stage: Stage, free_port: int) -> None:
    proof = stage.home("DevOps") / "docs" / "proof.md"  # the Architect's home has none
    proof.parent.mkdir()
    proof.write_text("deployed")
    architect = await stage.play("Architect")
    propose, finish = calls("propose_checks", checks=probes(free_port)), calls("finish", summary="It answers.")
    assert await stage.asks("Publish it.", propose, finish, says("DevOps is away.")) == "DevOps is away."
    assert "the process of DevOps, which runs the checks (CHECKS_BY), isn't in the room: is it up?" in stage.refusal()
    assert "2 of 2 checks are not green" in stage.refusal()

    await stage.play("DevOps")
    assert await stage.asks("And now?", finish, says("The page is missing.")) == "The page is missing."
    assert "1 of 2 checks are not green" in stage.refusal()
    assert "page answers" in stage.refusal()

    with page(free_port):
        assert "It answers." in await stage.asks("And now?", finish)
    assert (await stage.opened.control.read()).state is RoomState.DONE
    assert len(await stage.events("check")) == len(await stage.events("checked")) == 2
    thinkers = {str(request.body["messages"][0]["content"]).partition("(")[0] for request in stage.model.requests}
    assert len(thinkers) == 1  # no model saw it but the Architect's
    assert "@Architect" in thinkers.pop()
    architect.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(architect.wait, 20) == 0


async def test_without_the_setting_whoever_asks_runs_them(stage: Stage, free_port: int) -> None:
    proof = stage.home("DevOps") / "docs" / "proof.md"
    proof.parent.mkdir()
    proof.write_text("deployed")
    await stage.play("DevOps", checks_by="")
    await stage.play("Architect", checks_by="")
    propose, finish = calls("propose_checks", checks=probes(free_port)), calls("finish", summary="It answers.")
    with page(free_port):
        await stage.asks("Publish it.", propose, finish, says("The proof is missing."))
    assert "1 of 2 checks are not green" in stage.refusal()
    assert "proof is written" in stage.refusal()
    assert await stage.events("check") == []


async def test_stop_ends_the_waiting_and_sigterm_the_probe(stage: Stage, free_port: int) -> None:
    await stage.play("Architect")
    devops = await stage.play("DevOps")
    propose, finish = calls("propose_checks", checks=probes(free_port)[:1]), calls("finish", summary="It answers.")
    hanging = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hanging.set()
        await reader.read()  # until the prober goes
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", free_port)
    async with server:
        await stage.say("Publish it.", propose, finish, says("never said"))
        await asyncio.wait_for(hanging.wait(), 60)
        order = Message(USER, "STOP", Kind.CONTROL, data={"action": "stop"})
        await stage.opened.control.stop(order)
        [asked] = await stage.events("check")
        receipt = await stage.heard(asked, lambda event: event.sender == "Architect" and event.reply_to == order.id)
        assert "cancelled: finish" in receipt.content
        assert (await stage.opened.control.read()).state is RoomState.STOPPED

        hanging.clear()
        await stage.say("Again.", finish, says("never said"))
        await asyncio.wait_for(hanging.wait(), 60)
        devops.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(devops.wait, 8) == 0
    assert await stage.events("checked") == []
