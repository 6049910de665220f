"""Instant lint: what a file's parser says, in the same answer that says it was saved. It never blocks the save."""

import asyncio
import json
import re
import sys
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from agents.domain.errors import MissingBinary, ToolError
from agents.executors import syntax, syntax_infra
from agents.executors.places import printable
from agents.executors.playbook_syntax import PlaybookSyntax
from agents.executors.process import Processes, base_environment
from agents.executors.terraform import Terraform
from agents.executors.workspace import Workspace

LINT_SECONDS = 20.0
PARSE_SECONDS = 6.0
LINTED_CHARS = 256 * 1024
SHOWN_PROBLEMS = 12
_UNINITIALISED = re.compile(r"Missing required provider|Module not installed|terraform init")
_PROJECT = Path(__file__).resolve().parents[2]
_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from agents.executors.syntax import main; main()"


@dataclass(frozen=True, slots=True)
class Report:
    """What one linter says. `label` names it; `skipped`: why it did not run, or did not finish.

    `advice` is no fault: a better way to say the same.
    """

    label: str
    problems: tuple[str, ...] = ()
    skipped: str = ""
    advice: tuple[str, ...] = ()


class Lint:
    """Runs the linters a file's name and text call for. `home` is their home directory: ours, and empty."""

    def __init__(
        self,
        workspace: Workspace,
        processes: Processes,
        home: Path,
        *,
        modules: Terraform | None = None,
        seconds: float = LINT_SECONDS,
    ) -> None:
        self._workspace = workspace
        self._processes = processes
        self._home = home
        self._playbooks = PlaybookSyntax(workspace, processes, home)
        self._modules = modules
        self._seconds = seconds

    async def check(self, name: str, text: str) -> str:
        """The verdict on the file just saved as `name` with `text`; "" where no linter knows such files."""
        if not _known(name, text):
            return ""
        if len(text) > LINTED_CHARS:
            return f"lint: not run, {len(text):,} characters are more than it reads"
        try:
            return _told(await self._reports(name, text))
        except ToolError as error:  # the file is saved: what keeps a linter from running must not look otherwise
            return f"lint not done: {error}"

    async def _reports(self, name: str, text: str) -> list[Report]:
        reports, playbook = await self._parsed(name, text)
        work: list[Awaitable[Report]] = []
        if syntax.is_shell(name, text):
            work.append(self._shell(text))
        if name.endswith((".tf", ".tfvars")):
            work.append(self._terraform(name, text))
        if playbook:
            work.append(self._guarded("ansible-playbook --syntax-check", self._playbook(name)))
        reports += await asyncio.gather(*work)
        if name.endswith(".tf") and not any(report.problems for report in reports):
            reports += await self._module(name, text)
        return reports

    async def _parsed(self, name: str, text: str) -> tuple[list[Report], bool]:
        """What our own parsers say, and whether it is a playbook that Ansible may look at."""
        request = json.dumps({"name": name, "text": text}).encode()
        argv = [sys.executable, "-I", "-c", _PROGRAM, str(_PROJECT)]
        finished = await self._processes.run(
            argv, cwd=self._home, env=base_environment(self._home), timeout=PARSE_SECONDS, stdin=request
        )
        if finished.timed_out:
            return [Report("parser", skipped=f"stopped after {PARSE_SECONDS:g} s without an end")], False
        try:
            answer = json.loads(finished.stdout)
        except ValueError:
            why = printable(
                finished.stderr.strip().splitlines()[-1][:200] if finished.stderr.strip() else "no answer"
            )
            return [Report("parser", skipped=f"crashed (exit code {finished.exit_code}): {why}")], False
        reports = [Report(", ".join(answer["ran"]), tuple(answer["problems"]))] if answer["ran"] else []
        reports += [Report("parser", skipped=f"broke off: {fault}") for fault in answer["broken"]]
        return reports, bool(answer["playbook"])

    async def _shell(self, text: str) -> Report:
        return await self._guarded("bash -n", self._bash(text))

    async def _bash(self, text: str) -> Report:
        finished = await self._processes.run(
            ["bash", "--norc", "--noprofile", "-n"],
            cwd=self._home,
            env=base_environment(self._home),
            timeout=self._seconds,
            stdin=text.encode(),
        )
        if finished.timed_out:
            return Report("bash -n", skipped=f"stopped after {self._seconds:g} s")
        lines = [re.sub(r"^bash: (line \d+)", r"\1", line) for line in finished.stderr.splitlines() if line.strip()]
        if finished.exit_code and not lines:
            return Report("bash -n", skipped=f"crashed (exit code {finished.exit_code})")
        return Report("bash -n", tuple(lines))

    async def _terraform(self, name: str, text: str) -> Report:
        return await self._guarded("terraform fmt", self._formatted(text))

    async def _formatted(self, text: str) -> Report:
        """Terraform's own parser on the text; it opens no file and starts no provider."""
        config = self._home / "terraform.rc"
        config.write_text("disable_checkpoint = true\n", encoding="utf-8")
        env = base_environment(self._home) | {"TF_CLI_CONFIG_FILE": str(config), "CHECKPOINT_DISABLE": "1"}
        finished = await self._processes.run(
            ["terraform", "fmt", "-no-color", "-"],
            cwd=self._home,
            env=env,
            timeout=self._seconds,
            stdin=text.encode(),
        )
        if finished.timed_out:
            return Report("terraform fmt", skipped=f"stopped after {self._seconds:g} s")
        if finished.exit_code:
            return Report("terraform fmt", tuple(hcl_complaints(finished.stderr)) or ("does not parse",))
        if not finished.truncated and finished.stdout != text:
            return Report("terraform fmt (parses; run_terraform fmt would lay it out otherwise)")
        return Report("terraform fmt")

    async def _playbook(self, name: str) -> Report:
        found = await self._playbooks.check(name, self._seconds)
        return Report("ansible-playbook --syntax-check", found.problems, found.skipped, found.advice)

    async def _module(self, name: str, text: str) -> list[Report]:
        """What only the whole module tells."""
        module = str(PurePosixPath(name).parent)
        reports = []
        if syntax_infra.uses_proxmox(text) and not await asyncio.to_thread(self._proxmox_sourced, module):
            fault = (
                f'{module} names no source for provider "proxmox", so Terraform looks for hashicorp/proxmox, which '
                'does not exist; add to required_providers: proxmox = { source = "bpg/proxmox" }'
            )
            reports.append(Report("Terraform module", (fault,)))
        elif self._modules is not None and name.startswith("infra/"):
            reports.append(await self._guarded("terraform validate", self._validated(self._modules, module)))
        return reports

    def _proxmox_sourced(self, module: str) -> bool:
        for entry in self._workspace.entries(module):
            beside = entry.kind == "file" and str(PurePosixPath(str(entry.place)).parent) == module
            if beside and str(entry.place).endswith(".tf"):
                with suppress(ToolError):  # linked or gone
                    if syntax_infra.names_proxmox_source(self._workspace.read(str(entry.place)).text or ""):
                        return True
        return False

    async def _validated(self, modules: Terraform, module: str) -> Report:
        answer = await modules.validate(module, timeout=self._seconds)
        if _UNINITIALISED.search(answer.text):
            return Report("terraform validate", skipped=f"run_terraform with action init for {module} first")
        # the first line only says that it is not valid
        return Report("terraform validate", () if answer.ok else tuple(answer.text.splitlines()[1:]))

    async def _guarded(self, label: str, work: Awaitable[Report]) -> Report:
        """A linter that can't run says so, and is never taken for one that found nothing."""
        try:
            return await work
        except MissingBinary as error:
            return Report(label, skipped=str(error))
        except ToolError as error:
            return Report(label, skipped=f"did not finish: {error}")


