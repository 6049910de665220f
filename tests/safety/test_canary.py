"""A secret that a model, a tool or an error speaks of reaches no sink; what is no secret reaches all of them."""

import base64
import http.server
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.conftest import REPOSITORY
from tests.e2e.conftest import Home
from tests.support.redis_server import RedisServer, running

pytestmark = [pytest.mark.e2e, pytest.mark.real, pytest.mark.timeout(180)]

SECRET = "Zq7~canary/9+secret=xY2&w"
FORMS = {
    "as it is": SECRET,
    "base64": base64.b64encode(SECRET.encode()).decode(),
    "base64 after a user name": base64.b64encode(b"deploy:" + SECRET.encode()).decode(),
    "base64 for URLs": base64.urlsafe_b64encode(SECRET.encode()).decode(),
    "hex": SECRET.encode().hex(),
    "in a URL": quote(SECRET, safe=""),
    "aws": "AKIA" + "Q7ZK3XW2M5N8P4R6",
    "github": "ghp_" + "a1B2c3D4e5F6" * 3,
    "gitlab": "glpat-" + "x9Y8z7W6v5U4t3S2r1Qp",
}
SINKS = (
    "prompts",
    "Redis",
    "channel",
    "stdout",
    "stderr",
    "conversation log",
    "execution log",
    "written file",
    "spooled output",
    "ledger",
    "agents' log",
    "everything else",
    "why",
)
KEY = "sk-endpoint-" + "k3y" * 9


def speech(marker: str) -> str:
    """A text with every form of every secret, and a marker that may be seen."""
    return f"{marker}\n" + "\n".join(f"{name}: {form} ." for name, form in FORMS.items())


def call(id: str, name: str, **args: str) -> dict[str, Any]:
    """A tool call as a model sends it."""
    return {"id": id, "type": "function", "function": {"name": name, "arguments": json.dumps(args)}}


CALLS = [
    call("c0", "save_file", path="docs/plan.md", content=speech("seen-write")),
    call("c1", "read_file", path="docs/input.md"),
    call("c2", "search_files", pattern=".", path="docs/large.md"),
    call("c3", "read_file", path=f"docs/seen-error {SECRET} {FORMS['aws']} {FORMS['hex']}"),
    call("c4", "edit_file", path="docs/plan.md", old="seen-absent " + SECRET, new=speech("seen-args")),
]


class Endpoint(http.server.BaseHTTPRequestHandler):
    """A model that speaks of secrets in thoughts, words and arguments. Keeps the bodies it is sent."""

    received: list[bytes]

    def do_POST(self) -> None:
        """Answer one query as a stream of small pieces: a secret is cut in the middle."""
        body = self.rfile.read(int(self.headers["content-length"]))
        self.received.append(body)
        if b'"role":"tool"' not in body.replace(b'": "', b'":"'):
            deltas: list[dict[str, Any]] = [{"reasoning_content": part} for part in pieces(speech("seen-thought"))]
            deltas += [{"content": part} for part in pieces(speech("seen-aside"))]
            deltas += [{"tool_calls": [{"index": at, **wish}]} for at, wish in enumerate(CALLS)]
            end = "tool_calls"
        else:
            deltas = [{"content": part} for part in pieces("[AWAITING_INPUT] " + speech("seen-reply"))]
            end = "stop"
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for delta in deltas:
            self._send({"delta": delta, "finish_reason": None})
        self._send({"delta": {}, "finish_reason": end})
        self.wfile.write(b"data: [DONE]\n\n")

    def _send(self, choice: dict[str, Any]) -> None:
        chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        self.wfile.write(b"data: " + json.dumps({**chunk, "choices": [{"index": 0, **choice}]}).encode() + b"\n\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def pieces(text: str) -> list[str]:
    """`text` in pieces of seven characters."""
    return [text[at : at + 7] for at in range(0, len(text), 7)]


@contextmanager
def endpoint() -> Iterator[tuple[str, list[bytes]]]:
    """The address of the model, and what it received."""
    received: list[bytes] = []
    kind = type("Recording", (Endpoint,), {"received": received})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", received
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def listening(client: Any) -> Iterator[list[bytes]]:
    """Everything published on any channel meanwhile."""
    heard: list[bytes] = []
    channel = client.pubsub(ignore_subscribe_messages=True)
    channel.psubscribe(**{"*": lambda message: heard.append(message["data"])})
    thread = channel.run_in_thread(sleep_time=0.05, daemon=True)
    try:
        yield heard
    finally:
        thread.stop()
        thread.join(10)
        channel.close()


def everything_in(client: Any) -> bytes:
    """Every key's value, as one text."""
    read: dict[bytes, Any] = {
        b"stream": client.xrange,
        b"hash": client.hgetall,
        b"string": client.get,
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1),
        b"list": lambda key: client.lrange(key, 0, -1),
    }
    parts: list[bytes] = []

    def flatten(value: Any) -> None:
        if isinstance(value, bytes):
            parts.append(value)
        elif isinstance(value, dict):
            for pair in value.items():
                flatten(pair)
        elif isinstance(value, list | tuple | set):
            for item in value:
                flatten(item)

    for key in client.keys("*"):
        flatten((key, read[client.type(key)](key)))
    return b"\n".join(parts)


