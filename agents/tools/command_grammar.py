"""Does one command line fit the table of reads? The table's notation is told in `command_table.py`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from agents.tools.command_table import READS, VERSION_FLAGS, VERSION_LETTER, VERSIONED


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a command. `glob`: the shell may expand it; `dynamic`: its text is not known before it runs."""

    text: str
    glob: bool = False
    dynamic: bool = False


_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_ADDRESS = r"/(?:[^/\\\n]|\\[^\n])*/I?|\$|\d+(?:~\d+)?"
_FIELD = r"\$(?:\d+|NF|\(NF-\d+\))"
_PRINTED = rf"(?:{_FIELD}|\"[^\"\\\n]*\")"
_SAFE_DEVICE = r"(?!/dev/(?!null$|stdin$|zero$|urandom$))(?!/+dev/+(?:tcp|udp)/)"

TYPES: dict[str, str] = {
    "N": r"[+-]?\d+(?:\.\d+)?[A-Za-z%]?",
    "T": r"[^\n]*",
    "X": r"[^\n]*",
    "W": r"[+-]?[A-Za-z0-9_.:/@%](?:[A-Za-z0-9_.,:@%/+=~^-])*",
    "P": _SAFE_DEVICE + r"[^\n]+",
    "L": r"[^\n]+",
    "H": r"[A-Za-z0-9_.:%\[\]-]+",
    # an address that names an act in its path or query is not assumed to be a mere look
    "U": r"https?://(?i:(?!.*(?:delete|destroy|remove|reboot|shutdown|poweroff|restart|reset|unlock|apply|exec|trigger|"
    r"reload|method=)))[A-Za-z0-9._~:/?#@!&+,;=%-]+",
    "NULLFILE": r"/dev/null|-",
    "STDOUT": r"-|/dev/null",
    "HEADER": r"(?i:(?!@|x-http-method|x-method|x-override))[^\n]*",
    "WRITEOUT": r"(?!@)(?:(?!%output)[^\n])*",
    "FORMAT": r"(?:[^%\n]|%%|%[-+ #0'*\d.]*(?:[hljztL]*)[diouxXeEfFgGaAcsbq])*",
    "SED": rf"(?:(?:{_ADDRESS})(?:,(?:{_ADDRESS}|\+\d+))?!?)?(?:[pdq=]|s(?P<d>[/|,#])(?:(?!(?P=d))[^\\\n]|\\[^\n])*"
    r"(?P=d)(?:(?!(?P=d))[^\\\n]|\\[^\n])*(?P=d)[gpI\d]*)",
    "AWK": rf"(?:NR ?[=<>!]=? ?\d+ ?|!?/[^/\\\n]*/ ?|{_FIELD} ?[=<>!]= ?(?:\d+|\"[^\"\\\n]*\") ?)?"
    rf"(?:\{{ ?print(?: ?{_PRINTED}(?:(?: , |, | ,|,| |){_PRINTED})*)? ?;? ?\}})?",
    "FINDPATH": r"[A-Za-z0-9_./~][^\n]*",
    "FINDTYPE": r"[bcdpfls](?:,[bcdpfls])*",
    "PERM": r"[-/]?[0-7]{3,4}|[-/]?[ugoa]*[+=][rwxst]+",
    "DATEFORMAT": r"\+[^\n]*",
    "IFNAME": r"[A-Za-z0-9._@-]+",
    "CHAIN": r"[A-Za-z0-9_-]+",
    "PORT": r"\d{1,5}(?:-\d{1,5})?",
    "DIGARG": r"@?[A-Za-z0-9_.:-]+|\+(?:short|noall|answer|trace|stats|nostats|comments|nocomments|multiline|dnssec|"
    r"tcp|(?:time|tries|timeout|retry)=\d+)",
    "SSFILTER": r"[A-Za-z0-9.:=!<>*/]+",
    "SYSCTLKEY": r"[A-Za-z0-9_.]+",
    "PSBSD": r"-?[auxwfejl]+",
    "JOURNALMATCH": r"_?[A-Z_]+=[^\n]+",
    "GITFORMAT": r"(?:(?!%G)[^\n])*",
    "GITREV": r"[A-Za-z0-9_./~^:@][A-Za-z0-9_./~^:@{}-]*",
    "SYSTEMCTLREAD": "status|show|is-active|is-enabled|is-failed|is-system-running|list-units|list-unit-files|"
    "list-timers|list-sockets|list-dependencies|list-jobs|cat|get-default|show-environment",
}
_TYPES = {name: re.compile(pattern, re.ASCII) for name, pattern in TYPES.items()}
_MACROS = {
    "KUBE": "-n:W --namespace=W -o:T --output=T -l:T --selector=T --context=W --request-timeout=W",
}
# flags before the verb: they go behind it, where the table has them
_LEADING = {
    "kubectl": re.compile(r"(?P<two>-n|--namespace|--context|-o)$|(?:-n|--namespace=|--context=).+$"),
    "git": re.compile(r"(?P<two>(?!))|--no-pager$"),
}
_LEADING_DROPPED = frozenset(("--no-pager",))
# programs that stop reading flags at their first operand
_NOT_PERMUTING = frozenset(("command", "printf"))
_ONLY_OPERANDS = frozenset(("echo",))
_END_OF_FLAGS = frozenset("grep egrep fgrep rg ls cat head tail wc sort cut diff stat file printf du md5sum".split())


