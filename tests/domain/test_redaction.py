"""Secrets are masked in every spelling; ordinary infrastructure text is left alone; nothing takes long."""

import base64
import json
import time
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agents.domain.redaction import EVERYDAY_WORDS, MASK, PATTERNS, SecretMask, is_secret_name

SECRET = 'pa55/w"ord+\\x é'
SECRET_NAMES = (
    "OPENAI_API_KEY DB_PASSWORD password passwd GITHUB_TOKEN client_secret AWS_SECRET_ACCESS_KEY private_key "
    "private-key DB_PASS MYSQL_PWD passphrase credentials apiKey"
).split()
PLAIN_NAMES = (
    "PWD OLDPWD HOME max_tokens prompt_tokens private_ip secretName tokenizer token_limit compass key author"
).split()
HEX = "0123456789abcdef" * 3


@pytest.mark.parametrize(
    "spelling",
    [
        SECRET,
        SECRET.encode().hex(),
        SECRET.encode().hex().upper(),
        quote(SECRET, safe=""),
        SECRET.replace("\\", "\\\\").replace('"', '\\"'),
        base64.b64encode(SECRET.encode()).decode().rstrip("="),
    ],
)
def test_a_known_secret_is_masked_in_every_spelling(spelling: str) -> None:
    assert SecretMask([SECRET]).text(f"a {spelling} b").startswith("a [redacted]")
    assert SecretMask([]).text(f"a {spelling} b") == f"a {spelling} b"


@given(st.text(min_size=8, max_size=20), st.binary(max_size=5), st.binary(max_size=5))
def test_a_known_secret_inside_longer_base64_is_masked(secret: str, before: bytes, after: bytes) -> None:
    shown = SecretMask([secret]).text(base64.b64encode(before + secret.encode() + after).decode())
    assert MASK in shown


@given(st.text(min_size=6, max_size=30).filter(lambda s: not set(s) & set("[redacted]")), st.text(), st.text())
def test_a_known_secret_never_comes_through(secret: str, before: str, after: str) -> None:
    assume(secret.lower() not in EVERYDAY_WORDS)
    assert secret not in SecretMask([secret]).text(before + secret + after)


def test_the_longer_of_two_secrets_is_masked_whole() -> None:
    assert SecretMask(["abcdefgh", "abcdefgh-ijkl"]).text("x abcdefgh-ijkl") == f"x {MASK}"


def test_short_and_common_values_are_no_secrets() -> None:
    text = "enabled abc"
    assert SecretMask(["abc", "", "enabled"]).text(text) == text
    assert SecretMask(["abcdef"]).text("abcdef") == MASK


def test_a_key_shown_line_by_line_is_masked() -> None:
    key = "-----BEGIN X-----\nAAAABBBBCCCCDDDDEEEE\nFFFFGGGGHHHHIIIIJJJJ\n-----END X-----"
    assert SecretMask([key]).text("   FFFFGGGGHHHHIIIIJJJJ") == f"   {MASK}"


