"""Terraform itself, on the builtin `terraform_data`: no provider is downloaded."""

import asyncio
import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.domain.errors import InvalidArguments, MissingBinary, PathEscape, Refused, ToolError, ToolTimeout
from agents.domain.mission import Verdict
from agents.executors.process import Processes
from agents.executors.terraform import Terraform
from agents.executors.workspace import Workspace

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not installed"),
]

SITE = """
variable "size" {
  type    = number
  default = 1
}
variable "password" {
  type      = string
  sensitive = true
  default   = "hunter2-hunter2"
}
resource "terraform_data" "page" {
  input = { size = var.size, password = var.password }
}
resource "terraform_data" "node" {
  input            = terraform_data.page.id
  triggers_replace = "v1"
}
output "page_id" {
  value = terraform_data.page.id
}
output "secret" {
  value     = var.password
  sensitive = true
}
"""
ACME = 'terraform {\n  required_providers {\n    evil = {\n      source = "acme/evil"\n    }\n  }\n}\n'
SECONDS = 60.0
Write = Callable[..., None]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace({name: tmp_path / "space" / name for name in ("infra", "config", "docs", "tmp")})


@pytest.fixture
def terraform(tmp_path: Path, workspace: Workspace) -> Terraform:
    return Terraform(Processes(), workspace, tmp_path / "state")


@pytest.fixture
def write(workspace: Workspace) -> Write:
    def write(text: str = SITE, path: str = "infra/site/main.tf") -> None:
        workspace.write_text(path, text)

    return write


async def applied(terraform: Terraform, module: str = "infra/site") -> str:
    await terraform.init(module, holder="DevOps", timeout=SECONDS)
    await terraform.plan(module, holder="DevOps", timeout=SECONDS)
    return (await terraform.apply(module, holder="DevOps", timeout=SECONDS)).text


async def test_plan_apply_and_look(terraform: Terraform, write: Write, tmp_path: Path) -> None:
    write()
    assert "initialised" in (await terraform.init("infra/site", holder="DevOps", timeout=SECONDS)).text
    planned = await terraform.plan("/app/infra/site", holder="DevOps", timeout=SECONDS)
    assert planned.summary is not None
    assert planned.summary.count("add") == 2
    assert "+ terraform_data.page" in planned.text
    assert "action apply" in planned.text
    assert "Terraform will perform" in planned.raw
    saved = terraform.saved("infra/site")
    assert saved is not None
    assert not saved.destroys
    assert "Saved plan of" in (await terraform.show("infra/site", timeout=SECONDS)).text

    done = await terraform.apply("infra/site", holder="DevOps", timeout=SECONDS)
    assert "2 added" in done.text
    assert terraform.saved("infra/site") is None

    assert (await terraform.state_list("infra/site", timeout=SECONDS)).text.split() == [
        "terraform_data.node",
        "terraform_data.page",
    ]
    assert "page_id = " in (await terraform.output("infra/site", "page_id", timeout=SECONDS)).text
    assert "terraform.io/builtin/terraform" in (await terraform.providers("infra/site", timeout=SECONDS)).text
    for folder in (tmp_path / "state" / "terraform").iterdir():
        assert folder.is_file() or stat.S_IMODE(folder.stat().st_mode) == 0o700
    # what Terraform would execute is kept where agents can't write
    assert not (tmp_path / "space/infra/site/.terraform").exists()


async def test_sensitive_values_show_nowhere(terraform: Terraform, write: Write) -> None:
    write()
    await terraform.init("infra/site", holder="DevOps", timeout=SECONDS)
    planned = await terraform.plan("infra/site", holder="DevOps", timeout=SECONDS)
    done = await terraform.apply("infra/site", holder="DevOps", timeout=SECONDS)
    state = await terraform.show("infra/site", timeout=SECONDS)
    # `output` of terraform_data loses the mark in the state: the value itself is masked there
    one = await terraform.state_show("infra/site", "terraform_data.page", timeout=SECONDS)
    outputs = await terraform.output("infra/site", None, timeout=SECONDS)
    for answer in (planned, done, state, one, outputs):
        assert "hunter2" not in answer.text + answer.raw
    assert '"secret": "(sensitive)"' in outputs.text
    assert '"size": 1' in one.text


async def test_apply_without_a_plan_is_refused(terraform: Terraform, write: Write) -> None:
    write()
    with pytest.raises(Refused, match="plan first"):
        await terraform.apply("infra/site", holder="DevOps", timeout=SECONDS)


