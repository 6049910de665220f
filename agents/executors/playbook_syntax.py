"""`ansible-playbook --syntax-check`, where it is only that.

Loading a playbook can run programs: plugins beside it, an `ansible.cfg`, a `lookup('pipe', …)` in an import. So the
folder is examined first, and what was examined is checked in a private copy: nothing another process writes meanwhile
is ever loaded.
"""

import asyncio
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from agents.domain.errors import MissingBinary, ToolError
from agents.executors.places import printable
from agents.executors.process import Finished, Processes, base_environment
from agents.executors.workspace import Workspace

MAX_FILES = 200
MAX_BYTES = 1 << 20
_PROJECT = Path(__file__).resolve().parents[2]
_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from agents.executors.playbook_dangers import main; main()"
_COPIED = (".yml", ".yaml", ".json", ".j2", ".ini", ".cfg", "")
_LINT_SETTINGS = "profile: shared\nskip_list: [name, fqcn, yaml, schema]\n"
_CONFIG = """\
[defaults]
nocows = True
nocolor = True
localhost_warning = False
deprecation_warnings = False
home = {private}/home
local_tmp = {private}/home
roles_path = {private}/none
collections_path = {private}/none
library = {private}/none
vars_plugins = {private}/none
[inventory]
enable_plugins = host_list
"""


@dataclass(frozen=True, slots=True)
class PlaybookFindings:
    """What Ansible says is wrong, why it was not asked ("": it was), and what ansible-lint would do better."""

    problems: tuple[str, ...] = ()
    skipped: str = ""
    advice: tuple[str, ...] = ()


class PlaybookSyntax:
    """Checks playbooks of a workspace; private copies lie below `home`."""

    def __init__(self, workspace: Workspace, processes: Processes, home: Path) -> None:
        self._workspace = workspace
        self._processes = processes
        self._home = home

    async def check(self, name: str, timeout: float) -> PlaybookFindings:
        """What Ansible, and ansible-lint where it is installed, say of the playbook. `timeout` is for each."""
        folder = str(PurePosixPath(name).parent)
        files = await asyncio.to_thread(self._examined, folder)
        if files is None:
            return PlaybookFindings(skipped=f"too many files in {folder}/ to examine before Ansible loads them")
        left_out = await self._dangerous(files, timeout)
        if left_out is None:
            return PlaybookFindings(skipped=f"{folder}/ could not be examined before Ansible loads it")
        if name in left_out:
            return PlaybookFindings(skipped=f"loading it could run programs ({printable(left_out[name])})")
        private = Path(tempfile.mkdtemp(prefix="syntax-", dir=self._home)).resolve()
        try:
            copied = {beside: text for beside, text in files.items() if beside not in left_out}
            await asyncio.to_thread(_copy, private, copied)
            return await self._checked(private, name, left_out, timeout)
        finally:
            shutil.rmtree(private, ignore_errors=True)

    async def _checked(self, private: Path, name: str, left_out: Iterable[str], timeout: float) -> PlaybookFindings:
        argv = ["ansible-playbook", "--syntax-check", "-i", "localhost,", str(private / name)]
        finished = await self._run(private, argv, timeout)
        if finished.timed_out:
            return PlaybookFindings(skipped=f"stopped after {timeout:g} s")
        if finished.exit_code == 0:
            return PlaybookFindings(advice=await self._advice(private, name, timeout))
        said = complaint(f"{finished.stderr}\n{finished.stdout}".replace(f"{private}/", ""))
        for beside in left_out:
            if PurePosixPath(beside).name in said:
                why = f"it needs {printable(beside)}, and loading that could run programs"
                return PlaybookFindings(skipped=why)
        return PlaybookFindings((said,))

    async def _advice(self, private: Path, name: str, timeout: float) -> tuple[str, ...]:
        """What ansible-lint says, where it is installed: it is no part of the product."""
        settings = private / "ansible-lint.yml"
        settings.write_text(_LINT_SETTINGS, encoding="utf-8")
        argv = ["ansible-lint", "--offline", "--nocolor", "-q", "-c", str(settings), "-f", "codeclimate", name]
        try:
            finished = await self._run(private, argv, timeout)
        except MissingBinary:
            return ()
        if finished.timed_out:
            return (f"ansible-lint was stopped after {timeout:g} s",)
        return advice(finished.stdout)

    async def _dangerous(self, files: dict[str, str], timeout: float) -> dict[str, str] | None:
        """Name → why loading that file could run something; None: nobody could tell."""
        argv = [sys.executable, "-I", "-c", _PROGRAM, str(_PROJECT)]
        env = base_environment(self._home)
        stdin = json.dumps(files).encode()
        finished = await self._processes.run(argv, cwd=self._home, env=env, timeout=timeout, stdin=stdin)
        try:
            return dict(json.loads(finished.stdout))
        except ValueError:
            return None

    async def _run(self, private: Path, argv: list[str], timeout: float) -> Finished:
        env = base_environment(private / "home") | {
            "ANSIBLE_CONFIG": str(private / "ansible.cfg"),
            "ANSIBLE_HOME": str(private / "home"),
            "ANSIBLE_LOCAL_TEMP": str(private / "home"),
        }
        return await self._processes.run(argv, cwd=private, env=env, timeout=timeout)

    def _examined(self, folder: str) -> dict[str, str] | None:
        """Name → text of what a playbook in `folder` may load; None: too much."""
        entries = list(islice(self._workspace.entries(folder), MAX_FILES * 5))
        wanted = [e for e in entries if e.kind == "file" and PurePosixPath(str(e.place)).suffix in _COPIED]
        if len(wanted) > MAX_FILES or sum(e.size for e in wanted) > MAX_BYTES or len(entries) == MAX_FILES * 5:
            return None
        found: dict[str, str] = {}
        for entry in wanted:
            name = str(entry.place)
            with suppress(ToolError):  # linked or gone: it isn't copied
                text = self._workspace.read(name).text
                if text is not None and not name.endswith("ansible.cfg"):
                    found[name] = text
        return found


def _copy(private: Path, files: dict[str, str]) -> None:
    (private / "home").mkdir()
    (private / "ansible.cfg").write_text(_CONFIG.format(private=private), encoding="utf-8")
    for name, text in files.items():
        target = private / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def advice(output: str) -> tuple[str, ...]:
    """ansible-lint's findings, as `line 3: no-changed-when: …`."""
    try:
        issues = json.loads(output)
        return tuple(
            f"line {_line(issue['location'])}: {issue['check_name']}: {issue['description']}" for issue in issues
        )
    except (ValueError, KeyError, TypeError):
        return ("ansible-lint gave no answer that can be read",)


def _line(location: dict[str, Any]) -> int:
    begin = location["positions"]["begin"]["line"] if "positions" in location else location["lines"]["begin"]
    return int(begin)


def complaint(output: str) -> str:
    """Ansible's error in one line, with the place it names."""
    text = re.sub(r"(?m)^\[?WARNING\]?:.*$", "", output)
    match = re.search(r"(?s)(?:\[ERROR\]|ERROR!)[: ]\s*(.*)", text)
    lines = [line.strip() for line in (match[1] if match else text).splitlines()]
    kept = [line for line in lines if line and not re.match(r"\^|The offending line|There appears|\d+ ", line)]
    return " ".join(kept)[:500] or "it does not load"
