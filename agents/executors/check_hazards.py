"""What in a playbook would act even in a check run. Pure.

`ansible-playbook --check` is only as harmless as its playbook: `check_mode: false`, lookups such as `pipe`, plugins
beside the playbook and connection variables run programs all the same. This is a positive grammar: keywords, modules
and connection variables known to do nothing in a check run pass, and everything else is named. A false alarm costs an
approval, a miss would be a way round it. What would show whole files of the machine is named too: a check run needs
nobody's leave.

Texts are agents' own, and are read in our process: no search here takes more than linear time, whatever they hold.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import yaml

from agents.executors.syntax_loader import BoundedLoader

SHOWN_HAZARDS = 8
MAY_ACT = "may act in a check run"
MAY_SHOW = "may show a file of the machine"
MAX_VALUES = 50_000  # of one document, each alias counted as what it stands for
MAX_DEPTH = 60
YAML_CHARS = 256 * 1024  # of one file: a second of parsing or two

_PLUGIN_FOLDER = re.compile(r"library|module_utils|plugins|collections|\w+_plugins")
_YAML_ENDINGS = ("", ".yml", ".yaml", ".json")
_INI_ENDINGS = ("", ".ini", ".cfg")
_TASK_KEYWORDS = frozenset(
    "name when loop loop_control register notify listen tags become become_user vars block rescue always args "
    "changed_when failed_when until retries delay delegate_to delegate_facts run_once ignore_errors "
    "ignore_unreachable no_log diff any_errors_fatal throttle timeout async poll check_mode gather_facts with_items "
    "with_list with_dict with_sequence with_nested with_together with_subelements with_indexed_items".split()
)
_PLAY_KEYWORDS = frozenset(
    "name hosts gather_facts gather_subset gather_timeout vars vars_files tasks pre_tasks post_tasks handlers roles "
    "become become_user remote_user port serial order tags any_errors_fatal max_fail_percentage ignore_errors "
    "ignore_unreachable force_handlers no_log diff run_once throttle timeout check_mode connection strategy "
    "import_playbook when".split()
)
_TASK_LISTS = ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks", "handlers")
_KEYWORD_VALUES = {"connection": {"ssh", "local"}, "strategy": {"linear", "free"}, "check_mode": {"True"}}
_MODULES = frozenset(
    "add_host apt assert blockinfile command copy cron debug dnf fail file find gather_facts group "
    "group_by hostname import_role import_tasks include_role include_tasks include_vars lineinfile meta mount_facts "
    "package package_facts pause ping raw replace script service service_facts set_fact set_stats setup shell "
    "stat systemd systemd_service template tempfile uri user validate_argument_spec wait_for wait_for_connection "
    "yum".split()
)
_READERS = frozenset(("assemble", "getent", "slurp"))
_INCLUDES = {"import_playbook", "vars_files", "include_vars", "include_tasks", "import_tasks", "include_role",
             "import_role", "roles", "role"}  # fmt: skip
_ARGUMENTS = ("executable", "fact_path", "variable_start_string", "block_start_string", "comment_start_string")
_LOOKUP = re.compile(r"\b(?:lookup|query|q)\b")
_OPENING = re.compile(r"\{[{%]")
_OWN_FOLDER = re.compile(r"\{\{ *(?:playbook_dir|role_path) *\}\}/")
_EXPRESSIONS = ("when", "until", "changed_when", "failed_when", "that", "loop", "var")  # templates without braces
_SSH = re.compile(r"(?i)\b(?:Proxy|Local|KnownHosts)Command|PKCS11Provider|SecurityKeyProvider|#jinja2:")
_ASSIGNED = re.compile(r"\b(ansible_\w+)\s*=(?!=)\s*(\"[^\"]*\"|'[^']*'|\S*)")
_HOST = r"[A-Za-z0-9_\[][\w.:\[\]%-]*"
_CONNECTION_VARIABLES: dict[str, str] = {
    "ansible_host": _HOST,
    "ansible_ssh_host": _HOST,
    "ansible_port": r"\d+",
    "ansible_ssh_port": r"\d+",
    "ansible_user": r"[\w.@-]+",
    "ansible_ssh_user": r"[\w.@-]+",
    "ansible_connection": "ssh|local",
    "ansible_ssh_private_key_file": r"[^{}]+",
    "ansible_password": ".*",
    "ansible_ssh_pass": ".*",
    "ansible_become": "(?i:true|false|yes|no)",
    "ansible_become_user": r"[\w.-]+",
    "ansible_become_method": "sudo",
    "ansible_become_password": ".*",
    "ansible_become_pass": ".*",
    "ansible_python_interpreter": r"auto\w*|/usr/(?:local/)?bin/python3[.\d]*|\{\{ *ansible_playbook_python *\}\}",
}


def hazards(files: Mapping[str, str], extra_vars: Mapping[str, Any]) -> tuple[str, ...]:
    """What would act in a check run of these files (path → text) with these variables; empty: nothing."""
    fault = _unfathomable(extra_vars)
    found = dict.fromkeys([f"extra_vars: {fault}"] if fault else _variables(extra_vars, "extra_vars"))
    for path, text in files.items():
        found |= dict.fromkeys(_file(path, text))
    return tuple(found)


def _file(path: str, text: str) -> Iterator[str]:
    place = PurePosixPath(path)
    for folder in place.parts[:-1]:
        if _PLUGIN_FOLDER.fullmatch(folder):
            yield f"{path}: Ansible loads programs from a folder called {folder}"
            return
    documents, fault = _documents(place, text)
    if fault:
        yield f"{path}: {fault}"
        return
    structured = [document for document in documents if isinstance(document, dict | list)]
    if not structured and re.search(r"(?m)^[^\S\n]*-", text) and place.suffix in _INI_ENDINGS:
        yield f"{path}: a host name that starts with a dash"
    yield from _text(text, path)
    if place.suffix in _INI_ENDINGS:
        yield from _assigned(text, path)
    for document in structured:
        yield from _variables(document, path)
        if isinstance(document, list):
            yield from _tasks(document, path)


def _documents(place: PurePosixPath, text: str) -> tuple[list[Any], str | None]:
    """The YAML documents of a file that Ansible reads as YAML, or why they can't be examined."""
    if place.suffix not in _YAML_ENDINGS:
        return [], None
    if len(text) > YAML_CHARS:
        return [], f"{len(text):,} characters of YAML are too much to examine"
    try:
        documents = list(yaml.load_all(text, Loader=_Loader))
    except (yaml.YAMLError, RecursionError, ValueError):
        return [], "not YAML that can be examined" if place.suffix else None
    return documents, _unfathomable(documents)


