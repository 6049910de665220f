"""Terraform command lines, its environment, and what its errors mean. Pure.

python-terraform writes the command lines and nothing else: its own runner inherits the environment, and its
`apply` and `destroy` add flags today's Terraform refuses.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from agents.domain.errors import InvalidArguments

DETAILED_CHANGES = 2  # exit code of `plan -detailed-exitcode`: the plan isn't empty
CLI_CONFIG = """\
# Only the registry or the operator's own mirror provides providers: without this block Terraform would also run
# programs from `terraform.d/plugins` in the module's folder, which agents can write.
provider_installation {
  direct {}
}
disable_checkpoint = true
"""

_ADDRESS = re.compile(r"""[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*|\[(?:\d+|"[^"\\\x00-\x1f]*")\])*""")
_NAME = re.compile(r"[A-Za-z_][\w-]*")
_PROVIDER = r"(?P<source>[\w.-]+(?:/[\w.-]+){1,2})"
_UNRESOLVED = (
    re.compile(rf"Could not retrieve the list of available versions for provider {_PROVIDER}: (?P<why>.*)"),
    re.compile(rf"Could not query provider registry for {_PROVIDER}: (?P<why>.*)"),
    re.compile(rf"(?P<why>provider registry \S+ does not have a provider named) \S*?{_PROVIDER}"),
    re.compile(rf"Error while installing {_PROVIDER} \S+: (?P<why>.*)"),
)
_KNOWN_SOURCES = {"hashicorp/proxmox": "bpg/proxmox", "telmate/proxmox": "bpg/proxmox"}
_HINTS = (
    (re.compile(r"Saved plan is stale"), "The state changed since that plan was made: plan first, then apply."),
    (
        re.compile(
            r"Inconsistent dependency lock file|Required plugins are not installed|Module not installed|"
            r"Backend initialization required|run \"?terraform init|missing or corrupted provider plugins"
        ),
        "Run action init for this module first.",
    ),
    (
        re.compile(r"Error acquiring the state lock"),
        "Another Terraform run holds the state of this module: try later.",
    ),
    (re.compile(r"No value for required variable"), "Give the variable in a .tfvars file and pass it as var_file."),
)


def command(binary: str, words: str, *positional: str, flags: Sequence[str] = (), **options: object) -> list[str]:
    """A Terraform argv: `words` are command and subcommand; option names take `_` for `-`; lists repeat."""
    # imported here: 0.07 s that only those who use Terraform pay
    from python_terraform import IsFlagged
    from python_terraform import Terraform as CommandLines

    named = {**{flag: IsFlagged for flag in flags}, **options}
    lines = CommandLines(terraform_bin_path=binary, is_env_vars_included=False)
    return [str(part) for part in lines.generate_cmd_string(words, *positional, **named)]


def address(text: str) -> str:
    """`text` if it is a resource address. Raise InvalidArguments."""
    if not _ADDRESS.fullmatch(text):
        raise InvalidArguments(
            f"{text[:120]!r} is no resource address; write it as state_list shows it, such as "
            'terraform_data.page or module.web.terraform_data.node["a"]'
        )
    return text


def output_name(text: str) -> str:
    """`text` if an output can be called so. Raise InvalidArguments."""
    if not _NAME.fullmatch(text):
        raise InvalidArguments(f"{text[:120]!r} is no output name")
    return text


def environment(
    base: Mapping[str, str], *, data_dir: Path, cli_config: Path, variables: Mapping[str, str]
) -> dict[str, str]:
    """The whole environment of a Terraform process. `variables` (TF_VAR_*, provider credentials) come last."""
    return {
        **base,
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        "CHECKPOINT_DISABLE": "1",
        "TF_CLI_CONFIG_FILE": str(cli_config),
        **variables,
        "TF_DATA_DIR": str(data_dir),
    }


def unresolved_provider(text: str) -> str | None:
    """What to tell of a provider source that `init` couldn't resolve, or None."""
    flat = " ".join(re.sub(r"[╷│╵]", " ", text).split())
    for pattern in _UNRESOLVED:
        if match := pattern.search(flat):
            source = match["source"].removeprefix("registry.terraform.io/")
            why = match["why"].split(" To see which modules")[0].split(" All modules should")[0][:300].rstrip(" .")
            return f"Provider source {source!r} doesn't resolve: {why}. {_provider_fix(source, why)}"
    return None


def hint(text: str) -> str | None:
    """The next step for a Terraform error, or None."""
    flat = " ".join(re.sub(r"[╷│╵]", " ", text).split())
    return unresolved_provider(text) or next((advice for pattern, advice in _HINTS if pattern.search(flat)), None)


def _provider_fix(source: str, why: str) -> str:
    if right := _KNOWN_SOURCES.get(source.lower()):
        return f'That source is not the maintained one; write source = "{right}" in required_providers.'
    if "could not connect" in why or "no such host" in why or "dial tcp" in why:
        return "The registry can't be reached from here: mend the network or configure a provider mirror."
    return "Name its real source (namespace/name) in terraform { required_providers { … } }."
