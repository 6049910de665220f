"""The words of a bash script as its shell would read them; what isn't known from the text alone is refused."""

import re
from typing import NoReturn

from tree_sitter import Node

from agents.tools.command_grammar import Word

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=~^!*?\[\]-]+")
_VARIABLE = re.compile(r"HOME|PWD|USER|LOGNAME|HOSTNAME|SHELL|LANG")
# inside double quotes: an escape that bash would take away, a backquote, or a dollar sign that begins something
_QUOTED_TRAP = re.compile(r"\\[$`\"\\\n]|`|\$(?=[A-Za-z0-9_{(\[@*#?$!'\"-])|\n")
_TEST_TREE = frozenset(("test_command", "unary_expression", "binary_expression", "test_operator", "word", "string"))
_TEST_TOKENS = frozenset(("[", "]", "=", "==", "!=", "!", "string_content", '"', "raw_string", "number"))


class Unread(Exception):
    """A construct outside the grammar."""


def refuse(why: str) -> NoReturn:
    """Say that a construct is not read."""
    raise Unread(why)


def text_of(node: Node) -> str:
    """The node's source."""
    return (node.text or b"").decode()


def source_of(node: Node) -> str:
    """The whole script, so that a node's offsets fit it."""
    root = node
    while root.parent is not None:
        root = root.parent
    # the root begins at the first statement: pad what stands before it
    return " " * root.start_byte + text_of(root)


def substitutions(node: Node) -> list[Node]:
    """The outermost `$(…)` and backquotes in a word."""
    if node.type == "command_substitution":
        return [node]
    return [found for child in node.children for found in substitutions(child)]


def word_of(node: Node) -> Word:
    """The text bash would make of a word. Raise Unread for what isn't known beforehand."""
    if node.type in ("word", "number"):
        return _plain(text_of(node))
    if node.type == "raw_string":
        return _quoted(text_of(node)[1:-1], raw=True)
    if node.type == "string":
        return _string(node)
    if node.type in ("simple_expansion", "expansion"):
        return _expansion(node)
    if node.type == "command_substitution":
        return Word("$(…)", dynamic=True)
    if node.type == "concatenation":
        return _joined(node)
    refuse(f"{node.type.replace('_', ' ')} is not read")


def _plain(text: str) -> Word:
    if not _PLAIN.fullmatch(text):
        refuse(f"{text[:60]!r} has characters the shell treats specially")
    if text.startswith("~"):
        if text != "~" and not text.startswith("~/"):
            refuse("another user's home")
        text = "/home/user" + text[1:]
    return Word(text, glob=any(letter in text for letter in "*?["))


def _quoted(text: str, *, raw: bool) -> Word:
    if "\n" in text:
        refuse("a line break inside quotes")
    if not raw and _QUOTED_TRAP.search(text):
        refuse("an escape or expansion inside quotes")
    return Word(text)


def _string(node: Node) -> Word:
    inner = [child for child in node.children if child.is_named and child.type != "string_content"]
    if not inner:
        return _quoted(text_of(node)[1:-1], raw=False)
    if "\n" in text_of(node):
        refuse("a line break inside quotes")
    parts = [word_of(child) for child in inner]
    literal = known = text_of(node)[1:-1]
    for child, part in zip(inner, parts, strict=True):
        literal = literal.replace(text_of(child), "", 1)
        known = known.replace(text_of(child), part.text, 1)
    _quoted(literal, raw=False)
    return Word(known, dynamic=any(part.dynamic for part in parts))


def _expansion(node: Node) -> Word:
    name = re.sub(r"^\$\{?|\}$", "", text_of(node))
    if node.type == "expansion" and not name.isidentifier():
        refuse("an expansion that computes")
    if _VARIABLE.fullmatch(name):
        # the value isn't known, but it is one plain word that is no flag
        return Word(f"/{name}")
    return Word("…", dynamic=True)


def _joined(node: Node) -> Word:
    last = node.start_byte
    parts = []
    for child in node.children:
        if child.start_byte != last:
            refuse("a word with a gap in it")
        last = child.end_byte
        parts.append(word_of(child))
    if parts[0].text.startswith("/home/user") and text_of(node).startswith("~"):
        refuse("a home directory joined with more text")
    return Word(
        "".join(part.text for part in parts), any(part.glob for part in parts), any(part.dynamic for part in parts)
    )


def check_test(node: Node) -> None:
    """Accept `[ … ]` over files and strings; arithmetic and -v may run commands hidden in a subscript."""
    if not text_of(node).startswith("[ "):
        refuse("[[ is not read")
    stack = [node]
    while stack:
        child = stack.pop()
        if child.type not in _TEST_TREE | _TEST_TOKENS:
            refuse(f"{child.type.replace('_', ' ')} in a test is not read")
        if child.type == "test_operator" and not re.fullmatch(r"-[edfrwxsLhnz]", text_of(child)):
            refuse(f"test {text_of(child)} is not read")
        if child.type in ("word", "string", "raw_string"):
            word_of(child)
        stack += child.children
