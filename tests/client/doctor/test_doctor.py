"""The doctor finds what is there, what is missing, and the fix."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from client.doctor import Level, Row, Subject, endpoint, main, places, programs, report
from client.doctor.rows import Endpoint

GOOD_CHAT = {"choices": [{"message": {"tool_calls": [{"function": {"name": "ping"}}]}}]}
MODELS = {"data": [{"id": "m1"}, {"id": "m2"}]}


class _Model(BaseHTTPRequestHandler):
    """An endpoint that answers as the test says: path → (status, body)."""

    answers: ClassVar[dict[str, tuple[int, Any]]] = {}

    def do_GET(self) -> None:
        status, body = self.answers[self.path]
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def model() -> Iterator[Endpoint]:
    """An endpoint that lists models and calls tools."""
    _Model.answers = {"/v1/models": (200, MODELS), "/v1/chat/completions": (200, GOOD_CHAT)}
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Model)
    Thread(target=server.serve_forever, daemon=True).start()
    yield Endpoint(f"http://127.0.0.1:{server.server_port}/v1", "sk-secret-of-the-test-0000", "m1")
    server.shutdown()
    server.server_close()


def test_in_a_container_nothing_is_missed_that_belongs_outside(subject: Subject) -> None:
    logs = subject.home / "client"
    logs.write_text("a file where the folder would be")
    assert places.workspace(subject).level is Level.FAIL
    assert places.workspace(replace(subject, sandbox="container")).level is Level.OK
    assert programs.venv("container").level is Level.OK
    outside = {row.name for row in programs.needed("auto")}
    assert outside - {row.name for row in programs.needed("container")} == {"docker"}


@pytest.fixture
def subject(tmp_path: Path, prompts: Path) -> Subject:
    """A healthy installation."""
    assert prompts.is_dir()
    return Subject(tmp_path, tmp_path / ".minilab", None, "lab", "auto", None)


async def test_a_model_that_calls_tools_is_fine(model: Endpoint) -> None:
    row = await endpoint.model(model)
    assert (row.level, row.fix) == (Level.OK, "")


@pytest.mark.parametrize(
    ("path", "answer", "level", "said"),
    [
        ("models", (401, {}), Level.FAIL, "OPENAI_API_KEY"),
        ("models", (404, {}), Level.FAIL, "/v1"),
        ("models", (200, b"<html>hello</html>"), Level.FAIL, "not a JSON object"),
        ("models", (200, []), Level.FAIL, "not a JSON object"),
        ("models", (200, {}), Level.FAIL, "no data"),
        ("models", (200, {"data": [{"id": "other"}]}), Level.FAIL, "LLM_MODEL: e.g. other"),
        ("chat/completions", (429, {}), Level.FAIL, "over its limit"),
        ("chat/completions", (500, {}), Level.FAIL, "HTTP 500"),
        ("chat/completions", (200, {"choices": []}), Level.FAIL, "no message"),
        ("chat/completions", (200, {"choices": [{"message": {"content": "pong"}}]}), Level.WARN, "without calling"),
        ("models", (200, {"data": []}), Level.OK, "calls tools"),
    ],
)
async def test_what_can_be_wrong_with_an_endpoint(
    model: Endpoint, path: str, answer: tuple[int, Any], level: Level, said: str
) -> None:
    _Model.answers = {**_Model.answers, f"/v1/{path}": answer}
    row = await endpoint.model(model)
    assert row.level is level
    assert said in f"{row.detail} {row.fix}"
    assert model.key not in f"{row.detail} {row.fix}"


async def test_an_endpoint_that_is_not_there(model: Endpoint) -> None:
    row = await endpoint.model(replace(model, base="http://127.0.0.1:1/v1"))
    assert row.level is Level.FAIL
    assert "OPENAI_API_BASE" in row.fix


async def test_no_key_means_rehearsal() -> None:
    row = await endpoint.model(None)
    assert (row.level, "rehearsal" in row.detail) == (Level.WARN, True)


def test_prompts(subject: Subject) -> None:
    assert places.prompts(subject).level is Level.OK
    (subject.home / "prompts" / "QA.md").write_text("broken")
    row = places.prompts(subject)
    assert row.level is Level.FAIL
    assert "prompts/QA.md" in row.detail


def test_workspace(subject: Subject) -> None:
    assert places.workspace(subject).level is Level.OK
    (subject.home / "tmp").rmdir()
    (subject.home / "tmp").write_text("a file")
    row = places.workspace(subject)
    assert (row.level, "tmp" in row.detail) == (Level.FAIL, True)


def test_disk(subject: Subject) -> None:
    assert "GiB free" in places.disk(subject).detail


async def test_redis(subject: Subject) -> None:
    assert (await places.redis(subject)).level in (Level.OK, Level.WARN)
    row = await places.redis(replace(subject, redis_url="redis://127.0.0.1:1/"))
    assert row.level is Level.FAIL
    assert "redis://127.0.0.1:1" in row.detail


@pytest.mark.real
async def test_redis_that_answers(subject: Subject, redis_url: str) -> None:
    assert (await places.redis(replace(subject, redis_url=redis_url))).level is Level.OK


@pytest.mark.parametrize(
    ("script", "level", "said"),
    [
        ("echo version 1.2; echo more", Level.OK, "version 1.2"),
        ("echo broken >&2; exit 3", Level.WARN, "doesn't work (broken)"),
        ("exit 3", Level.WARN, "exit code 3"),
        ("exec sleep 30", Level.WARN, "no answer within"),
        (None, Level.WARN, "not found"),
    ],
)
def test_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, level: Level, said: str
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    if script:
        (tmp_path / "someprogram").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "someprogram").chmod(0o755)
    row = programs.program(programs.Program("some", ("someprogram", "-V"), "nothing works", "get it"))
    assert (row.level, said in row.detail) == (level, True)
    assert row.fix == ("" if level is Level.OK else "get it")


def test_a_container_as_the_boundary_is_said() -> None:
    row = programs.sandbox("container")
    assert "SANDBOX=container says a container is the boundary" in row.detail
    # all is well only where Landlock keeps commands from what else the container holds
    confined = "each is under Landlock" in row.detail
    assert (row.level, row.fix == "") == (Level.OK if confined else Level.WARN, confined)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            '{"name": "none", "detail": "it can\'t start", "bounds": "", "fix": ""}',
            "run_shell and run_code are off",
        ),
        (
            '{"name": "container", "detail": "they can read secrets", "bounds": "rlimits", "fix": "a newer kernel"}',
            "container: they can read secrets; bounds by rlimits",
        ),
        ('{"name": "container", "detail": "half an answer", "bounds": ""}', "the probe failed"),
        ("no JSON", "the probe failed (exit code 0): no JSON"),
        ("[]", "the probe failed"),
    ],
)
def test_no_sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: str, said: str) -> None:
    probe = tmp_path / "python"
    probe.write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\n")
    probe.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(probe))
    row = programs.sandbox("auto")
    assert (row.level, said in row.detail, row.fix != "") == (Level.WARN, True, True)


@pytest.mark.real
def test_the_sandbox_is_the_agents_own() -> None:
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap isn't installed")
    row = programs.sandbox("docker")
    assert (row.level, row.detail.partition("; bounds by ")[0]) == (Level.OK, "bubblewrap: commands are confined")


def test_the_report_for_people_and_for_machines(subject: Subject, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(subject, as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    names = [row["name"] for row in told["rows"]]
    assert told["ok"] is True
    assert {"python", "venv", "redis", "model endpoint", "prompts", "sandbox", "git", "terraform"} <= set(names)
    (subject.home / "prompts" / "QA.md").unlink()
    assert main(subject, as_json=False) == 1
    shown = capsys.readouterr().out
    assert all(name in shown for name in names)
    assert "→ mend the front matter" in shown


def test_the_table_is_clean() -> None:
    shown = report.table([Row("x", Level.WARN, "a\x1b[2Jb", "fix\nit")]).plain
    assert shown.splitlines() == ["warn x               ab", f"{'':20} → fix"]
