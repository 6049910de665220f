"""What a parser says of a file's text, without running or opening anything.

Runs as a program too (see `main`): a text can be made to hang a parser, to eat memory or to crash it, and then only a
process can be ended. A check takes the file's name and text and yields problems, with their line where there is one.
"""

import json
import re
import resource
import sys
import tomllib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

import yaml

from agents.executors import syntax_infra
from agents.executors.syntax_loader import TolerantLoader, documents

MEMORY_BYTES = 1 << 30
_SHEBANG = re.compile(r"#!\s*(?:/usr)?(?:/local)?/bin/(?:env\s+(?:-S\s+)?)?(\w+)")
_SHELLS = ("sh", "bash", "dash", "ksh")


def json_faults(name: str, text: str) -> Iterator[str]:
    """JSON."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        yield f"line {error.lineno}, column {error.colno}: {error.msg}"
    except ValueError as error:  # a number with thousands of digits
        yield str(error)


def toml_faults(name: str, text: str) -> Iterator[str]:
    """TOML."""
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        yield str(error)


def yaml_faults(name: str, text: str) -> Iterator[str]:
    """YAML, and keys given twice, of which all but the last would be lost."""
    try:
        nodes = list(yaml.compose_all(text, Loader=TolerantLoader))
        documents(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        context = f" ({error.context})" if error.context else ""
        hint = "; indent with spaces, not tabs" if "\\t" in str(error.problem) else ""
        yield f"{place}{error.problem or 'not YAML'}{context}{hint}"
    except yaml.YAMLError as error:
        yield " ".join(str(error).split())
    except ValueError as error:  # such as a date that doesn't exist
        yield str(error)
    else:
        seen: set[int] = set()
        for node in nodes:
            yield from _repeated_keys(node, seen)


def _repeated_keys(node: yaml.Node | None, seen: set[int]) -> Iterator[str]:
    if node is None or id(node) in seen:  # an alias leads to a node that was looked at
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _repeated_keys(item, seen)
    elif isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in keys:
                    line = key.start_mark.line + 1
                    yield f"line {line}: the key {key.value!r} is given twice; only the last counts"
                keys.add(key.value)
            yield from _repeated_keys(value, seen)


def jinja_faults(name: str, text: str) -> Iterator[str]:
    """Jinja, with the extensions Ansible has."""
    from jinja2 import Environment, TemplateSyntaxError  # slow to import, and rarely needed

    extensions = ["jinja2.ext.do", "jinja2.ext.loopcontrols"]
    try:
        Environment(extensions=extensions).parse(text)  # noqa: S701  parsed, never rendered
    except TemplateSyntaxError as error:
        yield f"line {error.lineno}: {error.message}"


def python_faults(name: str, text: str) -> Iterator[str]:
    """Python, compiled and not run; the compiler's warnings too."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            compile(text, name, "exec", dont_inherit=True)
        except SyntaxError as error:
            yield f"line {error.lineno}: {error.msg}"
        except ValueError as error:
            yield str(error)
    yield from (f"line {warning.lineno}: {warning.message}" for warning in warned)


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file: its label, which files are of it, and their check."""

    label: str
    applies: Callable[[str, str], bool]
    check: Callable[[str, str], Iterator[str]]


def _ending(*endings: str) -> Callable[[str, str], bool]:
    return lambda name, text: name.lower().endswith(endings)


def is_shell(name: str, text: str) -> bool:
    """Whether it is a shell script, by its ending or first line."""
    return name.endswith((".sh", ".bash")) or _interpreter(name, text) in _SHELLS


def _is_python(name: str, text: str) -> bool:
    return name.endswith(".py") or _interpreter(name, text).startswith("python")


def _interpreter(name: str, text: str) -> str:
    match = _SHEBANG.match(text) if "." not in PurePosixPath(name).name else None
    return match[1] if match else ""


def _is_yaml(name: str, text: str) -> bool:
    bare_inventory = is_inventory_name(name) and not PurePosixPath(name).suffix and text.startswith("---")
    return name.lower().endswith((".yml", ".yaml")) or bare_inventory


def is_inventory_name(name: str) -> bool:
    """Whether a file is an inventory by its name: `hosts`, `inventory.ini`, `inventories/lab/web.ini`."""
    path = PurePosixPath(name)
    named = path.stem.lower() in ("hosts", "inventory") or any("inventor" in part.lower() for part in path.parts[:-1])
    return named and path.suffix.lower() in ("", ".ini", ".cfg") and path.parts[0] == "config"


def _is_ini_inventory(name: str, text: str) -> bool:
    return is_inventory_name(name) and not _is_yaml(name, text) and not text.startswith("#!")


def _is_dockerfile(name: str, text: str) -> bool:
    title = PurePosixPath(name).name.lower()
    return title in ("dockerfile", "containerfile") or title.startswith("dockerfile.") or title[-11:] == ".dockerfile"


def _is_kubernetes(name: str, text: str) -> bool:
    return _is_yaml(name, text) and syntax_infra.is_kubernetes(name, text)


FORMATS = (
    Format("JSON", _ending(".json"), json_faults),
    Format("TOML", _ending(".toml"), toml_faults),
    Format("YAML", _is_yaml, yaml_faults),
    Format("Kubernetes", _is_kubernetes, syntax_infra.kubernetes_faults),
    Format("inventory", _is_ini_inventory, syntax_infra.inventory_faults),
    Format("Python", _is_python, python_faults),
    Format("Jinja", _ending(".j2", ".jinja", ".jinja2"), jinja_faults),
    Format("Dockerfile", _is_dockerfile, syntax_infra.dockerfile_faults),
    Format("Terraform", _ending(".tf", ".tfvars"), syntax_infra.hcl_faults),
)


def verdict(name: str, text: str) -> dict[str, list[str]]:
    """What was checked (`ran`), what is wrong (`problems`), and which checks broke themselves (`broken`)."""
    ran, problems, broken = [], [], []
    for form in FORMATS:
        try:
            if not form.applies(name, text):
                continue
            problems += [f"{form.label}: {fault}" for fault in form.check(name, text)]
            ran.append(form.label)
        except (RecursionError, MemoryError) as error:
            broken.append(f"{form.label}: {type(error).__name__}: nested too deep or too large to parse")
    playbook = _is_yaml(name, text) and not (problems or broken) and syntax_infra.is_playbook(name, text)
    return {"ran": ran, "problems": problems, "broken": broken, "playbook": ["yes"] if playbook else []}


def main() -> None:
    """Read one JSON object (name, text) and write one verdict."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    request = json.load(sys.stdin.buffer)
    sys.stdout.buffer.write(json.dumps(verdict(request["name"], request["text"])).encode())
