"""Text from the room made safe to show: agents, tools and web pages write it, a terminal would obey it."""

import re

_ANSI = re.compile(
    r"""
      (?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]                          # CSI: colours, cursor, modes
    | (?:\x1b[]P^_X]|[\x9d\x90\x9e\x9f\x98]).*?(?:\x1b\\|[\x07\x9c]|(?=\n)|\Z)  # OSC, DCS and kin: titles, clipboard
    | \x1b[ -/]*[0-~]                                           # two-byte escapes: reset, charset
    """,
    re.VERBOSE | re.DOTALL,
)
# C0 and C1 controls, marks that reorder or hide text, tag characters; joiners stay: scripts and emoji need them
_UNSEEN = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e007f"
)
_HIDDEN = re.compile(f"[{_UNSEEN}]")
_LOGGED = re.compile(f"[\\\\\t\n\u2028\u2029\ud800-\udfff{_UNSEEN}]")
_BREAKS = re.compile(r"\r\n|\r|\u2028|\u2029|\x85|\x0b|\x0c")
_SURROGATE = re.compile("[\ud800-\udfff]")
_NAMED = {"\\": r"\\", "\n": r"\n", "\t": r"\t", "\r": r"\r"}


def clean(text: str) -> str:
    """`text` without anything a terminal would obey or a reader couldn't see; lines end in `\\n`, tabs are spaces."""
    text = _SURROGATE.sub("\ufffd", _BREAKS.sub("\n", _ANSI.sub("", text)))
    return _HIDDEN.sub("", text).expandtabs(4)


def one_line(text: str, width: int) -> str:
    """The first non-empty line of `clean(text)`, at most `width` characters."""
    lines = (line.strip() for line in clean(text).splitlines())
    first = next((line for line in lines if line), "")
    return first if len(first) <= width else first[: max(width - 1, 0)] + "…"


def logged(text: str) -> str:
    """`text` as one line in which every control, hidden or line-breaking character is written out, reversibly."""
    return _LOGGED.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    if named := _NAMED.get(char):
        return named
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