def minilab(home: Path, env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run `minilab`."""
    return subprocess.run(
        [sys.executable, "-m", "client.cli", *arguments],
        cwd=REPOSITORY,
        env=Home(home, env).environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
    )


def files(home: Path, *patterns: str) -> bytes:
    """The bytes of all matching files."""
    return b"\n".join(p.read_bytes() for pattern in patterns for p in sorted(home.glob(pattern)) if p.is_file())


def leaks(text: bytes) -> list[str]:
    """The forms of secrets in `text`; a JSON string spells some characters differently."""
    return [name for name, form in FORMS.items() if form.encode() in text or json.dumps(form)[1:-1].encode() in text]


@pytest.fixture(scope="module")
def sinks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, bytes]]:
    """What every sink holds after a session in which everybody speaks of secrets."""
    home = tmp_path_factory.mktemp("canary")
    shutil.copytree(REPOSITORY / "prompts", home / "prompts")
    given = {
        "docs/input.md": speech("seen-output"),
        "docs/large.md": speech("seen-large") + "\n" + f"{'filler ' * 30}\n" * 200,
    }
    (home / "docs").mkdir()
    for name, text in given.items():
        (home / name).write_text(text)
    for server in running("redis-server"):
        yield {**observed(home, server), "inputs": files(home, *given)}


def observed(home: Path, server: RedisServer) -> dict[str, bytes]:
    """Run the session; gather the sinks."""
    with endpoint() as (url, bodies), server.client() as client, listening(client) as heard:
        env = {"OPENAI_API_KEY": KEY, "OPENAI_API_BASE": url, "REDIS_URL": server.url, "DEPLOY_TOKEN": SECRET}
        done = minilab(home, env, "run", "Say what you know.")
        assert done.returncode == 4, done.stderr.decode()[-3000:]
        sound = minilab(home, env, "ledger", "verify")
        why = minilab(home, env, "why", "docs/plan.md")
        (ledger,) = (home / ".minilab" / "ledger").glob("*.jsonl")
        whole = ledger.read_bytes()
        ledger.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
        shortened = minilab(home, env, "ledger", "verify")
        ledger.write_bytes(whole)
        return {
            "verify": b"%d %s" % (sound.returncode, sound.stdout),
            "verify, cut off": b"%d %s" % (shortened.returncode, shortened.stdout),
            "why": why.stdout,
            "prompts": b"\n".join(bodies),
            "Redis": everything_in(client),
            "channel": b"\n".join(heard),
            "stdout": done.stdout,
            "stderr": done.stderr,
            "conversation log": files(home, "client/logs/*"),
            "execution log": files(home, "docs/execution_log_*.md"),
            "written file": files(home, "docs/plan.md"),
            "spooled output": files(home, "tmp/output/*"),
            "ledger": files(home, ".minilab/ledger/*"),
            "agents' log": files(home, ".minilab/*.log"),
            "everything else": files(home, ".minilab/**/*", "generated_iac/**/*", "tmp/**/*"),
        }


@pytest.mark.parametrize("sink", SINKS)
def test_no_secret_is_in(sinks: dict[str, bytes], sink: str) -> None:
    assert leaks(sinks[sink]) == []
    assert KEY.encode() not in sinks[sink]


@pytest.mark.parametrize(
    ("sink", "markers"),
    [
        ("inputs", "output large"),
        ("prompts", "aside output large error write args"),
        ("Redis", "thought aside output error write args reply"),
        ("channel", "thought aside error write args reply"),
        ("stdout", "reply"),
        ("stderr", "thought error reply"),
        ("conversation log", "thought aside error reply"),
        ("execution log", "output large error write args"),
        ("written file", "write"),
        ("spooled output", "large"),
        ("ledger", "write args"),
        ("everything else", "large write"),
        ("why", "write args"),
    ],
)
def test_what_is_no_secret_is_in(sinks: dict[str, bytes], sink: str, markers: str) -> None:
    assert [word for word in markers.split() if f"seen-{word}".encode() not in sinks[sink]] == []


def test_the_sessions_ledger_is_sound_and_its_missing_end_is_found(sinks: dict[str, bytes]) -> None:
    assert sinks["verify"].startswith(b"0 ")
    assert b"each as it was written" in sinks["verify"]
    assert b"Redis wasn't asked" not in sinks["verify"]
    assert sinks["verify, cut off"].startswith(b"1 ")
    assert b"the ledger was cut off" in sinks["verify, cut off"]


def test_the_agents_log_is_kept(sinks: dict[str, bytes]) -> None:
    assert b"team up" in sinks["agents' log"]


def test_the_search_finds_what_it_looks_for(sinks: dict[str, bytes]) -> None:
    assert leaks(sinks["inputs"]) == list(FORMS)
    assert leaks(json.dumps(speech("")).encode()) == list(FORMS)