def _assigned(text: str, path: str) -> Iterator[str]:
    """Connection variables set as `name=value`."""
    for match in _ASSIGNED.finditer(text):
        yield from _connection(match[1], match[2].strip("\"'"), path)


def _tasks(items: Any, path: str) -> Iterator[str]:
    """A list of plays or tasks."""
    if not isinstance(items, list):
        yield f"{path}: tasks that are no list"
        return
    for item in items:
        if not isinstance(item, dict):
            yield f"{path}: {str(item)[:60]!r} is no task"
            continue
        play = "hosts" in item or "import_playbook" in item
        for key, value in item.items():
            yield from _keyword(str(key), value, play, path)


def _keyword(key: str, value: Any, play: bool, path: str) -> Iterator[str]:
    name = key.removeprefix("ansible.builtin.").removeprefix("ansible.legacy.")
    if name in _TASK_LISTS:
        yield from _tasks(value or [], path)
    elif name in _INCLUDES:
        yield from _included(value, path, name)
    elif key in _KEYWORD_VALUES:
        if str(value) not in _KEYWORD_VALUES[key]:
            yield f"{path}: {key}: {str(value)[:60]}"
    elif key not in (_PLAY_KEYWORDS if play else _TASK_KEYWORDS):
        if name in _READERS and not play:
            yield f"{path}: {name} {MAY_SHOW}"
        elif play or name not in _MODULES:
            yield f"{path}: {key[:60]} {MAY_ACT}"
        else:
            yield from _arguments(name, value, path)
    yield from _names(key, value, path)


def _names(key: str, value: Any, path: str) -> Iterator[str]:
    """Variables a task sets."""
    if key == "register" and str(value).startswith("ansible_"):
        yield f"{path}: registers {value}"
    if key == "loop_control" and "ansible_" in str(value):
        yield f"{path}: a loop variable called ansible_…"


