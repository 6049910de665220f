"""The command line itself: what it imports, what it says of bad usage, init and test."""

import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from client import initialise, selftest
from tests.client.conftest import REPOSITORY

HEAVY = ("langchain", "openai", "agents.react", "agents.runtime", "agents.tools", "agents.executors", "agents.worker")


def _cli(*argv: str, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "client.cli", *argv],
        env={**os.environ, **env},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("module", ["client.cli", "client.desk", "client.console.app", "client.doctor"])
def test_the_client_imports_nothing_of_the_agents_engine(module: str) -> None:
    script = f"import sys, {module}; print('\\n'.join(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    loaded = ran.stdout.split()
    assert module in loaded
    assert [name for name in loaded if name.startswith(HEAVY)] == []


def test_help_needs_neither_settings_nor_a_console() -> None:
    script = "import sys, client.cli as c\ntry: c.app(['--help'])\nexcept SystemExit: print('\\n'.join(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    for command in ("up", "console", "run", "doctor", "test", "init"):
        assert f"  {command} " in ran.stdout
    assert not {"prompt_toolkit", "pydantic", "redis", "httpx"} & set(ran.stdout.split())


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("doctr",), "doctor"),
        (("run",), "say what you want"),
        (("run", "  "), "say what you want"),
        (("up", "--nope"), "--nope"),
    ],
)
def test_bad_usage_is_2(argv: tuple[str, ...], said: str) -> None:
    ran = _cli(*argv)
    assert ran.returncode == 2
    assert said in ran.stderr


@pytest.mark.parametrize(
    ("name", "value"), [("HISTORY_LIMIT", "many"), ("OPENAI_API_BASE", "ftp://x"), ("ROOM", "not a room")]
)
def test_a_bad_setting_is_one_line_and_2(name: str, value: str) -> None:
    ran = _cli("console", **{name: value})
    assert ran.returncode == 2
    assert ran.stderr.startswith(f"minilab: {name}: ")
    assert len(ran.stderr.splitlines()) == 1


def test_init_writes_env_once_and_privately(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert initialise.main(tmp_path) == 1
    assert ".env.template" in capsys.readouterr().err
    (tmp_path / ".env.template").write_text("OPENAI_API_KEY=\n")
    assert initialise.main(tmp_path) == 0
    env = tmp_path / ".env"
    assert env.read_text() == "OPENAI_API_KEY=\n"
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    env.write_text("OPENAI_API_KEY=mine\n")
    assert initialise.main(tmp_path) == 0
    assert env.read_text() == "OPENAI_API_KEY=mine\n"
    assert "stays as it is" in capsys.readouterr().out


@pytest.mark.parametrize("failing", [None, "ruff", "mypy", "pytest"])
def test_selftest_runs_every_step_and_sums_up(failing: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    started: list[tuple[str, ...]] = []

    def start(home: Path, argv: Sequence[str]) -> int:
        started.append(tuple(argv))
        return 1 if argv[0] == failing else 0

    code = selftest.main(REPOSITORY, ["-k", "x"], start)
    assert code == (0 if failing is None else 1)
    assert [argv[0] for argv in started] == ["ruff", "ruff", "mypy", "lint-imports", "pytest"]
    assert started[-1][-2:] == ("-k", "x")
    said = capsys.readouterr().out
    assert ("FAILED" in said) is (failing is not None)


def test_selftest_names_a_missing_tool(capsys: pytest.CaptureFixture[str]) -> None:
    assert selftest.tool(REPOSITORY, ["no-such-tool"]) == 127
    assert "no-such-tool is missing" in capsys.readouterr().err
    assert selftest.tool(REPOSITORY, ["ruff", "--version"]) == 0