async def test_a_plan_applies_once(terraform: Terraform, write: Write) -> None:
    write()
    await applied(terraform)
    with pytest.raises(Refused, match="plan first"):
        await terraform.apply("infra/site", holder="DevOps", timeout=SECONDS)


async def test_an_altered_plan_file_is_refused(terraform: Terraform, write: Write, tmp_path: Path) -> None:
    write()
    await terraform.init("infra/site", holder="DevOps", timeout=SECONDS)
    await terraform.plan("infra/site", holder="DevOps", timeout=SECONDS)
    (plan,) = (tmp_path / "state").rglob("plan")
    plan.write_bytes(plan.read_bytes() + b"\0")
    with pytest.raises(Refused, match="altered"):
        await terraform.apply("infra/site", holder="DevOps", timeout=SECONDS)
    assert (await terraform.state_list("infra/site", timeout=SECONDS)).text.startswith("The state is empty")


async def test_an_unreadable_record_is_no_plan(terraform: Terraform, write: Write, tmp_path: Path) -> None:
    write()
    await terraform.plan("infra/site", holder="DevOps", timeout=SECONDS)
    (record,) = (tmp_path / "state").rglob("plan.json")
    record.write_text(json.dumps({"module": "infra/site"}))
    assert terraform.saved("infra/site") is None


async def test_a_stale_plan_says_plan_first(
    terraform: Terraform, write: Write, workspace: Workspace, tmp_path: Path
) -> None:
    write()
    await terraform.init("infra/site", holder="DevOps", timeout=SECONDS)
    await terraform.plan("infra/site", holder="DevOps", timeout=SECONDS)
    other = Terraform(Processes(), workspace, tmp_path / "another-machine")
    await applied(other)
    with pytest.raises(ToolError, match="plan first") as caught:
        await terraform.apply("infra/site", holder="DevOps", timeout=SECONDS)
    assert "stale" in str(caught.value)


async def test_replace_and_destroy_are_destroying_plans(terraform: Terraform, write: Write) -> None:
    write()
    await applied(terraform)
    write(SITE.replace('"v1"', '"v2"').replace("default = 1", "default = 2"))
    planned = await terraform.plan("infra/site", holder="DevOps", timeout=SECONDS)
    assert "0 to add, 1 to change, 1 to replace, 0 to delete" in planned.text
    assert "because of triggers_replace" in planned.text
    assert "input.size: 1 → 2" in planned.text
    saved = terraform.saved("infra/site")
    assert saved is not None
    assert saved.destroys

    planned = await terraform.plan("infra/site", holder="DevOps", timeout=SECONDS, destroy=True)
    assert "2 to delete" in planned.text
    assert "2 destroyed" in (await terraform.apply("infra/site", holder="DevOps", timeout=SECONDS)).text


async def test_targets_and_var_files(terraform: Terraform, write: Write) -> None:
    write()
    write("size = 7\n", "infra/site/prod.tfvars")
    planned = await terraform.plan(
        "infra/site",
        holder="DevOps",
        timeout=SECONDS,
        targets=["terraform_data.page"],
        var_file="infra/site/prod.tfvars",
    )
    assert planned.summary is not None
    assert [change.address for change in planned.summary.changes] == ["terraform_data.page"]
    assert "input.size = 7" in planned.text
    with pytest.raises(InvalidArguments, match=r"prod\.tfvars"):
        await terraform.plan("infra/site", holder="D", timeout=SECONDS, var_file="infra/site/prod.vars.tf")
    with pytest.raises(InvalidArguments, match="resource address"):
        await terraform.plan("infra/site", holder="D", timeout=SECONDS, targets=["-destroy"])


async def test_clean_probe(terraform: Terraform, write: Write) -> None:
    write()
    assert (await terraform.clean("infra/site"))[0] is Verdict.FAIL  # nothing is applied yet
    await applied(terraform)
    assert await terraform.clean("infra/site") == (Verdict.PASS, "the plan of infra/site is empty")
    write(SITE.replace("default = 1", "default = 3"))
    verdict, evidence = await terraform.clean("infra/site")
    assert verdict is Verdict.FAIL
    assert "input.size: 1 → 3" in evidence
    assert terraform.saved("infra/site") is None
    write("resource {")
    assert (await terraform.clean("infra/site"))[0] is Verdict.UNKNOWN
    assert (await terraform.clean("infra/nowhere"))[0] is Verdict.UNKNOWN


