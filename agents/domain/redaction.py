"""Masking secrets: exact known values, in the spellings they travel in, and patterns of well-known credentials."""

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

MASK = "[redacted]"
MIN_SECRET_CHARS = 6

# not a secret though it stands where one would: references, calls, paths, types
_NO_LITERAL = (
    r"(?!\[redacted\])(?![{$<!*&%])"
    r"(?!(?:var|local|data|module|each|self|path|vault|random_\w+|[a-z]+_\w+_\w+)\.)"
    r"(?![A-Za-z_][\w.]*[\[(])"
    r"(?!\.{0,2}/[\w.-]+(?:/|\.\w+\b))"
    r"(?!(?i:compat|string|boolean|optional|required|sensitive|undefined|secretstr|prompt)\b)"
)

# name → pattern; group "secret" is what is masked, the rest of the match stays readable.
# Each begins with fixed text or at the start of a run of its letters: a hostile text must not make one quadratic.
PATTERNS: dict[str, re.Pattern[str]] = {
    "private key": re.compile(
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----(?P<secret>.*?)(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|\Z)",
        re.DOTALL,
    ),
    "aws access key": re.compile(r"\b(?P<secret>(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16})\b"),
    "github token": re.compile(r"\b(?P<secret>gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255})\b"),
    "gitlab token": re.compile(r"(?<![\w-])(?P<secret>gl(?:pat|dt|rt|ft|soat)-[A-Za-z0-9_-]{20,})"),
    "openai key": re.compile(r"(?<![\w-])(?P<secret>sk-(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{20,})"),
    "slack token": re.compile(r"(?<![\w-])(?P<secret>xox[abeoprs]-[A-Za-z0-9-]{10,})"),
    "google key": re.compile(r"(?<![\w-])(?P<secret>AIza[0-9A-Za-z_-]{35})(?![\w-])"),
    "stripe key": re.compile(r"\b(?P<secret>[rs]k_(?:live|test)_[0-9A-Za-z]{16,})\b"),
    "npm token": re.compile(r"\b(?P<secret>npm_[A-Za-z0-9]{36})\b"),
    "hugging face token": re.compile(r"\b(?P<secret>hf_[A-Za-z0-9]{30,})\b"),
    "vault token": re.compile(r"(?<![\w-])(?P<secret>hv[sbr]\.[A-Za-z0-9_-]{20,})"),
    "json web token": re.compile(
        r"(?<![\w-])(?P<secret>eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,})"
    ),
    "proxmox token": re.compile(r"PVEAPIToken=\S{1,200}?=(?P<secret>[0-9a-fA-F-]{36})"),
    "bearer": re.compile(
        r"\b(?i:bearer|basic)\s+(?P<secret>(?=[A-Za-z+/_~.-]*(?:\d|[a-z][A-Z]|[A-Z]{2}|=))[A-Za-z0-9+/_~.-]{16,}=*)"
    ),
    "url password": re.compile(r"://[^\s/:@]*:(?P<secret>[^\s/@]+)@"),
    "option": re.compile(
        r"(?<!\S)--?(?i:password|passwd|passphrase|token|secret|api-?key)[ =][\"']?"
        rf"(?P<secret>{_NO_LITERAL}(?!-)[^\s\"']{{6,}})"
    ),
    "assignment": re.compile(
        r"(?i:passw(?:or)?d|passphrase|secret|api[_-]?key|access[_-]?key|auth[_-]?token|[_-]token)\b"
        rf"[\"']?[ \t]*(?:=|:)[ \t]*[\"']?(?P<secret>{_NO_LITERAL}[^\s\"',;}}{{]{{6,}})"
    ),
    "token": re.compile(
        r"\b(?i:token)[\"']?[ \t]*(?:=|:)[ \t]*[\"']?(?P<secret>(?=[A-Za-z_./+-]*\d)[A-Za-z0-9_./+-]{16,}=*)"
    ),
}
_SECRET_NAME = re.compile(
    r"(?i)passw|passphrase|credential|(?:private|api|access)[_-]?key|secret(?![_-]?(?:name|ref|keyref))"
    r"|token(?!s|i[sz]e|[_-]?(?:limit|count|budget))|(?:^|[_-])pass$|[_-]pwd$"
)
# values no environment means as a secret, though its name says so: masking them would blot out ordinary words
EVERYDAY_WORDS = frozenset(
    "enabled disabled default required optional unknown localhost example changed password secret".split()
)


def is_secret_name(name: str) -> bool:
    """Whether a setting of that name holds a secret."""
    return bool(_SECRET_NAME.search(name))


class SecretMask:
    """Masks `known` values (also base64, hex, URL-encoded) and what `PATTERNS` find."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        secrets = [
            secret for secret in known if len(secret) >= MIN_SECRET_CHARS and secret.lower() not in EVERYDAY_WORDS
        ]
        spellings = {form for secret in secrets for form in _spellings(secret) if len(form) >= MIN_SECRET_CHARS}
        # longest first, so that a secret that contains another is masked whole
        alternatives = "|".join(re.escape(form) for form in sorted(spellings, key=len, reverse=True))
        self._known = re.compile(alternatives) if alternatives else None

    def text(self, text: str) -> str:
        """`text` with every secret masked."""
        if self._known:
            text = self._known.sub(MASK, text)
        for pattern in PATTERNS.values():
            text = pattern.sub(_mask_group, text)
        return text

    def value(self, value: Any) -> Any:
        """The same JSON value with every text in it masked."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self._field(str(key), item) for key, item in value.items()}
        if isinstance(value, Sequence) and not isinstance(value, bytes):
            return [self.value(item) for item in value]
        return value

    def _field(self, name: str, item: Any) -> Any:
        """A value under a telling name is masked whole, whatever it looks like."""
        if not is_secret_name(name):
            return self.value(item)
        if isinstance(item, str):
            return MASK if item else item
        if isinstance(item, list | tuple):
            return [self._field(name, inner) for inner in item]
        return self.value(item)


def _mask_group(match: re.Match[str]) -> str:
    start, end = match.span("secret")
    whole = match.group(0)
    offset = match.start()
    return whole[: start - offset] + MASK + whole[end - offset :]


def _spellings(secret: str) -> Iterable[str]:
    """The forms a secret travels in. Base64 at each of the three alignments it may have inside a longer text."""
    raw = secret.encode("utf-8", "surrogatepass")  # an environment may hold bytes that are no UTF-8
    yield secret
    if "\n" in secret:
        # a key file is often shown indented or line by line
        yield from (line for line in map(str.strip, secret.splitlines()) if len(line) >= 16 and "-----" not in line)
    yield raw.hex()
    yield raw.hex().upper()
    yield quote(secret, safe="", errors="surrogatepass")
    yield secret.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw).decode()
        # drop the characters that mix in neighbouring bytes
        core = encoded[(0, 2, 3)[shift] :].rstrip("=")
        if (shift + len(raw)) % 3:
            core = core[:-1]
        yield core
        yield core.replace("+", "-").replace("/", "_")
