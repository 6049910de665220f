"""What a command would do, told from its text alone: a positive grammar, closed against all it doesn't know.

`classify` reads a bash script with tree-sitter, refuses every construct that isn't listed here, and fits each simple
command into the table of reads (`command_table.py`). What doesn't fit is never a read: it is a write where it only
touches named workspace files, destructive where a known destroyer shows up anywhere in the text, else a change.
The verdict decides whether to ask; it is no sandbox.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

from agents.domain.turn import Effect
from agents.tools.command_destroyers import destroyer
from agents.tools.command_grammar import Word, objection
from agents.tools.command_words import Unread, check_test, refuse, source_of, substitutions, text_of, word_of

MAX_SCRIPT = 16_000  # characters; a longer script isn't read at all
_MAX_DEPTH = 24

_BASH = Language(tree_sitter_bash.language())
_PRINTABLE = re.compile(r"[\x20-\x7e\n\t]*")
_PROGRAM = re.compile(r"(?:(?:/usr(?:/local)?)?/s?bin/)?([A-Za-z0-9_][A-Za-z0-9_.+-]*)")
_COMMENT_BEFORE = frozenset(" \t\n;&|()")
_SEGMENT = r"[A-Za-z0-9_@+][A-Za-z0-9_.@+-]*"  # never hidden, never "..", never a flag
_WORKSPACE = re.compile(rf"(?:\./|/app/(?:infra|config|docs)/|/tmp/app/)?{_SEGMENT}(?:/{_SEGMENT})*/?")
_WRITERS: dict[str, frozenset[str]] = {
    "mkdir": frozenset(("-p", "-v", "-pv", "--parents")),
    "touch": frozenset(),
    "tee": frozenset(("-a", "--append")),
    "cp": frozenset(("-r", "-R", "-a", "-p", "-v", "-rv", "-n", "--recursive")),
    "mv": frozenset(("-n", "-v")),
}
_WRAPPERS: dict[str, re.Pattern[str]] = {
    "timeout": re.compile(r"(?:(?:-k \d+[smh]?|-s [A-Z0-9]+|--preserve-status|--foreground) )*\d+(?:\.\d+)?[smh]? "),
    "nice": re.compile(r"(?:-n \d+ )?"),
    "time": re.compile(r"(?:-p )?"),
}
_SEVERITY = {effect: rank for rank, effect in enumerate(Effect)}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a command would do, why it isn't a mere read, and the programs it names."""

    effect: Effect
    reasons: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()


def worst(effects: Iterable[Effect]) -> Effect:
    """The gravest of the effects; read for none."""
    return max(effects, key=_SEVERITY.__getitem__, default=Effect.READ)


def classify(script: str) -> Verdict:
    """What the bash script would do."""
    if len(script) > MAX_SCRIPT:
        return Verdict(Effect.DESTROY, (f"{len(script):,} characters are too long to be read",))
    reading = _Reading()
    if not _PRINTABLE.fullmatch(script):
        reading.note(Effect.MUTATE, "characters outside printable ASCII")
    else:
        tree = Parser(_BASH).parse(script.encode())
        if tree.root_node.has_error:
            reading.note(Effect.MUTATE, "not understood as bash")
        else:
            reading.statements(tree.root_node, 0)
    return reading.verdict(script)


def classify_argv(argv: Sequence[str]) -> Verdict:
    """What a program run without a shell would do."""
    if not argv:
        return Verdict(Effect.MUTATE, ("no program",))
    reading = _Reading()
    if not all(_PRINTABLE.fullmatch(word) for word in argv) or sum(map(len, argv)) > MAX_SCRIPT:
        reading.note(Effect.MUTATE, "characters outside printable ASCII, or too many")
    else:
        reading.command([Word(word) for word in argv])
    return reading.verdict(" ".join(argv))


def classify_kubectl(args: Sequence[str]) -> Verdict:
    """What kubectl would do with these arguments."""
    return classify_argv(("kubectl", *args))


