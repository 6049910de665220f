"""Hosts of inventories: all of them, or none rather than some."""

import pytest

from agents.tools.inventories import hosts_of


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("all:\n  hosts:\n    web1:\n    web2: {ansible_host: 192.0.2.1}\n", {"web1", "web2"}),
        ("all:\n  children:\n    db:\n      hosts: {db1: }\n  vars: {hosts: {no: 1}}\n", {"db1"}),
        ("web1\n[db]\ndb1 ansible_host=192.0.2.1 # note\n[db:vars]\nx=1\n[all:children]\ndb\n", {"web1", "db1"}),
        ("web[1:3].lab\n", {"web1.lab", "web2.lab", "web3.lab"}),
        ("web[01:02]\n", {"web01", "web02"}),
        ("all:\n  hosts:\n    web[1:2]:\n", {"web1", "web2"}),
    ],
)
def test_hosts_are_read(text: str, hosts: set[str]) -> None:
    assert hosts_of(text) == frozenset(hosts)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{{ lookup('pipe', 'id') }}\n",
        "all: {hosts: [web1]}\n",
        "web[1:99999]\n",
        "[vars only]\n",
        "a$(id)\n",
        "plugin: aws_ec2\n",
    ],
)
def test_what_can_t_be_told_is_not_guessed(text: str) -> None:
    assert hosts_of(text) is None