async def test_a_failing_check_block_is_no_clean_plan(terraform: Terraform, write: Write) -> None:
    check = 'check "up" {\n  assert {\n    condition     = var.up\n    error_message = "it is down"\n  }\n}\n'
    write('variable "up" {\n  default = false\n}\n' + check)
    verdict, evidence = await terraform.clean("infra/site")
    assert verdict is Verdict.UNKNOWN
    assert "it is down" in evidence


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("infra/site/more.tf", 'data "external" "x" {\n  program = ["id"]\n}\n'),
        ("infra/site/more.tf", 'data "\\u0065xternal" "x" {\n}\n'),
        ("infra/site/more.tf.json", '{"data": {"external": {"x": {"program": ["id"]}}}}'),
        ("infra/site/child/more.tf", "data external x {\n}\n"),
        ("infra/shared/more.tf", 'data "external" "x" {\n}\n'),
    ],
)
async def test_a_probe_plans_nothing_that_runs_programs(
    terraform: Terraform, write: Write, path: str, text: str
) -> None:
    write(SITE + '# shared = "../shared"\n')
    assert terraform.hazards("infra/site") == ()
    write(text, path)
    verdict, evidence = await terraform.clean("infra/site")
    assert verdict is Verdict.UNKNOWN
    assert path in evidence


async def test_downloaded_modules_and_links_are_examined_too(
    terraform: Terraform, write: Write, tmp_path: Path
) -> None:
    write(SITE)
    assert terraform.hazards("infra/site") == ()
    (private,) = (entry for entry in (tmp_path / "state/terraform").iterdir() if entry.name != "home")
    downloaded = private / "data/modules/web"
    downloaded.mkdir(parents=True)
    (downloaded / "main.tf").write_text('data "external" "x" {}\n')
    assert terraform.hazards("infra/site") == ("downloaded main.tf",)
    (downloaded / "main.tf").unlink()
    (tmp_path / "space/infra/site/link.tf").symlink_to("/etc/hostname")
    assert terraform.hazards("infra/site") == ("infra/site/link.tf",)


async def test_provisioners_are_in_the_summary(terraform: Terraform, write: Write) -> None:
    write('resource "terraform_data" "a" {\n  provisioner "local-exec" {\n    command = "echo made"\n  }\n}\n')
    planned = await terraform.plan("infra/site", holder="DevOps", timeout=SECONDS)
    assert 'terraform_data.a local-exec: "echo made"' in planned.text


async def test_a_second_apply_is_refused_and_names_the_holder(terraform: Terraform, write: Write) -> None:
    write('resource "terraform_data" "a" {\n  provisioner "local-exec" {\n    command = "sleep 30"\n  }\n}\n')
    await terraform.plan("infra/site", holder="DevOps", timeout=SECONDS)
    first = asyncio.create_task(terraform.apply("infra/site", holder="DevOps", timeout=SECONDS))
    while terraform.saved("infra/site") is not None:
        await asyncio.sleep(0.01)
    with pytest.raises(Refused, match="held by DevOps"):
        await terraform.apply("infra/site", holder="Coder", timeout=SECONDS)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    with pytest.raises(Refused, match="plan first"):  # the lock is free again
        await terraform.apply("infra/site", holder="Coder", timeout=SECONDS)


async def test_a_hanging_apply_is_killed_and_says_so(terraform: Terraform, write: Write) -> None:
    write('resource "terraform_data" "a" {\n  provisioner "local-exec" {\n    command = "sleep 60"\n  }\n}\n')
    await terraform.plan("infra/site", holder="DevOps", timeout=SECONDS)
    with pytest.raises(ToolTimeout, match="plan again to see"):
        await terraform.apply("infra/site", holder="DevOps", timeout=3)