@dataclass(slots=True)
class Syntax:
    """What one row of the table allows."""

    cluster: set[str] = field(default_factory=set)
    flags: set[str] = field(default_factory=set)
    valued: dict[str, re.Pattern[str]] = field(default_factory=dict)
    attached: dict[str, re.Pattern[str]] = field(default_factory=dict)
    required: set[str] = field(default_factory=set)
    count: bool = False
    operands: list[tuple[str, re.Pattern[str], str]] = field(default_factory=list)

    def add_flag(self, notation: str) -> None:
        """Read one flag token of the row."""
        required = notation.startswith("!")
        token = notation.removeprefix("!")
        if token.endswith("NUM"):
            self.count = True
            return
        if cluster := re.fullmatch(r"-\[(\S+)\]", token):
            self.cluster.update(cluster[1])
            names = {f"-{letter}" for letter in cluster[1]}
        else:
            name, kind, values = re.fullmatch(r"(-[^:=?]*)([:=?]?)(\S*)", token).groups()  # type: ignore[union-attr]
            names = {name}
            if not kind:
                self.flags.add(name)
            else:
                (self.attached if kind == "?" else self.valued)[name] = _TYPES[values]
            if kind == "?":
                self.flags.add(name)
        if required:
            self.required |= names

    def add_operand(self, token: str) -> None:
        """Read one operand token of the row."""
        name, count = re.fullmatch(r"(\{.*\}|[A-Z]+)([?*+]?)", token).groups()  # type: ignore[union-attr]
        choice = name.startswith("{")
        pattern = re.compile("|".join(map(re.escape, name[1:-1].split("|")))) if choice else _TYPES[name]
        self.operands.append(("{}" if choice else name, pattern, count))


def _table(text: str) -> dict[str, Syntax]:
    rows: dict[str, Syntax] = {}
    for line in text.strip().replace("\n  ", " ").splitlines():
        name, rest = line.split(": ", 1)
        flags, operands = f" {rest} ".rsplit(" ; ", 1)
        syntax = rows.setdefault(name, Syntax())
        for token in flags.split():
            for flag in _MACROS.get(token, token).split():
                syntax.add_flag(flag)
        for token in operands.split():
            syntax.add_operand(token)
    return rows


_ROWS = _table(READS)
_SUBCOMMANDED = frozenset(name.split()[0] for name in _ROWS if " " in name)


def objection(words: Sequence[Word]) -> str | None:
    """Why this command line is not known to only read; None: it reads."""
    program = words[0].text
    if len(words) == 2 and _asks_version(program, words[1].text):
        return None
    words = _verb_first(program, words)
    found = _row(words)
    if found is None:
        verb = f" {words[1].text}" if len(words) > 1 and program in _SUBCOMMANDED else ""
        return f"`{program}{verb}` is not in the table of reads"
    syntax, rest = found
    fault = _Matching(program, syntax).fault(rest)
    return fault and f"{program}: {fault}"


def _asks_version(program: str, flag: str) -> bool:
    return (program in VERSIONED and flag in VERSION_FLAGS) or (program in VERSION_LETTER and flag == "-V")


def _row(words: Sequence[Word]) -> tuple[Syntax, Sequence[Word]] | None:
    """The row for these words (the longer name first) and the words behind its name."""
    if len(words) > 1 and not words[1].glob and (row := _ROWS.get(f"{words[0].text} {words[1].text}")):
        return row, words[2:]
    if row := _ROWS.get(words[0].text):
        return row, words[1:]
    return None


