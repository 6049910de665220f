"""Terraform: one module at a time, applied only from a saved plan that is still the one that was shown.

Everything a run trusts lies in `state_dir`, out of the agents' reach: plan files and their hashes, provider
binaries (TF_DATA_DIR), the CLI configuration and HOME. The module's folder holds configuration and nothing that
Terraform would execute unasked.
"""

import asyncio
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.domain.errors import InvalidArguments, ToolError, ToolTimeout
from agents.domain.mission import Verdict
from agents.domain.redaction import SecretMask
from agents.executors import plan_identity, plan_summary, terraform_commands, terraform_hazards
from agents.executors.plan_summary import SENSITIVE, PlanSummary
from agents.executors.process import Finished, Processes, base_environment
from agents.executors.terraform_commands import DETAILED_CHANGES, command
from agents.executors.terraform_modules import Module, SavedPlan, held
from agents.executors.workspace import Workspace

CLI_CONFIG_FILE = "TF_CLI_CONFIG_FILE"
LOCK_WAIT = 20.0  # seconds a plan or init waits for another run in the module; an apply doesn't wait
_MAY_ACT = "may run programs (data external) or read outside its module (file(), module sources, the state's path)"
_QUIET: dict[str, Any] = {"flags": ("no_color",), "input": False}


@dataclass(frozen=True, slots=True)
class Answer:
    """What an action says: `text` for the model, `raw` what Terraform printed."""

    text: str
    raw: str = ""
    ok: bool = True
    summary: PlanSummary | None = None


