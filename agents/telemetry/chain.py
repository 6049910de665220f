"""The ledger's chain: how a line is made, and what is wrong with a file of them. Pure.

A line is one JSON object. The bytes before `,"hash":` are what its hash is of, so nothing is ever re-serialised to be
verified: `{"n":7,"prev":"<hash of line 6>","at":"…","kind":"done","body":{…},"hash":"<SHA-256>"}`.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_DOMAIN = b"minilab-ledger-1\n"  # keeps a line's hash from being taken for a hash of anything else
_TAIL = re.compile(rb',"hash":"([0-9a-f]{64})"\}\Z')
LONGEST_TEXT = 2_000  # characters of one text in a body
LONGEST_FIELD = 16_000  # characters of one field of a body as JSON
_DEEPEST = 32
OPENED, TORN, GAP = "opened", "torn", "gap"  # kinds the ledger itself writes


@dataclass(frozen=True, slots=True)
class Line:
    """One line that is what it says. `n` counts from 1; `hash` is its own, `prev` the one before."""

    n: int
    prev: str
    at: str
    kind: str
    body: Mapping[str, Any]
    hash: str


@dataclass(frozen=True, slots=True)
class Fault:
    """The first line that isn't what the team wrote, and why."""

    line: int
    what: str


@dataclass
class Chain:
    """What reading a ledger found: the good lines' count and last hash, the first fault, harmless remarks."""

    lines: int = 0
    hash: str = ""
    ledger: str = ""
    host: str = ""
    fault: Fault | None = None
    remarks: list[str] = field(default_factory=list)


def genesis(room: str) -> str:
    """What the first line carries as its `prev`: a room's ledger can't pass for another's."""
    return hashlib.sha256(_DOMAIN + room.encode()).hexdigest()


def sealed(n: int, prev: str, at: str, kind: str, body: Mapping[str, Any]) -> tuple[bytes, str]:
    """The line with its newline, and its hash. `body` must be JSON already."""
    fields = {"n": n, "prev": prev, "at": at, "kind": kind, "body": body}
    head = json.dumps(fields, separators=(",", ":"), allow_nan=False).encode("ascii")[:-1]
    digest = hashlib.sha256(_DOMAIN + head).hexdigest()
    return head + b',"hash":"' + digest.encode() + b'"}\n', digest


def link(raw: bytes) -> str:
    """What the next line's `prev` is after this one, be it damaged or not."""
    tail = _TAIL.search(raw.rstrip(b"\n"))
    return tail[1].decode() if tail else hashlib.sha256(_DOMAIN + raw).hexdigest()


def parsed(raw: bytes) -> Line:
    """The line without its newline. Raise ValueError saying what is wrong with it."""
    tail = _TAIL.search(raw)
    if not tail:
        raise ValueError("no line of a ledger")
    digest = tail[1].decode()
    if hashlib.sha256(_DOMAIN + raw[: tail.start()]).hexdigest() != digest:
        raise ValueError("was edited: its text doesn't give its hash")
    try:
        fields = json.loads(raw)
        return Line(fields["n"], fields["prev"], fields["at"], fields["kind"], fields["body"], digest)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError("no line of a ledger, though its hash is right") from None


def walk(lines: Iterable[bytes], room: str, heads: Mapping[str, tuple[int, str]] | None = None) -> Chain:
    """Follow the chain through `lines` (each with its newline) to the end or the first fault.

    `heads`: what is known elsewhere of ledgers by their id: the count of lines and the hash of the last.
    """
    found = Chain(hash=genesis(room))
    known = heads or {}
    for number, raw in enumerate(lines, 1):
        what = _follow(found, number, raw)
        if not what and known.get(found.ledger, (number, found.hash))[0] == number == found.lines:
            exchanged = known.get(found.ledger, (number, found.hash))[1] != found.hash
            what = "isn't the line whose hash was put into Redis" if exchanged else ""
        if what:
            found.fault = Fault(number, what)
            return found
    count, _ = known.get(found.ledger, (0, ""))
    if count > found.lines:
        found.fault = Fault(found.lines + 1, f"is missing: the ledger was cut off, it had {count:,} lines")
    return found


def _follow(found: Chain, number: int, raw: bytes) -> str:
    """Take one line into `found`; return what is wrong with it."""
    if not raw.endswith(b"\n"):
        found.remarks.append(f"line {number} is torn ({len(raw)} bytes): a crash; the next entry will mend it")
        return ""
    try:
        line = parsed(raw[:-1])
    except ValueError as error:
        return str(error)
    if line.n != number:
        return f"says it is line {line.n}: lines were {'taken out' if line.n > number else 'moved or put in'} here"
    if line.prev != found.hash:
        return "doesn't follow from the line before: one of the two was put in or exchanged"
    if line.kind == GAP:
        return f"records damage found while the team ran: {line.body.get('what', 'not told')}"
    if line.kind == OPENED and number == 1:
        found.ledger, found.host = str(line.body.get("ledger", "")), str(line.body.get("host", ""))
    if line.kind == TORN:
        found.remarks.append(
            f"line {number}: {line.body.get('bytes')} bytes of a torn line were put aside after a crash"
        )
    found.lines, found.hash = number, line.hash
    return ""


def plain(value: Any, depth: int = 0) -> Any:
    """`value` as JSON can say it: what it can't is told as text."""
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, str):
        return str(value)
    if depth >= _DEEPEST:
        return "… nested deeper"
    if isinstance(value, Mapping):
        return {str(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [plain(item, depth + 1) for item in items]
    return str(value)


def fitted(body: Mapping[str, Any]) -> dict[str, Any]:
    """A redacted body, cut to a size a ledger can bear: what is cut off leaves its length and SHA-256."""
    return {name: _field(_texts(value)) for name, value in body.items()}


def _texts(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= LONGEST_TEXT else _cut(value)
    if isinstance(value, dict):
        return {key: _texts(item) for key, item in value.items()}
    return [_texts(item) for item in value] if isinstance(value, list) else value


def _field(value: Any) -> Any:
    if isinstance(value, dict | list) and len(text := json.dumps(value, sort_keys=True)) > LONGEST_FIELD:
        return _cut(text)
    return value


def _cut(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{text[:LONGEST_TEXT]}… {len(text):,} characters in all, SHA-256 {digest}"
