"""Terraform argv, environment and error texts."""

from pathlib import Path

import pytest

from agents.domain.errors import InvalidArguments
from agents.executors.terraform_commands import address, command, environment, hint, output_name, unresolved_provider


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (
            command("terraform", "plan", flags=("no_color", "detailed_exitcode"), input=False, out=Path("/s/plan")),
            ["terraform", "plan", "-no-color", "-detailed-exitcode", "-input=false", "-out=/s/plan"],
        ),
        (
            command("/opt/tf", "apply", "/s/a plan; rm", flags=("no_color",), input=False),
            ["/opt/tf", "apply", "-no-color", "-input=false", "/s/a plan; rm"],
        ),
        (
            command("terraform", "plan", target=["a.b", "c.d"], var_file=Path("/w/x.tfvars"), lock=False),
            ["terraform", "plan", "-target=a.b", "-target=c.d", "-var-file=/w/x.tfvars", "-lock=false"],
        ),
        (command("terraform", "plan", target=[]), ["terraform", "plan"]),
        (command("terraform", "state list"), ["terraform", "state", "list"]),
    ],
)
def test_command_lines(argv: list[str], expected: list[str]) -> None:
    assert argv == expected


@pytest.mark.parametrize(
    "text",
    ["terraform_data.a", "module.web", 'module.web["a b"].terraform_data.n[0]', "data.local_file.x", "a.b-c"],
)
def test_addresses_pass(text: str) -> None:
    assert address(text) == text


@pytest.mark.parametrize("text", ["", "-destroy", "a b", "a.b\n-destroy", "a;b", "a.$(x)", 'a["x\\"]', "a..b", "=a"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidArguments, match="resource address"):
        address(text)


def test_output_names() -> None:
    assert output_name("page_url") == "page_url"
    with pytest.raises(InvalidArguments):
        output_name("-json")


def test_environment_is_exactly_this_and_the_data_dir_cannot_be_moved() -> None:
    env = environment(
        {"PATH": "/bin"},
        data_dir=Path("/s/data"),
        cli_config=Path("/s/rc"),
        variables={"TF_VAR_x": "1", "TF_DATA_DIR": "/workspace/evil", "TF_CLI_CONFIG_FILE": "/operator/rc"},
    )
    assert env == {
        "PATH": "/bin",
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        "CHECKPOINT_DISABLE": "1",
        "TF_VAR_x": "1",
        "TF_DATA_DIR": "/s/data",
        "TF_CLI_CONFIG_FILE": "/operator/rc",
    }


@pytest.mark.parametrize(
    ("said", "parts"),
    [
        (
            "Error: Failed to query available provider packages\n\nCould not retrieve the list of available versions "
            "for provider\nhashicorp/proxmox: provider registry registry.terraform.io does not have "
            "a\nprovider named registry.terraform.io/hashicorp/proxmox\n\nAll modules should specify",
            ("'hashicorp/proxmox'", 'source = "bpg/proxmox"'),
        ),
        (
            "│ Could not retrieve the list of available versions for provider acme/clouds:\n│ could not connect to "
            "registry.terraform.io: dial tcp: no such host\n\nTo see which modules are",
            ("'acme/clouds'", "can't be reached"),
        ),
        (
            "Error while installing acme/clouds v1.0: checksum mismatch",
            ("'acme/clouds'", "checksum mismatch", "required_providers"),
        ),
    ],
)
def test_an_unresolved_provider_is_named(said: str, parts: tuple[str, ...]) -> None:
    told = unresolved_provider(said)
    assert told is not None
    for part in parts:
        assert part in told


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("Error: Saved plan is\nstale", "plan first"),
        ("Error: Inconsistent dependency lock file", "init"),
        ("Module not installed", "init"),
        ("Error: Error acquiring the state lock", "try later"),
        ("Error: No value for required variable", "var_file"),
    ],
)
def test_hints(said: str, advice: str) -> None:
    assert advice in (hint(said) or "")


def test_other_errors_have_no_hint() -> None:
    assert hint("Error: Unsupported argument") is None