def _verb_first(program: str, words: Sequence[Word]) -> Sequence[Word]:
    """`kubectl -n x get` as `kubectl get -n x`."""
    pattern = _LEADING.get(program)
    leading: list[Word] = []
    at = 1
    while pattern and at < len(words) and (match := pattern.match(words[at].text)):
        width = 2 if match["two"] else 1
        leading += [word for word in words[at : at + width] if word.text not in _LEADING_DROPPED]
        at += width
    verb = words[at : at + 1]
    return [words[0], *verb, *leading, *words[at + 1 :]] if at > 1 else words


class _Matching:
    """One walk over a command's words along one row."""

    def __init__(self, program: str, syntax: Syntax) -> None:
        self._program = program
        self._syntax = syntax
        self._required = not syntax.required
        self._operands: list[Word] = []

    def fault(self, words: Sequence[Word]) -> str | None:
        """What doesn't fit, or None."""
        at = 0
        while at < len(words):
            word = words[at]
            if self._is_operand(word.text):
                self._operands.append(word)
                at += 1
            elif word.text == "--" and self._program in _END_OF_FLAGS:
                self._operands += words[at + 1 :]
                break
            elif word.glob or word.dynamic:
                return "a flag the shell would expand"
            else:
                width = self._flag(word.text, words[at + 1] if at + 1 < len(words) else None)
                if not width:
                    return f"flag {word.text[:40]!r} is not known to only read"
                at += width
        if not self._required:
            return f"only reads with one of {', '.join(sorted(self._syntax.required))} before the operands"
        return self._operands_fault()

    def _is_operand(self, text: str) -> bool:
        if self._program in _ONLY_OPERANDS or (self._operands and self._program in _NOT_PERMUTING):
            return True
        return not text.startswith("-") or text == "-"

    def _flag(self, text: str, after: Word | None) -> int:
        """How many words the flag takes; 0: not allowed."""
        syntax = self._syntax
        if text in syntax.flags or (syntax.count and re.fullmatch(r"-\d+", text)):
            return self._seen(text, 1)
        if text in syntax.valued:
            return self._seen(text, 2) if _fits(syntax.valued[text], after) else 0
        name, equals, value = text.partition("=")
        if equals and (pattern := syntax.valued.get(name) or syntax.attached.get(name)):
            # a short flag's "=" would belong to its value
            return self._seen(name, 1) if len(name) > 2 and pattern.fullmatch(value) else 0
        return 0 if text.startswith("--") else self._letters(text, after)

    def _letters(self, text: str, after: Word | None) -> int:
        """A cluster of single letters; the last may take a value, attached or next."""
        for at, letter in enumerate(text[1:], 1):
            name = f"-{letter}"
            if pattern := self._syntax.valued.get(name):
                value = text[at + 1 :]
                if not value:
                    return self._seen(name, 2) if _fits(pattern, after) else 0
                return self._seen(name, 1) if pattern.fullmatch(value) else 0
            if at == 1 and (pattern := self._syntax.attached.get(name)):
                return self._seen(name, 1) if pattern.fullmatch(text[2:]) else 0
            if letter not in self._syntax.cluster:
                return 0
            self._seen(name, 1)
        return 1

    def _seen(self, name: str, width: int) -> int:
        # behind an operand a program that doesn't permute would not see the flag
        if name in self._syntax.required and not self._operands:
            self._required = True
        return width

    def _operands_fault(self) -> str | None:
        words = self._operands
        at = 0
        for name, pattern, count in self._syntax.operands:
            upto = len(words) if count in ("*", "+") else min(at + 1, len(words))
            if upto == at and count not in ("?", "*"):
                return "an operand is missing"
            for word in words[at:upto]:
                if not _operand_fits(name, pattern, word, many=count in ("*", "+")):
                    return f"{word.text[:60]!r} is not known to only be read"
            at = upto
        return f"unexpected {words[at].text[:60]!r}" if at < len(words) else None


def _fits(pattern: re.Pattern[str], word: Word | None) -> bool:
    return word is not None and not word.glob and not word.dynamic and bool(pattern.fullmatch(word.text))


def _operand_fits(name: str, pattern: re.Pattern[str], word: Word, *, many: bool) -> bool:
    if name == "X":
        return True
    if word.dynamic:
        return False
    # a glob that begins with plain text can't become a flag; it may become any number of files
    if word.glob and not (many and name in ("P", "L") and re.match(r"[A-Za-z0-9_./]", word.text)):
        return False
    return bool(pattern.fullmatch(word.text))
