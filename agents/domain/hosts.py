"""The hosts the team may log in to: the inventory `config/hosts.yaml`, and how a host's key is pinned. Pure."""

import base64
import hashlib
import re
from collections.abc import Hashable
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from agents.domain.errors import BadInput

INVENTORY = "config/hosts.yaml"
MAX_INVENTORY_BYTES = 256 * 1024
MAX_JUMPS = 3
SSH_PORT = 22
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_EXAMPLE = "hosts: {web1: {address: 192.168.1.20, user: deploy, key: id_ed25519}}"
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]


class Host(BaseModel):
    """One host. `key` names a private key among those the User has set aside; `jump` is the host to go through."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: Name
    address: str = Field(pattern=r"^[A-Za-z0-9_:][A-Za-z0-9_.:-]{0,252}$")
    port: int = Field(SSH_PORT, ge=1, le=65535, strict=True)
    user: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.@-]{0,63}$")
    key: str = Field(min_length=1, max_length=1024, pattern=r"^[^\x00-\x1f\x7f]+$")
    groups: tuple[Name, ...] = ()
    jump: Name | None = None
    python: str | None = Field(None, pattern=r"^/[A-Za-z0-9_./-]+$", description="its Python, for Ansible")

    @property
    def pin_name(self) -> str:
        """Its name in a known_hosts file, as OpenSSH writes it."""
        return self.address if self.port == SSH_PORT else f"[{self.address}]:{self.port}"

    def shown(self) -> str:
        """Where it is and who logs in: deploy@192.168.1.20:22."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.user}@{address}:{self.port}"


class Inventory:
    """The hosts by name. Every `jump` in it leads somewhere."""

    def __init__(self, hosts: dict[str, Host]) -> None:
        self.hosts = hosts
        for name in hosts:
            self.line(name)

    def line(self, name: str) -> tuple[Host, ...]:
        """The hosts to log in to on the way to `name`, itself last. Raise BadInput naming the known ones."""
        if name not in self.hosts:
            known = ", ".join(sorted(self.hosts)) or f"none yet; the User adds one: {_EXAMPLE}"
            raise BadInput(f"{name[:80]!r} is not in {INVENTORY}; known hosts: {known}")
        line = [self.hosts[name]]
        while (jump := line[0].jump) is not None:
            if jump not in self.hosts:
                raise BadInput(f"{INVENTORY}: host {line[0].name}: jump: there is no host {jump!r}")
            if any(host.name == jump for host in line):
                raise BadInput(f"{INVENTORY}: host {line[0].name}: jump: {jump} leads back to itself")
            if len(line) > MAX_JUMPS:
                raise BadInput(f"{INVENTORY}: host {name}: jump: more than {MAX_JUMPS} hosts to go through")
            line.insert(0, self.hosts[jump])
        return tuple(line)


def parse(text: str) -> Inventory:
    """The inventory a file describes. Raise BadInput naming the host, the field and what is wrong with it."""
    if len(text) > MAX_INVENTORY_BYTES:
        raise BadInput(f"{INVENTORY}: {len(text):,} characters; at most {MAX_INVENTORY_BYTES:,} are read")
    try:
        document = yaml.load(text, _Loader)  # noqa: S506  a SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise BadInput(f"{INVENTORY}: not YAML: {' '.join(str(error).split())[:300]}") from None
    if document is None:
        return Inventory({})
    entries = document.get("hosts") if isinstance(document, dict) else None
    if not isinstance(document, dict) or set(document) != {"hosts"} or not isinstance(entries, dict | None):
        raise BadInput(f"{INVENTORY}: it holds one mapping, name → host: {_EXAMPLE}")
    return Inventory({name: _host(name, fields) for name, fields in (entries or {}).items()})


def _host(name: Any, fields: Any) -> Host:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadInput(f"{INVENTORY}: {str(name)[:80]!r} is no host name: letters, digits, dots and dashes")
    if not isinstance(fields, dict) or "name" in fields:
        raise BadInput(f"{INVENTORY}: host {name}: write its fields below it: {_EXAMPLE}")
    try:
        return Host.model_validate({"name": name, **fields})
    except ValidationError as error:
        raise BadInput(f"{INVENTORY}: host {name}: {_complaint(error)}") from None


def _complaint(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part)[:60] for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        fields = ", ".join(field for field in Host.model_fields if field != "name")
        return f"{field}: there is no such field; there are {fields}"
    return f"{field}: {fault['msg']}"


def fingerprint(key: bytes) -> str:
    """A public key's fingerprint as `ssh-keygen -l` shows it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


class _Loader(yaml.SafeLoader):
    """YAML in which a name given twice is an error: the one that counts would be a guess."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """The mapping, if no key is there twice."""
        seen: set[Any] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"{key.value!r} is there twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)
