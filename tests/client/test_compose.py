"""`minilab compose`: what it makes for containers, who may read it, and what compose is started with."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from agents.domain.errors import SessionError
from agents.domain.message import USER
from agents.domain.role import ROLES
from client import compose

KEY = "sk-test-of-the-endpoint"


@pytest.fixture
def stack(tmp_path: Path) -> compose.Stack:
    (tmp_path / ".env").write_text("TF_VAR_token='it''s'\nLLM_MODEL=small\nPROXMOX_API_TOKEN=a$b#c\n")
    (tmp_path / "docs" / "manual").mkdir(parents=True)
    return compose.Stack(tmp_path, "lab", {"PATH": os.environ["PATH"]}, KEY)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_everything_containers_are_given_is_made_and_closed(stack: compose.Stack) -> None:
    compose.prepare(stack)
    keys = stack.home / ".minilab" / "keys"
    for name in (*ROLES, USER):
        assert mode(keys / f"{name}.key") == 0o600
        assert mode(keys / f"{name}.redis-password") == 0o600
    made = stack.home / ".minilab" / "compose"
    assert mode(made) == 0o700
    assert (made / "openai-api-key").read_text() == KEY
    assert mode(made / "openai-api-key") == 0o600
    acl = (made / "redis-users.acl").read_text()
    assert acl.count("user ") == 2 + len(ROLES) + 1
    assert all((keys / f"{name}.redis-password").read_text().strip() not in acl for name in ROLES)
    infrastructure = (made / "infrastructure.env").read_text()
    assert "PROXMOX_API_TOKEN='a$b#c'" in infrastructure
    assert "LLM_MODEL" not in infrastructure
    assert mode(stack.home / "tmp" / "bootstrap_id_rsa") == 0o600
    for folder in ("generated_iac/infra", "generated_iac/config", "docs", "client/logs", ".minilab/hosts"):
        assert (stack.home / folder).is_dir()


def test_a_second_time_keeps_keys_and_takes_what_changed(stack: compose.Stack) -> None:
    compose.prepare(stack)
    before = (stack.home / ".minilab/keys/Coder.key").read_bytes()
    inode = (stack.made / "openai-api-key").stat().st_ino
    (stack.home / ".env").write_text("")
    compose.prepare(compose.Stack(stack.home, "lab", {}, "another"))
    assert (stack.home / ".minilab/keys/Coder.key").read_bytes() == before
    assert (stack.made / "openai-api-key").read_text() == "another"
    assert (stack.made / "openai-api-key").stat().st_ino == inode  # a container keeps the file it has mounted
    assert (stack.made / "infrastructure.env").read_text() == ""


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_root_gives_containers_what_they_need_and_nothing_else(stack: compose.Stack) -> None:
    (stack.home / "docs" / "manual" / "page.md").write_text("ours")
    outside = stack.home / "outside"
    outside.write_text("not theirs")
    (stack.home / "tmp").mkdir()
    (stack.home / "tmp" / "link").symlink_to(outside)
    compose.prepare(stack)
    assert (stack.home / ".minilab/keys/Coder.key").stat().st_uid == 1000
    assert (stack.home / "docs").stat().st_uid == 1000
    assert (stack.home / "docs/manual/page.md").stat().st_uid == 0
    assert outside.stat().st_uid == 0
    assert (stack.home / "tmp" / "link").lstat().st_uid == 1000


def test_containers_run_as_who_asks_and_never_as_root(stack: compose.Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert stack.owner() == (1000, 1000)
    monkeypatch.setattr(os, "getuid", lambda: 1234)
    monkeypatch.setattr(os, "getgid", lambda: 100)
    assert stack.owner() == (1234, 100)
    (stack.home / ".env").write_text("MINILAB_UID=77\n")
    assert stack.owner() == (77, 100)
    assert stack.variables(demo=False)["MINILAB_UID"] == "77"
    for wrong in ("0", "me", "-1"):
        (stack.home / ".env").write_text(f"MINILAB_UID={wrong}\n")
        with pytest.raises(SessionError, match="MINILAB_UID"):
            stack.owner()


def test_a_demo_is_pointed_at_the_rehearsal_and_costs_nothing(stack: compose.Stack) -> None:
    demo, real = stack.variables(demo=True), stack.variables(demo=False)
    assert demo["OPENAI_API_BASE"] == "http://rehearsal:8090/v1"
    assert demo["COMPOSE_PROFILES"] == "demo"
    assert demo["LLM_PRICE_OUTPUT"] == "0"
    assert not {"OPENAI_API_BASE", "COMPOSE_PROFILES"} & set(real)


def test_who_is_late_is_named() -> None:
    told = """[
        {"Name": "/a", "State": {"Running": true, "Health": {"Status": "healthy"}}},
        {"Name": "/b", "State": {"Running": true, "Health": {"Status": "starting"}}},
        {"Name": "/c", "State": {"Running": false}},
        {"Name": "/d", "State": {"Running": true}}
    ]"""
    assert compose._unhealthy(told) == ["b", "c"]


def test_what_is_missing_is_named(stack: compose.Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SessionError, match="install Docker with its compose plugin"):
        compose.program(lambda name: None)
    with pytest.raises(SessionError, match="say what: prepare, up"):
        compose.main(stack, [], print)
    missing = compose.Stack(stack.home, "lab", {}, None, kubeconfig=stack.home / "nowhere")
    with pytest.raises(SessionError, match="nowhere: No such file"):
        compose.prepare(missing)


def test_everything_else_goes_to_compose(stack: compose.Stack, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    log = tmp_path / "called"
    (tools / "docker-compose").write_text(f'#!/bin/sh\necho "$MINILAB_UID $*" >>{log}\nexit 3\n')
    (tools / "docker-compose").chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "which", lambda name: str(tools / name) if name == "docker-compose" else None)
        patch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
        here = compose.Stack(stack.home, "lab", {"PATH": f"{tools}:{os.environ['PATH']}"}, KEY)
        assert compose.main(here, ["logs", "--tail", "5", "agent-qa"], print) == 3
    assert log.read_text().split(maxsplit=1)[1] == "logs --tail 5 agent-qa\n"


@pytest.mark.parametrize(
    ("image", "user", "built"), [("", "", False), ("sha", "1000:1000", True), ("sha", "77:77", False)]
)
def test_an_image_made_for_somebody_else_is_built_anew(
    stack: compose.Stack, monkeypatch: pytest.MonkeyPatch, image: str, user: str, built: bool
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setattr(compose, "_said", lambda stack, argv, demo: f"{image if 'ls' in argv else user}\n")
    assert compose._built(stack) is built