class Terraform:
    """Runs Terraform in the modules of a workspace.

    `variables` are the operator's infrastructure variables (TF_VAR_*, PROXMOX_*, TF_CLI_CONFIG_FILE …): besides
    them nothing of our own environment reaches Terraform. Every method raises PathEscape or InvalidArguments for a
    bad module, MissingBinary, ToolTimeout, and ToolError with Terraform's complaint and the next step.
    """

    def __init__(
        self,
        processes: Processes,
        workspace: Workspace,
        state_dir: Path,
        *,
        variables: Mapping[str, str] | None = None,
        binary: str = "terraform",
    ) -> None:
        self._processes = processes
        self._workspace = workspace
        self._state = state_dir / "terraform"
        self._variables = dict(variables or {})
        if not Path(self._variables.get(CLI_CONFIG_FILE, "")).is_file():
            self._variables.pop(CLI_CONFIG_FILE, None)  # Terraform would go on without any, ours included
        self._binary = binary

    async def init(self, module: str, *, holder: str, timeout: float) -> Answer:
        """Fetch providers and modules, set the backend up."""
        place = self._module(module)
        async with held(place, holder, LOCK_WAIT):
            done = await self._run(place, command(self._binary, "init", **_QUIET), timeout)
        return Answer(f"{place.shown} is initialised.\n{_last_lines(done.stdout, 6)}", done.stdout)

    async def validate(self, module: str, *, timeout: float) -> Answer:
        """Check the configuration without touching anything."""
        place = self._module(module)
        argv = command(self._binary, "validate", flags=("json", "no_color"))
        done = await self._run(place, argv, timeout, accept=(0, 1))
        report = _json(done, "validate")
        lines = [_diagnostic(place, item) for item in report.get("diagnostics", ())]
        text = f"{place.shown} is {'valid' if report.get('valid') else 'not valid'}."
        if advice := terraform_commands.hint(" ".join(lines)):
            lines.append(advice)
        return Answer("\n".join([text, *lines]), done.stdout, ok=bool(report.get("valid")))

    async def fmt(self, module: str, *, timeout: float) -> Answer:
        """Rewrite the module's files in canonical form."""
        place = self._module(module)
        done = await self._run(place, command(self._binary, "fmt", flags=("diff", "no_color")), timeout)
        return Answer(done.stdout.strip() or "Already in canonical form.", done.stdout)

    async def providers(self, module: str, *, timeout: float) -> Answer:
        """The providers the module and its state need."""
        place = self._module(module)
        done = await self._run(place, command(self._binary, "providers", flags=("no_color",)), timeout)
        return Answer(done.stdout.strip(), done.stdout)

    async def plan(
        self,
        module: str,
        *,
        holder: str,
        timeout: float,
        destroy: bool = False,
        targets: Sequence[str] = (),
        var_file: str | None = None,
    ) -> Answer:
        """Plan, save the plan as the one an apply takes, and summarise it."""
        place = self._module(module)
        options: dict[str, Any] = {"target": [terraform_commands.address(target) for target in targets]}
        if var_file is not None:
            options["var_file"] = self._var_file(var_file)
        async with held(place, holder, LOCK_WAIT):
            place.forget()
            flags = ("no_color", "detailed_exitcode", *(("destroy",) if destroy else ()))
            argv = command(self._binary, "plan", flags=flags, input=False, out=place.plan, **options)
            done = await self._run(place, argv, timeout, accept=(0, DETAILED_CHANGES))
            show = await self._show(place, timeout, place.plan)
            summary = plan_summary.summarise(show)
            mask = SecretMask(plan_summary.secrets(show))
            place.save(
                summary,
                identity=plan_identity.identity(show, self._key()),
                facts=plan_identity.facts(show),
                text=mask.text(summary.text()),
                told=mask.text(done.stdout),
            )
        next_step = (
            "Nothing to apply." if summary.empty else "Saved: action apply in this module applies this very plan."
        )
        return Answer(mask.text(f"{summary.text()}\n{next_step}"), mask.text(done.stdout), summary=summary)

    def saved(self, module: str) -> SavedPlan | None:
        """The plan an apply of `module` would take now, or None."""
        return self._module(module).saved()

    def hazards(self, module: str) -> tuple[str, ...]:
        """The files because of which a mere plan of `module` may run programs or read this machine's files."""
        place = self._module(module)
        files = dict(self._configuration(place.shown))
        if any("../" in text for text in files.values()):  # modules elsewhere under infra/
            files = dict(self._configuration("infra"))
        found = [name for name, text in files.items() if terraform_hazards.hazards(text, str(Path(name).parent))]
        modules = place.private / "data/modules"
        for file in modules.rglob("*.tf*"):
            # as if `modules` were infra/: what a downloaded module uses must have been downloaded with it
            folder = Path("infra") / file.relative_to(modules).parent
            if file.is_file() and terraform_hazards.hazards(file.read_text("utf-8", "replace"), str(folder)):
                found.append(f"downloaded {file.name}")
        return tuple(found)

    async def apply(self, module: str, *, holder: str, timeout: float, identity: str | None = None) -> Answer:
        """Apply the saved plan, once. Raise Refused if there is none, it was altered, or another run is at work.

        `identity`: that of the plan that was approved, and no other is applied.
        """
        place = self._module(module)
        async with held(place, holder, 0):
            with tempfile.TemporaryDirectory(prefix="apply-", dir=place.private) as private:
                copy = Path(private) / "plan"
                # used up whatever happens: after half an apply the plan describes a state that is gone
                saved = place.take(copy, identity)
                done = await self._run(place, command(self._binary, "apply", str(copy), **_QUIET), timeout)
        text = _last_lines(done.stdout, 40)
        return Answer(f"Applied the plan of {saved.made} ({saved.headline}).\n{text}", done.stdout)

    async def show(self, module: str, *, timeout: float) -> Answer:
        """The saved plan if there is one, else the state."""
        place = self._module(module)
        if (saved := place.saved()) is not None:
            show = await self._show(place, timeout, place.plan)
            text = f"Saved plan of {saved.made}.\n{plan_summary.summarise(show).text()}"
            return Answer(SecretMask(plan_summary.secrets(show)).text(text))
        resources, mask = await self._state_of(place, timeout)
        return Answer(mask.text(_as_json(resources)) if resources else "The state is empty: nothing is applied yet.")

    async def state_list(self, module: str, *, timeout: float) -> Answer:
        """The addresses in the state."""
        resources, _ = await self._state_of(self._module(module), timeout)
        return Answer("\n".join(resources) or "The state is empty: nothing is applied yet.")

    async def state_show(self, module: str, address: str, *, timeout: float) -> Answer:
        """One resource of the state, sensitive values masked."""
        terraform_commands.address(address)
        resources, mask = await self._state_of(self._module(module), timeout)
        if address not in resources:
            raise ToolError(f"the state has no {address}; it has: {', '.join(resources) or 'nothing'}")
        return Answer(mask.text(f"{address}:\n{_as_json(resources[address])}"))

    async def output(self, module: str, name: str | None, *, timeout: float) -> Answer:
        """The module's outputs, or one; sensitive values masked."""
        place = self._module(module)
        done = await self._run(place, command(self._binary, "output", flags=("json", "no_color")), timeout)
        found = _json(done, "output").items()
        outputs = {key: SENSITIVE if item.get("sensitive") else item.get("value") for key, item in found}
        if name is None:
            return Answer(
                _as_json(outputs) if outputs else "No outputs: none is declared, or nothing is applied yet."
            )
        if terraform_commands.output_name(name) not in outputs:
            raise ToolError(f"there is no output {name}; there are: {', '.join(outputs) or 'none'}")
        return Answer(f"{name} = {_as_json(outputs[name])}")

    async def clean(self, module: str, *, timeout: float = 120) -> tuple[Verdict, str]:
        """Whether a plan of `module` made now would be empty. Leaves the saved plan alone."""
        try:
            place = self._module(module)
            if found := await asyncio.to_thread(self.hazards, module):
                return Verdict.UNKNOWN, f"a plan of it {_MAY_ACT}: {', '.join(found)}"
            with tempfile.TemporaryDirectory(prefix="clean-", dir=place.private) as private:
                out = Path(private) / "plan"
                flags = ("no_color", "detailed_exitcode")
                # no lock: it may run beside an apply, whose own state lock would fail it otherwise
                argv = command(self._binary, "plan", flags=flags, input=False, out=out, lock=False)
                await self._run(place, argv, timeout, accept=(0, DETAILED_CHANGES))
                show = await self._show(place, timeout, out)
        except ToolError as error:
            return Verdict.UNKNOWN, str(error)
        summary = plan_summary.summarise(show)
        evidence = SecretMask(plan_summary.secrets(show)).text(summary.text())
        if not summary.empty:
            return Verdict.FAIL, evidence
        if summary.errored or not summary.complete or summary.failed_checks:
            return Verdict.UNKNOWN, evidence
        return Verdict.PASS, f"the plan of {place.shown} is empty"

    def _module(self, module: str) -> Module:
        """The module's folders, made where they are ours. Raise PathEscape or InvalidArguments."""
        shown = self._workspace.shown(module)
        if shown != "infra" and not shown.startswith("infra/"):
            raise InvalidArguments(f"module {shown!r} is not under infra/: name a folder such as infra/site")
        directory = self._workspace.host_path(shown)
        if not directory.is_dir():
            raise InvalidArguments(f"module {shown!r} is a file: name the folder that holds the .tf files")
        if not any(file.name.endswith((".tf", ".tf.json")) for file in directory.iterdir()):
            raise InvalidArguments(f"module {shown!r} holds no .tf file")
        if (directory / "terraform.d").exists() or (directory / "terraform.d").is_symlink():
            raise InvalidArguments(
                f"module {shown!r} holds terraform.d/, whose programs Terraform would run: delete it"
            )
        private = self._state / hashlib.sha256(shown.encode()).hexdigest()[:24]
        for folder in (self._state, self._state / "home", private):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Module(shown, directory, private)

    def _configuration(self, folder: str) -> Iterator[tuple[str, str]]:
        """Path → text of the configuration below a folder; what can't be examined counts as hiding something."""
        for entry in self._workspace.entries(folder):
            path = str(entry.place)
            if entry.kind == "file" and path.endswith((".tf", ".tf.json")):
                yield path, self._workspace.read(path).raw.decode("utf-8", "replace")
            elif entry.kind == "link":
                yield path, "external"

    def _var_file(self, path: str) -> Path:
        """The variables file. Raise InvalidArguments where its name can't be right."""
        shown = self._workspace.shown(path)
        if shown.endswith(".tf"):
            raise InvalidArguments(
                f"{shown} ends in .tf, so Terraform reads it as configuration: call it "
                f"{shown.removesuffix('.tf').removesuffix('.vars')}.tfvars"
            )
        return self._workspace.host_path(shown)

    def _key(self) -> bytes:
        """The secret that keys the identities of plans."""
        file = self._state / "identity.key"
        if not file.is_file():
            fresh = file.with_name(f"identity.key.{secrets.token_hex(4)}")
            fresh.touch(0o600)
            fresh.write_bytes(secrets.token_bytes(32))
            with suppress(FileExistsError):
                os.link(fresh, file)  # of two processes at once, one wins
            fresh.unlink()
        return file.read_bytes()

    def shown(self, module: str) -> str:
        """The one name of the module. Raise PathEscape, InvalidArguments."""
        return self._module(module).shown

    async def _show(self, place: Module, timeout: float, *plan: Path) -> dict[str, Any]:
        """`show -json` of a plan, or of the state."""
        argv = command(self._binary, "show", *map(str, plan), flags=("json", "no_color"))
        return _json(await self._run(place, argv, timeout), "show")

    async def _state_of(self, place: Module, timeout: float) -> tuple[dict[str, Any], SecretMask]:
        show = await self._show(place, timeout)
        return plan_summary.state_resources(show), SecretMask(plan_summary.secrets(show))

    async def _run(self, place: Module, argv: list[str], timeout: float, accept: Sequence[int] = (0,)) -> Finished:
        """Run in the module. Raise ToolTimeout, or ToolError with the complaint and the next step."""
        config = self._state / "terraform.rc"
        config.write_text(terraform_commands.CLI_CONFIG, encoding="utf-8")
        env = terraform_commands.environment(
            base_environment(self._state / "home"),
            data_dir=place.private / "data",
            cli_config=config,
            variables=self._variables,
        )
        done = await self._processes.run(argv, cwd=place.directory, env=env, timeout=timeout)
        action = argv[1]
        if done.timed_out:
            after = "; what it did until then is unknown: plan again to see" if action == "apply" else ""
            raise ToolTimeout(f"terraform {action} in {place.shown} was killed after {timeout:g} s{after}")
        if done.exit_code not in accept:
            said = (done.stderr.strip() or done.stdout.strip()).replace(str(place.directory), place.shown)
            advice = terraform_commands.hint(said)
            raise ToolError(
                f"terraform {action} in {place.shown} failed (exit code {done.exit_code}).\n"
                + (f"{advice}\n" if advice else "")
                + said
            )
        return done


def _json(done: Finished, what: str) -> dict[str, Any]:
    """The JSON object a command printed. Raise ToolError if it is cut or none."""
    try:
        body = json.loads(done.stdout)
    except ValueError:
        why = "more than can be read at once" if done.truncated else "no JSON"
        raise ToolError(f"terraform {what} printed {why}: split the module or use targets") from None
    return dict(body)


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _diagnostic(place: Module, item: Mapping[str, Any]) -> str:
    """`infra/site/main.tf:2: error: Unsupported argument: …`"""
    where = item.get("range")
    at = f"{place.shown}/{where['filename']}:{where['start']['line']}: " if where else ""
    detail = " ".join(str(item.get("detail", "")).split())
    return f"{at}{item.get('severity')}: {item.get('summary')}" + (f": {detail}" if detail else "")


def _last_lines(text: str, count: int) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return "\n".join(lines[-count:])