def _arguments(module: str, value: Any, path: str) -> Iterator[str]:
    """A template is rendered here, and a fact may set what a connection runs: both must be readable in full."""
    if module in ("template", "set_fact") and not isinstance(value, dict):
        yield f"{path}: {module} with arguments in one string"
    elif module == "template":
        yield from _included(value.get("src"), path, "template", any_ending=True)
    elif module == "copy" and not (isinstance(value, dict) and _is_beside(value.get("src", "inside"))):
        yield f"{path}: copy of {str(value)[:60]!r} {MAY_SHOW}"
    elif module == "find" and "contains" in str(value):
        yield f"{path}: find by content {MAY_SHOW}"
    elif isinstance(value, str) and _LOOKUP.search(value):
        yield f"{path}: {module} of {value[:60]!r}"


def _is_beside(source: Any) -> bool:
    """Whether a file to copy lies in the playbook's or role's own folder."""
    name = _OWN_FOLDER.sub("", str(source), count=1)
    return not name.startswith(("/", "~")) and not re.search(r"(?:^|/)\.|\{[{%]", name)


def _included(value: Any, path: str, name: str, *, any_ending: bool = False) -> Iterator[str]:
    """What is included must lie in the examined folder, under a name that was read as YAML."""
    if isinstance(value, dict):
        for part in ("file", "role", "name", "tasks_from", "vars_from", "dir", "src"):
            # a bare role, tasks_from or dir names something inside the folder: its ending isn't given
            if part in value:
                yield from _included(value[part], path, name, any_ending=any_ending or part != "file")
        if name in ("roles", "role") and not {"role", "name"} & value.keys():
            yield f"{path}: a role without a name"
        return
    if isinstance(value, list):
        for part in value:
            yield from _included(part, path, name, any_ending=any_ending)
        return
    text = str(value)
    outside = text.startswith(("/", "~")) or re.search(r"(?:^|/)\.|\{\{|=", text) is not None
    ending_known = any_ending or name in ("roles", "role") or text.endswith((".yml", ".yaml", ".json"))
    if outside or not ending_known:
        yield f"{path}: {name} of {text[:80]!r}, which isn't examined"


def _variables(value: Any, path: str) -> Iterator[str]:
    """Connection variables, module arguments and templates, at any depth."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            name = str(key)
            if "{{" in name or name.startswith("-"):
                yield f"{path}: a name that is a template or an option: {name[:60]!r}"
            if name in _ARGUMENTS:
                yield f"{path}: {name}"
            if name in _EXPRESSIONS and _LOOKUP.search(str(item)):
                yield f"{path}: a lookup in {name}"
            if name.startswith("ansible_"):
                yield from _connection(name, str(item), path)
            yield from _variables(item, path)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _variables(item, path)
    elif isinstance(value, str):
        yield from _text(value, path)
        yield from _assigned(value, path)


def _connection(name: str, value: str, path: str) -> Iterator[str]:
    allowed = _CONNECTION_VARIABLES.get(name)
    if allowed is None or not re.fullmatch(allowed, value):
        yield f"{path}: {name} = {value[:60]!r}"


def _text(text: str, path: str) -> Iterator[str]:
    # from the first opening to the last closing brace: a closing one inside quotes mustn't end the search early
    opening, end = _OPENING.search(text), max(text.rfind("}}"), text.rfind("%}"))
    if opening and opening.start() < end and _LOOKUP.search(text, opening.start(), end):
        yield f"{path}: a lookup in a template"
    if match := _SSH.search(text):
        yield f"{path}: {match[0]}"


def _unfathomable(value: Any) -> str | None:
    """Why a value can't be walked in bounded time (aliases of aliases, an anchor inside itself), or None."""
    count, ahead = 0, [(value, 0)]
    while ahead:
        item, depth = ahead.pop()
        count += 1
        if count > MAX_VALUES or depth > MAX_DEPTH:
            return f"more than {MAX_VALUES:,} values or {MAX_DEPTH} levels, with its aliases: too much to examine"
        if isinstance(item, Mapping):
            ahead += [(inner, depth + 1) for inner in item.values()]
        elif isinstance(item, list | tuple):
            ahead += [(inner, depth + 1) for inner in item]
    return None


class _Loader(BoundedLoader):
    """Reads Ansible's YAML: its own tags become text."""


def _tagged(loader: yaml.SafeLoader, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    raise yaml.constructor.ConstructorError(None, None, "a tagged collection", node.start_mark)


_Loader.add_multi_constructor("!", _tagged)
