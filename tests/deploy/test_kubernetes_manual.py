"""The manual's commands make the secrets that the manifests ask for, and its overlay renders."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from agents.domain.message import USER
from agents.domain.role import ROLES
from agents.room.keyring import Keyring
from tests.conftest import REPOSITORY
from tests.deploy.cluster import KUBERNETES, VARIANTS, Cluster, kubectl, kustomize, render, sources
from tests.deploy.test_kubernetes import NEWEST, validate

pytestmark = pytest.mark.real
PAGE = REPOSITORY / "docs" / "manual" / "how-to" / "kubernetes.md"


def block(mark: str) -> str:
    """The code that follows a mark in the page."""
    found = re.search(rf"<!-- {mark}: tests \w+ this -->\n```\w+\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found, mark
    return found[1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder where `./minilab` and `kubectl create` work, with what a user would have there."""
    program = f'#!/bin/sh\nexec {sys.executable} -m client.cli "$@"\n'
    recorder = f'#!/bin/sh\n{kubectl()} "$@" --dry-run=client -o yaml >>"$CREATED" && echo "---" >>"$CREATED"\n'
    for path, text in ((tmp_path / "minilab", program), (tmp_path / "bin" / "kubectl", recorder)):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    for name in (".minilab/keys/id_lab", ".minilab/hosts/known_hosts", "infrastructure.env", "lab.kubeconfig"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("something\n")
    (tmp_path / "redis-ca.crt").write_text("something\n")
    return tmp_path


def created(checkout: Path, script: str) -> dict[tuple[str, str], dict[str, bytes]]:
    """What a script of the page creates: (kind, name) → file → content."""
    environment = {
        **os.environ,
        "PATH": f"{checkout / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "MINILAB_HOME": str(checkout),
        "CREATED": str(checkout / "created.yaml"),
        "OPENAI_API_KEY": "sk-key",
    }
    done = subprocess.run(
        ["sh", "-euc", script], cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    things = [thing for thing in yaml.safe_load_all((checkout / "created.yaml").read_text()) if thing]
    for thing in things:
        validate(thing, NEWEST)
    return {(thing["kind"].lower(), thing["metadata"]["name"]): content(thing) for thing in things}


def content(thing: Mapping[str, Any]) -> dict[str, bytes]:
    """The files of a Secret or ConfigMap."""
    if thing["kind"] == "Secret":
        return {name: base64.b64decode(text) for name, text in thing["data"].items()}
    return {name: text.encode() for name, text in thing["data"].items()}


def test_the_commands_make_what_is_mounted(checkout: Path) -> None:
    made = created(checkout, block("secrets") + block("more secrets"))
    made = {(kind.replace("configmap", "configMap"), name): files for (kind, name), files in made.items()}
    wanted = {source for name in VARIANTS for pod in render(name).pods() for source in sources(pod)}
    by_kustomize = ("minilab-prompts", "minilab-policy")
    mounted = {(kind, name, key) for kind, name, key, _ in wanted if not name.startswith(by_kustomize)}
    assert {(kind, name) for kind, name, _ in mounted} == set(made)
    for kind, name, key in mounted:
        assert key == "*" or key in made[kind, name], (name, key)
    assert made["secret", "minilab-model"] == {"openai_api_key": b"sk-key"}
    assert set(made["configMap", "minilab-known-hosts"]) == {"known_hosts"}


def test_what_they_make_works_as_a_pod_would_see_it(checkout: Path, tmp_path: Path) -> None:
    made = created(checkout, block("secrets"))
    rules = made["secret", "minilab-redis-users"]["users.acl"].decode()
    for name in (*ROLES, USER):
        own = made["secret", f"minilab-{name.lower()}"]
        # as the kubelet lays it out: links to files that a group may read
        data, signing = tmp_path / name / "..data", tmp_path / name / "signing"
        data.mkdir(parents=True)
        signing.mkdir()
        files = {
            f"{name}.key": own["signing.key"],
            "public.json": made["configmap", "minilab-public-keys"]["public.json"],
        }
        for file, text in files.items():
            (data / file).write_bytes(text)
            (data / file).chmod(0o440)
            (signing / file).symlink_to(data / file)
        ring = Keyring.load(signing, [name]).require([name])
        assert set(ring.known) == {*ROLES, USER}
        mark = hashlib.sha256(own["redis-password"].strip()).hexdigest()
        assert re.search(rf"^user {name} reset on #{mark} ", rules, re.MULTILINE)


def test_the_overlay_of_the_page_renders(tmp_path: Path) -> None:
    back = os.path.relpath(KUBERNETES / "overlays", tmp_path)
    text = block("overlay").replace("../single-node", f"{back}/single-node")
    (tmp_path / "kustomization.yaml").write_text(text)
    cluster = Cluster(kustomize(tmp_path))
    assert {thing["metadata"]["namespace"] for thing in cluster.objects} == {"minilab"}
    assert cluster.one("ConfigMap", "minilab-settings")["data"]["BUDGET_USD"] == "5"
    images = {container["image"] for pod in cluster.pods() for container in pod.containers}
    assert images == {"registry.example.com/minilab:0.1.0", "redis:7.4-bookworm"}
    coder, devops = cluster.pod("agent-coder"), cluster.pod("agent-devops")
    assert cluster.may_leave(devops, "192.168.1.20", 22)
    assert not cluster.may_leave(coder, "192.168.1.20", 22)
    for thing in cluster.objects:
        validate(thing, NEWEST)


def test_the_page_names_every_metric_and_patch_point() -> None:
    page = PAGE.read_text()
    network = (KUBERNETES / "base" / "network.yaml").read_text()
    points = re.findall(r"# PATCH POINT.*?\n  name: (\S+)", network, re.DOTALL)
    assert set(points) == {"model-endpoint", "managed-hosts", "exporter"}
    assert [name for name in points if f"`{name}`" not in page] == []
    rules = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    assert "minilab_inbox_pending" in json.dumps([rule for rule in rules if "externalRules" in rule])
