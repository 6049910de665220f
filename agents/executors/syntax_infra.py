"""What reading tells of infrastructure files: Kubernetes, playbooks, inventories, Dockerfiles, HCL. Pure.

Each check takes the file's name and text and yields problems, with their line where there is one.
"""

import json
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import yaml

from agents.executors.syntax_loader import documents


def kubernetes_faults(name: str, text: str) -> Iterator[str]:
    """Kubernetes objects: apiVersion, kind, metadata.name."""
    for number, document in enumerate(_readable(text), 1):
        if document is None:
            continue
        items = document.get("items") if isinstance(document, dict) and document.get("kind") == "List" else [document]
        for item in items if isinstance(items, list) else [document]:
            yield from (f"object {number}: {fault}" for fault in _object_faults(item))


def _object_faults(item: Any) -> Iterator[str]:
    if not isinstance(item, dict):
        yield "not a mapping"
        return
    for field in ("apiVersion", "kind"):
        if not isinstance(item.get(field), str):
            yield f"no {field}"
    metadata = item.get("metadata")
    title = metadata.get("name") or metadata.get("generateName") if isinstance(metadata, dict) else None
    if item.get("kind") == "Kustomization" and "kustomize" in str(item.get("apiVersion")):
        return
    if not isinstance(title, str):
        yield "no metadata.name"
    elif not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?-?", title) and "{{" not in title:
        yield f"metadata.name {title[:80]!r}: use lower-case letters, digits, dots and dashes"


def is_kubernetes(name: str, text: str) -> bool:
    """Whether a YAML text describes Kubernetes objects."""
    return any(
        isinstance(document, dict)
        and ("apiVersion" in document or ("kind" in document and {"metadata", "spec"} & document.keys()))
        for document in _readable(text)
    )


def is_playbook(name: str, text: str) -> bool:
    """Whether a YAML text is a list of plays."""
    first = next(iter(_readable(text)), None)
    return (
        isinstance(first, list)
        and bool(first)
        and any(isinstance(play, dict) and {"hosts", "import_playbook"} & play.keys() for play in first)
    )


def _readable(text: str) -> list[Any]:
    try:
        return documents(text)
    except (yaml.YAMLError, ValueError):
        return []


_INVENTORY_VALUE = re.compile(r"[A-Za-z_][\w.-]*\s*=")


def inventory_faults(name: str, text: str) -> Iterator[str]:
    """An INI inventory: sections, hosts with `name=value`, variables."""
    section = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            match = re.fullmatch(r"\[([\w.-]+)(:(?:vars|children))?\]\s*(?:[#;].*)?", line)
            if not match:
                yield f"line {number}: {line[:60]!r} is no section; write [group], [group:vars] or [group:children]"
            section = match[2] or "" if match else ""
        elif section == ":vars" and not _INVENTORY_VALUE.match(line):
            yield f"line {number}: {line[:60]!r} is no variable; write name=value"
        elif section == ":children" and len(line.split("#")[0].split()) > 1:
            yield f"line {number}: {line[:60]!r}: a child group is one name on a line"
        elif (section == "" and re.match(r"[\w.-]+\s+[\w.-]+\s*(?:$|#)", line)) or line.startswith("-"):
            yield f"line {number}: {line[:60]!r} is no host; write: name ansible_host=10.0.0.1 ansible_user=ops"


_INSTRUCTIONS = frozenset(
    "ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER ONBUILD RUN SHELL STOPSIGNAL USER "
    "VOLUME WORKDIR".split()
)
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)([A-Za-z_]\w*)\1")


def dockerfile_faults(name: str, text: str) -> Iterator[str]:
    """A Dockerfile: known instructions with arguments, FROM first, exec forms that are JSON."""
    began = False
    for number, instruction, rest in _instructions(text):
        word = instruction.upper()
        if word not in _INSTRUCTIONS:
            yield f"line {number}: {instruction[:40]!r} is no instruction"
            continue
        if not rest:
            yield f"line {number}: {word} without arguments"
        if not began and word not in ("FROM", "ARG"):
            yield f"line {number}: {word} before FROM"
        began = began or word != "ARG"
        if word in ("CMD", "ENTRYPOINT", "SHELL") and rest.startswith("[") and not _is_json_list(rest):
            yield f"line {number}: {word} {rest[:60]} is no JSON list; use double quotes"
    if not began:
        yield "no FROM: a Dockerfile begins with the image it builds on"


def _instructions(text: str) -> Iterator[tuple[int, str, str]]:
    """Line, instruction and arguments; continuations joined, comments and here-documents left out."""
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        while line.endswith("\\"):
            _, following = next(lines, (0, ""))
            if not following.strip().startswith("#"):
                line = f"{line[:-1].rstrip()} {following.strip()}"
        word, _, rest = line.partition(" ")
        if word.upper() in ("RUN", "COPY", "ADD"):
            for _, end in _HEREDOC.findall(rest):
                for _, body in lines:
                    if body.strip() == end:
                        break
        yield number, word, rest.strip()


def _is_json_list(text: str) -> bool:
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def hcl_faults(name: str, text: str) -> Iterator[str]:
    """Mistakes in Terraform files that its own parser accepts or explains badly."""
    path = PurePosixPath(name)
    stem = re.sub(r"(?:\.(?:auto\.)?(?:tf)?vars)?\.tf$", "", path.name)
    if re.search(r"\.(?:tf)?vars\.tf$", path.name) or (path.suffix == ".tf" and _only_assignments(text)):
        yield (
            f"{path.name} is a variables file with the ending of a configuration: Terraform would read it as "
            f"configuration and fail. Save it as {path.with_name(stem + '.tfvars')} and delete {name}"
        )
    for match in re.finditer(r"(?i)source\s*=\s*\"(?:registry\.terraform\.io/)?hashicorp/proxmox\"", text):
        line = text.count("\n", 0, match.start()) + 1
        yield f'line {line}: there is no provider hashicorp/proxmox; write source = "bpg/proxmox"'


def _only_assignments(text: str) -> bool:
    """Whether all there is at the top level is `name = value`."""
    bare = re.sub(r"(?s)/\*.*?\*/", "", text)
    bare = re.sub(r"(?ms)<<-?(\w+)$.*?^\s*\1\s*$", '""', bare)
    depth, assignments = 0, 0
    for raw in bare.splitlines():
        line = re.sub(r'"(?:[^"\\]|\\.)*"', '""', raw)
        line = re.sub(r"(?:#|//).*", "", line).strip()
        if depth == 0 and line:
            if not re.match(r"[A-Za-z_][\w-]*\s*=(?!=)", line):
                return False
            assignments += 1
        depth += sum(line.count(char) for char in "{[(") - sum(line.count(char) for char in "}])")
    return assignments > 0


def uses_proxmox(text: str) -> bool:
    """Whether a Terraform text uses a Proxmox provider."""
    return re.search(r'(?m)^\s*(?:provider\s+"proxmox"|(?:resource|data)\s+"proxmox_)', text) is not None


def names_proxmox_source(text: str) -> bool:
    """Whether a Terraform text says where the Proxmox provider comes from."""
    return re.search(r'(?i)source\s*=\s*"\w[\w.-]*(?:/[\w.-]+)*/proxmox"', text) is not None
