"""The inventory: what is understood, and how a mistake is told."""

import pytest

from agents.domain.errors import BadInput
from agents.domain.hosts import Host, fingerprint, parse

WEB = "{address: 192.168.1.20, user: deploy, key: id}"


def test_hosts_and_their_defaults() -> None:
    inventory = parse(f"""
hosts:
  web1: {WEB}
  gate: {{address: gate.lan, port: 2222, user: root, key: /keys/g, groups: [edge, lab], python: /usr/bin/python3}}
  deep: {{address: "fd00::7", user: ops, key: id, jump: gate}}
""")
    assert inventory.hosts["web1"] == Host(name="web1", address="192.168.1.20", user="deploy", key="id")
    assert inventory.hosts["gate"].groups == ("edge", "lab")
    assert [host.name for host in inventory.line("deep")] == ["gate", "deep"]
    assert [host.pin_name for host in inventory.hosts.values()] == ["192.168.1.20", "[gate.lan]:2222", "fd00::7"]
    assert inventory.hosts["deep"].shown() == "ops@[fd00::7]:22"


@pytest.mark.parametrize("text", ["", "# none yet\n", "hosts:\n", "hosts: {}"])
def test_an_inventory_of_nobody(text: str) -> None:
    assert parse(text).hosts == {}
    with pytest.raises(BadInput, match=r"'web1' is not in config/hosts\.yaml; known hosts: none yet"):
        parse(text).line("web1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hosts: [web1]", "one mapping, name → host"),
        (f"web1: {WEB}", "one mapping, name → host"),
        ("- web1", "one mapping, name → host"),
        ("hosts: {web1: {address: [}", "not YAML"),
        ("[" * 5000, "not YAML"),
        ("x" * 300_000, "300,000 characters; at most"),
        (f"hosts: {{a: {WEB}, a: {WEB}}}", "'a' is there twice"),
        ("hosts: {web1: {address: a, address: b, user: u, key: k}}", "'address' is there twice"),
        ("hosts: {web1: 192.168.1.20}", "host web1: write its fields below it"),
        (f"hosts: {{1: {WEB}}}", "'1' is no host name"),
        (f"hosts: {{'web 1': {WEB}}}", "'web 1' is no host name"),
        (f"hosts: {{'-oProxyCommand=id': {WEB}}}", "is no host name"),
        ("hosts: {web1: {address: a, user: u}}", "host web1: key: Field required"),
        ("hosts: {web1: {adress: a, address: a, user: u, key: k}}", "host web1: adress: there is no such field"),
        ("hosts: {web1: {address: a, user: u, key: k, 7: x}}", "host web1: 7: Keys should be strings"),
        ("hosts: {web1: {address: '-x', user: u, key: k}}", "host web1: address: "),
        ("hosts: {web1: {address: 'a b', user: u, key: k}}", "host web1: address: "),
        ("hosts: {web1: {address: a, port: '22', user: u, key: k}}", "host web1: port: "),
        ("hosts: {web1: {address: a, port: 70000, user: u, key: k}}", "host web1: port: "),
        ("hosts: {web1: {address: a, user: '-l', key: k}}", "host web1: user: "),
        ('hosts: {web1: {address: a, user: u, key: "k\\nx"}}', "host web1: key: "),
        (f"hosts: {{web1: {WEB[:-1]}, jump: gate}}}}", "host web1: jump: there is no host 'gate'"),
        (f"hosts: {{a: {WEB[:-1]}, jump: b}}, b: {WEB[:-1]}, jump: a}}}}", "jump: a leads back to itself"),
        (f"hosts: {{a: {WEB[:-1]}, jump: a}}}}", "host a: jump: a leads back to itself"),
        (
            "hosts: {"
            + ", ".join(f"h{n}: {WEB[:-1]}" + (f", jump: h{n - 1}}}" if n else "}") for n in range(6))
            + "}",
            "more than 3 hosts to go through",
        ),
    ],
)
def test_a_mistake_is_told_with_host_and_field(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said.replace("{", r"\{")) as error:
        parse(text)
    assert str(error.value).startswith("config/hosts.yaml: ")
    assert "\n" not in str(error.value)


def test_a_fingerprint_is_the_one_that_ssh_keygen_shows() -> None:
    assert fingerprint(b"abc") == "SHA256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0"