async def test_only_given_variables_reach_terraform(
    workspace: Workspace, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_VAR_size", "41")
    write()
    given = Terraform(Processes(), workspace, tmp_path / "state", variables={"TF_VAR_size": "42"})
    assert "input.size = 42" in (await given.plan("infra/site", holder="D", timeout=SECONDS)).text
    bare = Terraform(Processes(), workspace, tmp_path / "state")
    assert "input.size = 1" in (await bare.plan("infra/site", holder="D", timeout=SECONDS)).text


async def test_programs_in_the_module_folder_are_not_run(terraform: Terraform, write: Write, tmp_path: Path) -> None:
    write(ACME)
    plugins = tmp_path / "space/infra/site/terraform.d/plugins"
    plugins.mkdir(parents=True)
    with pytest.raises(InvalidArguments, match=r"terraform\.d"):
        await terraform.init("infra/site", holder="DevOps", timeout=SECONDS)


@pytest.mark.parametrize("given", ["", "missing.rc", "own.rc"])
async def test_the_operators_cli_configuration_counts_if_it_is_there(
    workspace: Workspace, write: Write, tmp_path: Path, given: str
) -> None:
    write(ACME)
    mirror = tmp_path / "mirror"
    (tmp_path / "own.rc").write_text(
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n'
    )
    variables = {"TF_CLI_CONFIG_FILE": str(tmp_path / given)} if given else {}
    terraform = Terraform(Processes(), workspace, tmp_path / "state", variables=variables)
    with pytest.raises(ToolError, match="acme/evil") as caught:
        await terraform.init("infra/site", holder="DevOps", timeout=SECONDS)
    assert ("registry" in str(caught.value).replace("registry.terraform.io/acme", "")) is (given != "own.rc")
    assert "Unable to open CLI configuration" not in str(caught.value)


async def test_hashicorp_proxmox_is_called_out(terraform: Terraform, write: Write) -> None:
    write('terraform {\n  required_providers {\n    proxmox = {\n      source = "hashicorp/proxmox"\n    }\n  }\n}\n')
    with pytest.raises(ToolError, match="bpg/proxmox"):
        await terraform.init("infra/site", holder="DevOps", timeout=SECONDS)


async def test_faults_come_with_file_and_line(terraform: Terraform, write: Write) -> None:
    write('resource "terraform_data" "a" {\n  inpt = 3\n}\n')
    answer = await terraform.validate("infra/site", timeout=SECONDS)
    assert not answer.ok
    assert "infra/site/main.tf:2: error: Unsupported argument" in answer.text
    with pytest.raises(ToolError, match=r"main\.tf line 2"):
        await terraform.plan("infra/site", holder="DevOps", timeout=SECONDS)
    write('resource "terraform_data" "a" {\n  input = 3\n}\n')
    assert (await terraform.validate("infra/site", timeout=SECONDS)).ok


async def test_output_too_large_to_be_read_is_an_error(workspace: Workspace, write: Write, tmp_path: Path) -> None:
    write()
    narrow = Terraform(Processes(output_cap=500), workspace, tmp_path / "state")
    with pytest.raises(ToolError, match="more than can be read at once"):
        await narrow.plan("infra/site", holder="DevOps", timeout=SECONDS)
    assert narrow.saved("infra/site") is None


async def test_validate_gives_the_next_step(terraform: Terraform, write: Write) -> None:
    write('module "web" {\n  source = "./web"\n}\n')
    write("", "infra/site/web/main.tf")
    assert "Run action init" in (await terraform.validate("infra/site", timeout=SECONDS)).text


async def test_fmt_rewrites(terraform: Terraform, write: Write, workspace: Workspace) -> None:
    write('resource "terraform_data" "a" {\n input=3\n}\n')
    assert "main.tf" in (await terraform.fmt("infra/site", timeout=SECONDS)).text
    assert "  input = 3\n" in workspace.read_text("infra/site/main.tf")
    assert "canonical" in (await terraform.fmt("infra/site", timeout=SECONDS)).text


async def test_empty_states_say_so(terraform: Terraform, write: Write) -> None:
    write('resource "terraform_data" "a" {\n}\n')
    assert "empty" in (await terraform.show("infra/site", timeout=SECONDS)).text
    assert "No outputs" in (await terraform.output("infra/site", None, timeout=SECONDS)).text
    with pytest.raises(ToolError, match="it has: nothing"):
        await terraform.state_show("infra/site", "terraform_data.a", timeout=SECONDS)
    with pytest.raises(ToolError, match="there are: none"):
        await terraform.output("infra/site", "url", timeout=SECONDS)


@pytest.mark.parametrize(
    ("module", "error"),
    [
        ("../etc", PathEscape),
        ("/etc", PathEscape),
        ("config/site", InvalidArguments),
        ("infra/site/main.tf", InvalidArguments),
        ("infra/empty", InvalidArguments),
        ("infra/missing", ToolError),
    ],
)
async def test_what_is_no_module(
    terraform: Terraform, write: Write, tmp_path: Path, module: str, error: type[Exception]
) -> None:
    write()
    (tmp_path / "space/infra/empty").mkdir()
    with pytest.raises(error):
        await terraform.validate(module, timeout=SECONDS)


async def test_a_missing_terraform_names_the_fix(workspace: Workspace, write: Write, tmp_path: Path) -> None:
    write()
    absent = Terraform(Processes(), workspace, tmp_path / "state", binary="terraform-that-is-not-here")
    with pytest.raises(MissingBinary, match="terraform-that-is-not-here"):
        await absent.validate("infra/site", timeout=SECONDS)
