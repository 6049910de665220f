"""What in a Terraform configuration makes a mere plan run programs, or read this machine's files. Pure.

A plan needs nobody's leave, so it must stay within the modules under infra/. False alarms cost an approval.
"""

import posixpath
import re
from collections.abc import Iterator

# a data source of that name runs a program of the module's choice during a plan; an escape may hide its name
_PROGRAM = re.compile(r"(?i)\bexternal\b|\\u[0-9a-f]{4}")
_FILE_SOURCE = re.compile(r"\bdata\W{1,9}local_(?:sensitive_)?file\b")
_FILE_CALL = re.compile(r"\b(?:file\w*|templatefile)\s*(?:\(\s*|/[*/]|#)")
_OWN_FILE = re.compile(r'path\.module\s*,|"(?:\$\{path\.module\}/)?([^"$%\\]*)"\s*[,)]')
_SOURCE = re.compile(r'\bsource"?\s*(?:[=:]|/[*/]|#)\s*')
_LITERAL = re.compile(r'"([^"$%\\]*)"')
_LOCAL_BACKEND = re.compile(r'\bbackend"?\s*[=:]?\s*(?:\{\s*)?"?local\b')
_BACKEND_PATH = re.compile(r'\b(?:path|workspace_dir)"?\s*[=:]\s*"?([^"\n]*)')


def hazards(text: str, folder: str) -> tuple[str, ...]:
    """What in `text`, a configuration file in the workspace folder `folder`, may act or read in a plan."""
    return tuple(dict.fromkeys((*_programs(text), *_files(text), *_sources(text, folder), *_states(text))))


def _programs(text: str) -> Iterator[str]:
    if _PROGRAM.search(text):
        yield "the data source external runs programs"
    if _FILE_SOURCE.search(text) or (text.lstrip().startswith("{") and "data" in text and "local_" in text):
        yield "a data source reads files"


def _files(text: str) -> Iterator[str]:
    for call in _FILE_CALL.finditer(text):
        own = _OWN_FILE.match(text, call.end())
        if own is None or _leads_out(own[1] or ""):
            yield "a file outside the module may be read"


def _sources(text: str, folder: str) -> Iterator[str]:
    """A module elsewhere on this machine isn't examined; a downloaded one is, where it was put."""
    for match in _SOURCE.finditer(text):
        literal = _LITERAL.match(text, match.end())
        if literal is None or not _is_inside(literal[1], folder):
            yield "a module outside infra/ may be used"


def _is_inside(source: str, folder: str) -> bool:
    if source.startswith(("./", "../")):
        place = posixpath.normpath(posixpath.join(folder, source))
        return place == "infra" or place.startswith("infra/")
    return re.match(r"[A-Za-z0-9]", source) is not None and re.search(r"(?i)file:|::\W", source) is None


def _states(text: str) -> Iterator[str]:
    """A local state under another name than *.tfstate would be an ordinary file, with every secret in it."""
    if _LOCAL_BACKEND.search(text):
        for match in _BACKEND_PATH.finditer(text):
            if _leads_out(match[1]) or not match[1].strip().endswith((".tfstate", ".tfstate.d")):
                yield "the state's path must be a *.tfstate file in the module"


def _leads_out(path: str) -> bool:
    return path.startswith(("/", "~")) or ".." in path.split("/") or "$" in path