class _Reading:
    """One pass over a script, collecting effects, reasons and programs."""

    def __init__(self) -> None:
        self._effect = Effect.READ
        self._reasons: dict[str, None] = {}
        self._programs: dict[str, None] = {}

    def note(self, effect: Effect, why: str) -> None:
        """Something that is no read."""
        self._effect = worst((self._effect, effect))
        self._reasons[why] = None

    def verdict(self, text: str) -> Verdict:
        """The verdict on the whole text."""
        if self._effect is Effect.WRITE and "cd" in self._programs:
            self.note(Effect.MUTATE, "cd makes relative paths point elsewhere")
        if self._effect is not Effect.READ and (found := destroyer(text)):
            self.note(Effect.DESTROY, f"`{found}` can't be undone")
        return Verdict(self._effect, tuple(self._reasons)[:8], tuple(self._programs))

    def statements(self, node: Node, depth: int) -> None:
        """Read every statement under the node."""
        if depth > _MAX_DEPTH:
            self.note(Effect.MUTATE, "nested too deep to be read")
            return
        for child in node.children:
            try:
                self._statement(child, depth)
            except Unread as unread:
                self.note(Effect.MUTATE, str(unread))

    def _statement(self, node: Node, depth: int) -> None:
        if node.type in _TOKENS:
            return
        if node.type == "comment":
            self._comment(node)
        elif node.type in _CONTAINERS:
            self.statements(node, depth + 1)
        elif node.type == "command":
            self._simple(node, depth)
        elif node.type == "redirected_statement":
            self._redirected(node, depth)
        elif node.type == "test_command":
            check_test(node)
        else:
            refuse(f"{node.type.replace('_', ' ')} is not read")

    def _comment(self, node: Node) -> None:
        source = source_of(node)
        before = node.start_byte and source[node.start_byte - 1 : node.start_byte]
        if before and before not in _COMMENT_BEFORE:
            refuse("a # inside a word")

    def _redirected(self, node: Node, depth: int) -> None:
        for child in node.children:
            if child.type == "file_redirect":
                self._redirect(child)
            else:
                self._statement(child, depth)

    def _redirect(self, node: Node) -> None:
        """Output to /dev/null or another descriptor, input of a plain file; other output is a write at least."""
        operator = next((child.type for child in node.children if not child.is_named), "")
        targets = node.children_by_field_name("destination")
        if len(targets) != 1 or not targets[0].is_named:
            refuse("a redirection that closes or duplicates something else")
        word = word_of(targets[0])
        if operator in (">&", "<&") and word.text in ("0", "1", "2"):
            return
        if operator in (">", ">>", "&>", "&>>", ">|") and word.text == "/dev/null" and not word.glob:
            return
        if operator == "<" and not word.glob and not word.dynamic and objection([Word("cat"), word]) is None:
            return
        if operator in (">", ">>") and _in_workspace(word):
            self.note(Effect.WRITE, f"writes {word.text[:60]!r}")
            return
        refuse(f"a redirection to or from {word.text[:60]!r}")

    def _simple(self, node: Node, depth: int) -> None:
        words: list[Word] = []
        for child in node.children:
            if child.type == "file_redirect":
                self._redirect(child)
            elif child.type == "command_name":
                words.append(word_of(child.children[0]))
                if child.children[0].type != "word" or words[0].glob or words[0].text.startswith("~"):
                    raise Unread("the program's name is not written plainly")
            elif child.type == "variable_assignment" or child.type not in _WORDS:
                refuse(f"{child.type.replace('_', ' ')} is not read")
            else:
                words.append(self._argument(child, depth))
        self.command(words)

    def _argument(self, node: Node, depth: int) -> Word:
        """A word; `$(…)` in it is read as the commands it runs, and its output is any text."""
        for substitution in substitutions(node):
            if not text_of(substitution).startswith("$("):
                refuse("backquotes are not read")
            self.statements(substitution, depth + 1)
        return word_of(node)

    def command(self, words: list[Word]) -> None:
        """Judge one simple command."""
        match = _PROGRAM.fullmatch(words[0].text)
        if not match:
            self._programs[words[0].text[:60]] = None
            self.note(Effect.MUTATE, f"{words[0].text[:60]!r} is no program of the system's own")
            return
        program = match[1]
        self._programs[program] = None
        words = [Word(program), *words[1:]]
        if program in _WRAPPERS:
            self._wrapped(words)
        elif writes := _writes(words):
            self.note(Effect.WRITE, writes)
        elif (fault := objection(words)) is not None:
            self.note(Effect.MUTATE, fault)

    def _wrapped(self, words: list[Word]) -> None:
        """`timeout 5 ls` is as harmless as `ls`."""
        plain = all(not word.glob and not word.dynamic and " " not in word.text for word in words)
        match = _WRAPPERS[words[0].text].match("".join(f"{word.text} " for word in words[1:]))
        rest = words[1 + match[0].count(" ") :] if match else []
        if not rest or not plain or rest[0].text in _WRAPPERS:
            self.note(Effect.MUTATE, f"{words[0].text} around something that is not read")
        else:
            self.command(rest)


_TOKENS = frozenset(
    (";", "\n", "&&", "||", "|", "|&", "(", ")", "{", "}", "!", "$(", "if", "then", "else", "elif", "fi")
)
_CONTAINERS = frozenset(
    "list pipeline subshell compound_statement negated_command if_statement elif_clause else_clause".split()
)
_WORDS = frozenset(
    "word number raw_string string concatenation simple_expansion expansion command_substitution".split()
)


def _in_workspace(word: Word) -> bool:
    return not word.glob and not word.dynamic and bool(_WORKSPACE.fullmatch(word.text))


def _writes(words: Sequence[Word]) -> str | None:
    """What a command that only touches workspace files writes; None for any other."""
    flags = _WRITERS.get(words[0].text)
    if flags is None:
        return None
    operands = [word for word in words[1:] if word.text not in flags]
    if operands and all(_in_workspace(word) for word in operands):
        return f"{words[0].text} writes {operands[-1].text[:60]!r}"
    return None