def hcl_complaints(stderr: str) -> list[str]:
    """`line 3: Unsupported block type: …` of each diagnostic Terraform printed."""
    found = []
    for block in re.split(r"(?m)^Error: ", stderr)[1:]:
        lines = [line.strip() for line in block.strip().splitlines()]
        place = re.search(r"on \S+ line (\d+)", block)
        detail = [line for line in lines[1:] if line and not re.match(r"on \S+ line \d+|\d+:|\^", line)]
        found.append(
            (f"line {place[1]}: " if place else "") + ": ".join([lines[0], " ".join(detail)[:300]]).strip(": ")
        )
    return found


def _known(name: str, text: str) -> bool:
    """Whether any linter may have something to say; decided by the name and first line alone."""
    head = text[:200]
    return syntax.is_shell(name, head) or any(
        form.applies(name, head) for form in syntax.FORMATS if form.label != "Kubernetes"
    )


def _told(reports: Sequence[Report]) -> str:
    problems = [problem for report in reports for problem in report.problems]
    clean = [report.label for report in reports if not report.problems and not report.skipped]
    lines = []
    if problems:
        lines.append(f"lint: {len(problems)} problem{'s' * (len(problems) > 1)}")
        lines += [f"- {printable(problem)}" for problem in problems[:SHOWN_PROBLEMS]]
        if len(problems) > SHOWN_PROBLEMS:
            lines.append(f"- … and {len(problems) - SHOWN_PROBLEMS} more")
    elif clean:
        lines.append(f"lint ok: {', '.join(clean)}")
    lines += [f"advice: {printable(line)}" for report in reports for line in report.advice[:SHOWN_PROBLEMS]]
    lines += [f"lint not done: {report.label}: {report.skipped}" for report in reports if report.skipped]
    return "\n".join(lines)
