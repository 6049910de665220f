"""Rendered manifests, and what a cluster would make of them: who is selected, who may reach whom."""

import ipaddress
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import REPOSITORY

KUBERNETES = REPOSITORY / "deploy" / "kubernetes"
Object = Mapping[str, Any]

# name → the kustomization that is rendered; a tuple: a resource and components on top of it
VARIANTS: dict[str, tuple[str, ...]] = {
    "base": ("base",),
    "single-node": ("overlays/single-node",),
    "demo": ("overlays/demo",),
    "ha": ("overlays/ha",),
    "base, demo": ("base", "components/demo"),
    "ha, demo": ("overlays/ha", "components/demo"),
    "single-node, own policy": ("overlays/single-node", "components/policy"),
}


@dataclass(frozen=True)
class Pod:
    """A pod that some controller would start."""

    name: str
    labels: Mapping[str, str]
    spec: Mapping[str, Any]

    @property
    def role(self) -> str | None:
        """The agent's role."""
        return self.labels.get("minilab/role")

    @property
    def containers(self) -> list[Mapping[str, Any]]:
        """All of them, initial ones too."""
        return [*self.spec.get("initContainers", ()), *self.spec["containers"]]


class Cluster:
    """The objects of one variant."""

    def __init__(self, objects: list[Object]) -> None:
        self.objects = objects

    def all(self, kind: str) -> list[Object]:
        """The objects of a kind."""
        return [thing for thing in self.objects if thing["kind"] == kind]

    def one(self, kind: str, name: str) -> Object:
        """The object of that name; a generated name is found without its hash."""
        [found] = [
            thing
            for thing in self.all(kind)
            if thing["metadata"]["name"] == name or thing["metadata"]["name"].rpartition("-")[0] == name
        ]
        return found

    def pods(self) -> list[Pod]:
        """The pods, one of each controller."""
        return [
            Pod(
                thing["metadata"]["name"],
                thing["spec"]["template"]["metadata"]["labels"],
                thing["spec"]["template"]["spec"],
            )
            for thing in self.objects
            if thing["kind"] in ("Deployment", "StatefulSet")
        ]

    def pod(self, name: str) -> Pod:
        """The pod of a controller."""
        [found] = [pod for pod in self.pods() if pod.name == name]
        return found

    def names(self, kind: str) -> set[str]:
        """The names of a kind's objects."""
        return {str(thing["metadata"]["name"]) for thing in self.all(kind)}

    def may_connect(self, source: Pod, target: Pod, port: int) -> bool:
        """Whether the policies let `source` reach `port` of `target`."""
        out = self._allowed("Egress", source, lambda peer: _is_pod(peer, target), port)
        return out and self._allowed("Ingress", target, lambda peer: _is_pod(peer, source), port)

    def may_leave(self, source: Pod, address: str, port: int) -> bool:
        """Whether the policies let `source` reach an address outside."""
        return self._allowed("Egress", source, lambda peer: _is_address(peer, address), port)

    def _allowed(self, direction: str, pod: Pod, matches: Any, port: int) -> bool:
        policies = [
            thing["spec"]
            for thing in self.all("NetworkPolicy")
            if direction in thing["spec"]["policyTypes"] and selects(thing["spec"]["podSelector"], pod.labels)
        ]
        peers = "to" if direction == "Egress" else "from"
        return not policies or any(
            any(entry["port"] == port and entry["protocol"] == "TCP" for entry in rule["ports"])
            if "ports" in rule
            else True
            for policy in policies
            for rule in policy.get(direction.lower(), ())
            if any(matches(peer) for peer in rule[peers])
        )


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector takes `labels`."""
    expressions = selector.get("matchExpressions", ())
    assert all(entry["operator"] == "In" for entry in expressions), "teach selects() the others"
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        labels.get(entry["key"]) in entry["values"] for entry in expressions
    )


def _is_pod(peer: Mapping[str, Any], pod: Pod) -> bool:
    return "namespaceSelector" not in peer and "podSelector" in peer and selects(peer["podSelector"], pod.labels)


def _is_address(peer: Mapping[str, Any], address: str) -> bool:
    block, wanted = peer.get("ipBlock"), ipaddress.ip_address(address)
    return (
        block is not None
        and wanted in ipaddress.ip_network(block["cidr"])
        and not any(wanted in ipaddress.ip_network(part) for part in block.get("except", ()))
    )


def kubectl() -> str:
    """The program. Skips the test where there is none."""
    found = shutil.which("kubectl")
    if found is None:
        pytest.skip("kubectl isn't installed")
    return found


def kustomize(folder: Path) -> list[Object]:
    """What kustomize makes of a folder."""
    done = subprocess.run([kubectl(), "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr.lower()
    return [thing for thing in yaml.safe_load_all(done.stdout) if thing]


@cache
def render(variant: str) -> Cluster:
    """One of VARIANTS."""
    resource, *components = VARIANTS[variant]
    if not components:
        return Cluster(kustomize(KUBERNETES / resource))
    with Overlay([resource], components) as folder:
        return Cluster(kustomize(folder))


class Overlay:
    """An overlay as a user would write it, in a folder of its own."""

    def __init__(self, resources: list[str], components: list[str]) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="overlay-"))
        back = Path(os.path.relpath(KUBERNETES, self._folder.resolve()))
        body: dict[str, Any] = {
            "resources": [str(back / name) for name in resources],
            "components": [str(back / name) for name in components],
        }
        if "components/policy" in components:
            shutil.copy(REPOSITORY / "policy.yaml", self._folder)
            body["configMapGenerator"] = [{"name": "minilab-policy", "files": ["policy.yaml"]}]
        (self._folder / "kustomization.yaml").write_text(yaml.safe_dump(body))

    def __enter__(self) -> Path:
        return self._folder

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder)


def sources(pod: Pod) -> Iterator[tuple[str, str, str, str]]:
    """What a pod is given as files: (kind, name, key, path); key "*" for all of it."""
    mounts = {mount["name"]: mount["mountPath"] for one in pod.containers for mount in one.get("volumeMounts", ())}
    for volume in pod.spec.get("volumes", ()):
        place = mounts.get(volume["name"], "unused")
        for part in volume.get("projected", {}).get("sources", ()):
            [(kind, body)] = part.items()
            for item in body["items"]:
                yield kind, body["name"], item["key"], f"{place}/{item['path']}"
        if "secret" in volume:
            yield "secret", volume["secret"]["secretName"], "*", place
        if "configMap" in volume:
            yield "configMap", volume["configMap"]["name"], "*", place
