"""A pod without a cluster: its volumes laid out as the kubelet does, its containers run by bubblewrap.

What it tells: whether the program finds its files, may write where it must, and gets the variables it reads. What it
can't: cgroups, seccomp, the storage's own rights, DNS, policies.
"""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.conftest import REPOSITORY
from tests.deploy.cluster import Cluster, Pod

Made = Mapping[tuple[str, str], Mapping[str, bytes]]
IMAGE = ("agents", "client", "rehearsal", "policy.yaml", "docs/manual")  # of what the Dockerfile puts into /app
SYSTEM = ("/usr", "/etc", "/opt")


class Kubelet:
    """Runs the pods of a cluster below `folder`. `made`: the secrets and ConfigMaps made by hand."""

    def __init__(self, folder: Path, cluster: Cluster, made: Made, override: Mapping[str, str]) -> None:
        self._folder = folder
        self._cluster = cluster
        self._made = {**made, **{("configmap", c["metadata"]["name"]): _bytes(c) for c in cluster.all("ConfigMap")}}
        self._override = override

    def volume(self, pod: Pod, volume: Mapping[str, Any]) -> Path:
        """The volume's folder, filled."""
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        place: Path = self._folder / "claims" / claim if claim else self._folder / pod.name / volume["name"]
        place.mkdir(parents=True, exist_ok=True)
        for source in volume.get("projected", {}).get("sources", ()):
            [(kind, body)] = source.items()
            self._project(place, (kind.lower(), body["name"]), body.get("items"), body.get("optional", False))
        if "secret" in volume:
            self._project(place, ("secret", volume["secret"]["secretName"]), None, volume["secret"]["optional"])
        if "configMap" in volume:
            body = volume["configMap"]
            self._project(place, ("configmap", body["name"]), None, body.get("optional", False))
        return place

    def _project(self, place: Path, name: tuple[str, str], items: Any, optional: bool) -> None:
        """Links by way of `..data`, as the kubelet swaps files."""
        if name not in self._made:
            assert optional, f"{name} is missing: the pod would wait for it"
            return
        files = self._made[name]
        for item in items or [{"key": key, "path": key} for key in files]:
            data, top = place / "..data" / item["path"], Path(item["path"]).parts[0]
            if data.exists():
                continue
            data.parent.mkdir(parents=True, exist_ok=True)
            data.write_bytes(files[item["key"]])
            data.chmod(0o440)
            if not (place / top).is_symlink():
                (place / top).symlink_to(f"..data/{top}")

    def environment(self, pod: Pod, container: Mapping[str, Any]) -> dict[str, str]:
        """A container's variables, as they expand."""
        own: dict[str, str] = {}
        for entry in container.get("env", ()):
            if "valueFrom" in entry:
                path = entry["valueFrom"]["fieldRef"]["fieldPath"]
                label = re.fullmatch(r"metadata\.labels\['(.+)'\]", path)
                assert label or path == "metadata.name"
                own[entry["name"]] = pod.labels[label[1]] if label else pod.name
            else:
                own[entry["name"]] = _expanded(entry["value"], own)
        shared: dict[str, str] = {}
        for source in container.get("envFrom", ()):
            files = self._made["configmap", source["configMapRef"]["name"]]
            shared |= {name: text.decode() for name, text in files.items()}
        return {**shared, **own, **self._override}

    def argv(self, pod: Pod, container: Mapping[str, Any]) -> list[str]:
        """The command line of a container, in bubblewrap."""
        environment = self.environment(pod, container)
        mounts = container.get("volumeMounts", ())
        volumes = {volume["name"]: self.volume(pod, volume) for volume in pod.spec["volumes"]}
        argv = ["bwrap", "--unshare-user", "--unshare-pid", "--unshare-uts", "--hostname", pod.name]
        argv += [
            "--uid",
            "1000",
            "--gid",
            "1000",
            "--die-with-parent",
            "--clearenv",
            "--proc",
            "/proc",
            "--dev",
            "/dev",
        ]
        for path in SYSTEM:
            argv += ["--ro-bind", path, path]
        for link in ("bin", "lib", "lib64", "sbin"):
            argv += ["--symlink", f"usr/{link}", f"/{link}"]
        for part in IMAGE:
            argv += ["--ro-bind", str(REPOSITORY / part), f"/app/{part}"]
        for mount in sorted(mounts, key=lambda mount: str(mount["mountPath"])):
            source = volumes[mount["name"]] / _expanded(
                mount.get("subPathExpr", mount.get("subPath", "")), environment
            )
            source.mkdir(parents=True, exist_ok=True)
            for other in mounts:  # what the kubelet does for mounts within mounts
                if other["mountPath"].startswith(mount["mountPath"] + "/"):
                    (source / other["mountPath"][len(mount["mountPath"]) + 1 :]).mkdir(parents=True, exist_ok=True)
            argv += ["--ro-bind" if mount.get("readOnly") else "--bind", str(source), mount["mountPath"]]
        # last: a checkout, and our Python with it, may lie below /tmp
        for path in (sys.base_prefix, sys.prefix):
            argv += ["--ro-bind", path, path]
        argv += ["--remount-ro", "/", "--chdir", "/app"]
        image = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "PYTHONPATH": "/app", "HOME": "/tmp"}
        for name, value in {**image, "PYTHONDONTWRITEBYTECODE": "1", **environment}.items():
            argv += ["--setenv", name, value]
        command = [*container.get("command", ()), *container.get("args", ())]
        return [*argv, "--", *(_expanded(part, environment) for part in command)]

    def prepare(self, pod: Pod) -> None:
        """Run its initial containers."""
        for container in pod.spec.get("initContainers", ()):
            done = subprocess.run(self.argv(pod, container), capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr

    def claim(self, name: str) -> Path:
        """A persistent volume."""
        return self._folder / "claims" / name


def _expanded(text: str, variables: Mapping[str, str]) -> str:
    return re.sub(r"\$\((\w+)\)", lambda found: variables.get(found[1], found[0]), text)


def _bytes(thing: Mapping[str, Any]) -> dict[str, bytes]:
    return {name: text.encode() for name, text in thing["data"].items()}