def test_an_environment_value_that_is_no_utf8_is_masked() -> None:
    value = b"secret-\xff-value".decode("utf-8", "surrogateescape")
    assert SecretMask([value]).text(f"x={value}") == f"x={MASK}"


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
        ("ghp_" + "a1" * 18, "a1a1"),
        ("github_pat_" + "a1_" * 10, "a1_"),
        ("glpat-" + "a1b2" * 6, "a1b2"),
        ("sk-proj-" + "a1b2" * 10, "a1b2"),
        ("key sk-ant-api03-" + "a1b2" * 10, "a1b2"),
        ("xoxb-1234567890-abc", "1234567890"),
        ("AIza" + "a" * 35, "aaaa"),
        ("sk_live_" + "a1" * 12, "a1a1"),
        ("npm_" + "a1" * 18, "a1a1"),
        ("hf_" + "aB" * 17, "aBaB"),
        ("hvs." + "a1b2" * 8, "a1b2"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl", "c2lnbmF0dXJl"),
        ("Authorization: PVEAPIToken=root@pam!ci=12345678-1234-1234-1234-123456789abc", "123456789abc"),
        ("Authorization: Bearer abcdef1234567890abcdef", "abcdef1234567890"),
        ("Authorization: Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNz"),
        ("redis://:hunter22@cache:6379/0", "hunter22"),
        ("postgres://app:hun:ter22@db/x", "ter22"),
        ("password=hunter22", "hunter22"),
        ('"password": "hunter22"', "hunter22"),
        ("db_password: 'hunter22'", "hunter22"),
        ("ansible_become_password: hunter22", "hunter22"),
        ('secret = "hunter22hunter"', "hunter22"),
        ("API_KEY=abcdef123", "abcdef123"),
        ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCY", "wJalr"),
        ("auth_token: abcdef123", "abcdef123"),
        ('{"token": "abcdef1234567890ab"}', "abcdef1234567890ab"),
        ("--password hunter22", "hunter22"),
        ("--token=hunter22x", "hunter22x"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz\n-----END OPENSSH PRIVATE KEY-----", "b3BlbnNz"),
        ("-----BEGIN RSA PRIVATE KEY-----\nb3BlbnNz and cut off", "b3BlbnNz"),
    ],
)
def test_well_known_credentials_are_masked(text: str, hidden: str) -> None:
    shown = SecretMask().text(f"log: {text} end")
    assert hidden not in shown
    assert MASK in shown
    assert shown.startswith("log: ")
    assert SecretMask().text(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "password = var.db_password",
        'password = random_password.db.result',
        "secret = data.vault_generic_secret.db.data",
        'password: "{{ vault_db_password }}"',
        "password: !vault |",
        "password = os.environ['DB_PASSWORD']",
        "password: ${DB_PASSWORD}",
        "echo $PASSWORD",
        "password: string",
        "password: Optional[str] = None",
        "secret:\n  secretName: web-tls",
        "secretName: web-tls-certificate",
        "token_file: /run/secrets/token",
        "password: /run/secrets/db_password",
        "passwd:         compat systemd",
        "PasswordAuthentication no",
        "password_hash_algorithm: yescrypt",
        "Basic infrastructure-as-code is described below",
        "basic authentication/authorization schemes",
        "the bearer of this message",
        "prompt_tokens: 123456789012",
        "max_tokens=4096",
        "sha256:" + HEX,
        "commit 4b825dc642cb6eb9a060e54bf8d69288fbee4904",
        "id 12345678-1234-1234-1234-123456789abc",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl deploy@web",
        "http://127.0.0.1:8080/path?x=1",
        "git@github.com:owner/repo.git",
        "http://user@host:8080/x",
        "disk-usage-of-the-volume-group-on-pve1",
        "risk-assessment-for-the-home-network",
        "sk-some-hyphenated-name-without-digits",
        "kubectl get secret web-tls -o yaml",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "ok: [web] => {\"changed\": false}",
        "private_ip: 10.0.0.5",
        "syntax error, unexpected token: identifier",
    ],
)  # fmt: skip
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert SecretMask(["hunter22hunter"]).text(text) == text


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        *((name, True) for name in SECRET_NAMES),
        *((name, False) for name in PLAIN_NAMES),
    ],
)
def test_telling_names(name: str, secret: bool) -> None:
    assert is_secret_name(name) is secret


def test_values_are_masked_by_their_names_too() -> None:
    mask = SecretMask(["hunter22"])
    value = {
        "password": "abc", "private_ip": "10.0.0.1", "list": ["hunter22", 1, None, True], "n": 1.5,
        "empty_token": "", "tokens": {"api_key": ["x", "y"]}, "hunter22": {"secret": {"deep": "hunter22"}},
    }  # fmt: skip
    assert mask.value(value) == {
        "password": MASK, "private_ip": "10.0.0.1", "list": [MASK, 1, None, True], "n": 1.5, "empty_token": "",
        "tokens": {"api_key": [MASK, MASK]}, MASK: {"secret": {"deep": MASK}},
    }  # fmt: skip
    json.dumps(mask.value(value))


HOSTILE = [
    "a",
    "a-",
    "a.",
    "bearer ",
    "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN ",
    "a://",
    "a://b:",
    "password=",
    "password ",
    "x_token",
    "secret-",
    "eyJaaaaaaaa.",
    "eyJaaaaaaaa-",
    "PVEAPIToken=",
    "sk-",
    "glpat-",
    "secret=a_",
    "/a",
    "--token ",
    "token=a",
    "basic a.",
    "_-",
    "\n",
    "hunter22",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_megabyte_takes_no_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    began = time.monotonic()
    SecretMask(["hunter22", "another-secret"]).text(text)
    assert time.monotonic() - began < 30  # hang protection: a quadratic pattern takes hours


def test_every_pattern_names_what_it_masks() -> None:
    assert all("secret" in pattern.groupindex for pattern in PATTERNS.values())
