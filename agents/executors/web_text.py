"""HTML as readable text: headings, lists, tables, links; without scripts and without what a page hides. Pure.

The tokens are our own: `html.parser` of Python 3.11 takes time quadratic in the length of hostile markup, and a page
is hostile until shown otherwise. Here every character is looked at a bounded number of times.
"""

import re
from collections.abc import Iterator
from html import unescape

MAX_DEPTH = 400
MAX_TAG = 8_192  # characters of a tag that are read
_SKIPPED = frozenset(
    "script style noscript template svg math iframe object embed canvas audio video select datalist".split()
)
_BLOCKS = frozenset(
    "address article aside blockquote body dd details dialog div dl dt fieldset figcaption figure footer form "
    "h1 h2 h3 h4 h5 h6 header hr legend li main nav ol p pre section summary table tbody tfoot thead tr ul br".split()
)
_VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())
_HIDDEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])|opacity\s*:\s*0(?![.\d])"
)
_MARKS = {"li": "- ", "td": " | ", "th": " | "} | {f"h{level}": f"\n{'#' * level} " for level in range(1, 7)}
_RAW = frozenset(("script", "style", "textarea", "title", "xmp", "noembed", "noframes"))
_TAG = re.compile(r"<(?:(?P<other>!--|[!?])|(?P<slash>/?)(?P<tag>[A-Za-z][A-Za-z0-9:-]{0,60}))")
_QUOTE_OR_END = re.compile(r"[>\"']")
_ATTRIBUTE = re.compile(r"""([^\s=/>"']{1,100})(?:\s{0,20}=\s{0,20}("[^"]*"|'[^']*'|[^\s>]+))?""")
_BLANKS = re.compile(r"[^\S\n]+")
_GAPS = re.compile(r"\n{3,}")


def readable(html: str) -> str:
    """The page's title and text. Links keep their addresses; hidden elements are left out."""
    reader = _Reader()
    for kind, value, attributes in _tokens(html):
        if kind == "text":
            reader.data(unescape(value))
        elif kind == "start":
            reader.start(value, _attributes(attributes))
        else:
            reader.end(value)
    return reader.text()


def _tokens(html: str) -> Iterator[tuple[str, str, str]]:
    """(text, its content, "") · (start, tag, attributes) · (end, tag, "")."""
    lower = html.lower() if len(html.lower()) == len(html) else html  # a few letters change their length
    place = 0
    while place < len(html):
        opening = html.find("<", place)
        if opening < 0:
            opening = len(html)
        if opening > place:
            yield "text", html[place:opening], ""
        match = _TAG.match(html, opening)
        if match is None:
            if opening < len(html):
                yield "text", "<", ""
            place = opening + 1
            continue
        if match["other"]:
            closing = html.find("-->" if match["other"] == "!--" else ">", match.end())
            place = len(html) if closing < 0 else closing + (3 if match["other"] == "!--" else 1)
            continue
        tag = match["tag"].lower()
        closing = _tag_end(html, match.end())
        if closing < 0:
            return
        yield ("end" if match["slash"] else "start"), tag, html[match.end() : min(closing, match.end() + MAX_TAG)]
        place = closing + 1
        if tag in _RAW and not match["slash"]:
            end = lower.find(f"</{tag}", place)
            end = len(html) if end < 0 else end
            yield "text", html[place:end], ""
            place = end


def _tag_end(html: str, place: int) -> int:
    """Where the tag's `>` is, outside quotes; -1: nowhere. Quotes are followed for `MAX_TAG` characters."""
    limit = place + MAX_TAG
    while match := _QUOTE_OR_END.search(html, place, limit):
        if match[0] == ">":
            return match.start()
        closing = html.find(match[0], match.end(), limit)
        if closing < 0:
            break
        place = closing + 1
    return html.find(">", place)


def _attributes(text: str) -> dict[str, str]:
    return {
        match[1].lower(): unescape((match[2] or "").strip("\"'"))
        for match in reversed(list(_ATTRIBUTE.finditer(text)))
    }


class _Reader:
    """Takes the tags once; what is open is a stack, bounded."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._open: list[tuple[str, bool]] = []  # tag, and whether it begins something that isn't shown
        self._hidden = 0
        self._title: list[str] = []
        self._in_title = False
        self._preformatted = 0
        self._links: list[str] = []

    def text(self) -> str:
        """What was read so far."""
        body = _GAPS.sub("\n\n", "\n".join(line.rstrip() for line in "".join(self._parts).split("\n"))).strip()
        title = " ".join("".join(self._title).split())
        return f"# {title}\n\n{body}".strip() if title else body

    def start(self, tag: str, values: dict[str, str]) -> None:
        """A tag opens."""
        if tag == "title" and not self._title:
            self._in_title = True
        if tag not in _VOID:
            hides = tag in _SKIPPED or _is_hidden(values)
            if len(self._open) < MAX_DEPTH:
                self._open.append((tag, hides))
                self._hidden += hides
        if self._hidden:
            return
        self._parts.append(("\n" if tag in _BLOCKS else "") + _MARKS.get(tag, ""))
        if tag == "pre":
            self._preformatted += 1
        elif tag == "a":
            self._links.append(values.get("href", "").strip())
        elif tag == "img" and values.get("alt"):
            self._parts.append(f"[image: {values['alt']}]")

    def end(self, tag: str) -> None:
        """A tag closes, and with it what was left open inside it."""
        if tag == "title":
            self._in_title = False
        shown = not self._hidden
        for place in range(len(self._open) - 1, max(-1, len(self._open) - 33), -1):
            if self._open[place][0] == tag:
                self._hidden -= sum(hides for _, hides in self._open[place:])
                del self._open[place:]
                break
        if not shown:
            return
        if tag == "pre":
            self._preformatted = max(0, self._preformatted - 1)
        if tag in _BLOCKS:
            self._parts.append("\n")
        elif tag == "a" and self._links:
            href = self._links.pop()
            if href.startswith(("http://", "https://", "/")):
                self._parts.append(f" ({href[:300]})")

    def data(self, data: str) -> None:
        """Text."""
        if self._in_title:
            self._title.append(data[:500])
        elif not self._hidden:
            self._parts.append(data if self._preformatted else _BLANKS.sub(" ", data.replace("\n", " ")))


def _is_hidden(values: dict[str, str]) -> bool:
    return (
        "hidden" in values
        or values.get("aria-hidden", "").lower() == "true"
        or bool(_HIDDEN.search(values.get("style", "").lower()))
    )
