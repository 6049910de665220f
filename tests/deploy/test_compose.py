"""docker-compose.yml and the Dockerfile as text: what a reader must be able to trust without starting anything."""

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from agents.compose_variables import VARIABLES
from agents.domain.role import ROLES
from agents.settings import Settings
from tests.conftest import REPOSITORY

TEXT = (REPOSITORY / "docker-compose.yml").read_text()
PLAN: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = PLAN["services"]
AGENTS = {f"agent-{role.lower()}": role for role in ROLES}
# settings that a container isn't given, and why
NOT_GIVEN = {
    "openai_api_key": "a secret file",
    "redis_password": "a secret file",
    "minilab_home": "the image's",
    "sandbox": "the image's: a container is the boundary",
    "sandbox_image": "no engine in a container",
    "sandbox_runtime": "no engine in a container",
}


def test_the_services_are_those_people_know() -> None:
    assert set(SERVICES) == {"redis-broker", *AGENTS, "user-console", "model-gateway", "rehearsal"}
    assert SERVICES["user-console"]["container_name"] == "user-console"
    assert SERVICES["user-console"]["tty"]
    assert SERVICES["user-console"]["stdin_open"]
    assert SERVICES["rehearsal"]["profiles"] == ["demo"]
    assert all("ports" not in service for service in SERVICES.values())


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(service[bound] for bound in ("mem_limit", "cpus", "pids_limit"))
    assert service["restart"] == "unless-stopped"
    assert service["logging"]["options"]["max-size"]
    assert not str(service["user"]).startswith("0")
    assert not {"privileged", "cap_add"} & set(service)


@pytest.mark.parametrize("name", [*AGENTS, "user-console"])
def test_who_needs_redis_waits_until_it_is_healthy(name: str) -> None:
    assert SERVICES[name]["depends_on"] == {"redis-broker": {"condition": "service_healthy"}}
    assert "healthcheck" in SERVICES["redis-broker"]


@pytest.mark.parametrize(("name", "role"), [*AGENTS.items(), ("user-console", "User")])
def test_each_has_its_own_key_and_password_and_no_other(name: str, role: str) -> None:
    files = {PLAN["secrets"][secret["source"]]["file"] for secret in SERVICES[name]["secrets"]}
    own = {f"./.minilab/keys/{role}.key", f"./.minilab/keys/{role}.redis-password"}
    assert {file for file in files if file.endswith((".key", ".redis-password"))} == own
    assert SERVICES[name]["environment"]["REDIS_USERNAME"] == role
    assert (name == "agent-devops") is any("infrastructure" in file for file in files)
    outdoors = name in ("agent-devops", "agent-qa", "agent-observer")
    assert outdoors is any("bootstrap" in file for file in files)
    assert outdoors is ("managed" in SERVICES[name]["networks"])
    assert outdoors is not ("HTTPS_PROXY" in SERVICES[name]["environment"] or name == "user-console")


def test_the_room_and_the_model_are_on_networks_without_a_way_out() -> None:
    assert all(PLAN["networks"][name]["internal"] for name in ("room", "model"))
    assert SERVICES["redis-broker"]["networks"] == ["room"]
    assert SERVICES["user-console"]["networks"] == ["room"]
    assert [name for name, service in SERVICES.items() if "outside" in service["networks"]] == ["model-gateway"]


def test_every_setting_reaches_the_agents_or_says_why_not() -> None:
    given = set(SERVICES["agent-devops"]["environment"])
    missing = {name for name in Settings.model_fields if name.upper() not in given}
    assert missing == set(NOT_GIVEN)
    foreign = given - {name.upper() for name in Settings.model_fields} - {"MINILAB_ROLE"}
    assert foreign == set()


def test_every_variable_is_explained_in_the_template() -> None:
    template = (REPOSITORY / ".env.template").read_text()
    used = set(re.findall(r"\$\{(\w+)", TEXT))
    assert used >= set(VARIABLES)
    for name in used:
        assert re.search(rf"^#? ?{name}=", template, re.MULTILINE), name


def test_the_defaults_of_the_build_are_the_dockerfile_s() -> None:
    dockerfile = (REPOSITORY / "Dockerfile").read_text()
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)$", dockerfile, re.MULTILINE))
    given = SERVICES["agent-coder"]["build"]["args"]
    for name, text in given.items():
        default = re.fullmatch(r"\$\{\w+:?-(.*)\}", str(text))
        assert default, name
        assert default[1] == arguments[name], name
    # everything that is downloaded has an address that can be changed
    assert set(re.findall(r"https?://[^\s\"]+", dockerfile)) <= set(arguments.values())


def test_nothing_secret_can_be_sent_to_the_build() -> None:
    listed = (REPOSITORY / ".dockerignore").read_text().splitlines()
    rules = [line for line in listed if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {line[1:] for line in rules if line.startswith("!")}
    assert not allowed & {".", ".env", ".minilab", "tmp", "generated_iac", "docs", "client/logs", ".git"}


@pytest.mark.real
@pytest.mark.skipif(not shutil.which("docker-compose"), reason="docker-compose is not installed")
def test_compose_itself_reads_it() -> None:
    done = subprocess.run(
        ["docker-compose", "-f", str(REPOSITORY / "docker-compose.yml"), "config", "-q"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
