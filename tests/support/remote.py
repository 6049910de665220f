"""A workspace with an inventory, keys and pins around a real sshd."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from agents.domain.hosts import INVENTORY
from agents.executors.hosts import Hosts, KeyRing
from agents.executors.ssh import Ssh
from agents.executors.workspace import Quota, Workspace
from tests.support.files import roots
from tests.support.sshd import Sshd


@dataclass
class Lab:
    """What a test needs to reach the server: `box` is in the inventory and pinned from the start."""

    base: Path
    sshd: Sshd
    quota: Quota | None = None
    idle: float = 60.0
    workspace: Workspace = field(init=False)
    hosts: Hosts = field(init=False)
    ssh: Ssh = field(init=False)

    def __post_init__(self) -> None:
        self.workspace = Workspace(roots(self.base), quota=self.quota)
        self.known_hosts = self.base / "known_hosts"
        self.known_hosts.write_bytes(self.sshd.known_hosts.read_bytes())
        keys = KeyRing([self.sshd.directory], workspace=self.workspace)
        self.hosts = Hosts(self.workspace, keys, self.known_hosts)
        folder = self.base / "spool"
        folder.mkdir()
        self.ssh = Ssh(self.hosts, folder, idle=self.idle)
        self.inventory(box={})

    def inventory(self, **hosts: dict[str, Any]) -> None:
        """Write the inventory; each host is the server unless its fields say otherwise."""
        server = {"address": self.sshd.address, "port": self.sshd.port, "user": self.sshd.user, "key": "user"}
        text = yaml.safe_dump({"hosts": {name: server | fields for name, fields in hosts.items()}})
        self.workspace.write_text(INVENTORY, text)
