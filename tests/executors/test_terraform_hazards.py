"""What makes a plan run programs or read this machine's files, each beside what may pass."""

import pytest

from agents.executors.terraform_hazards import hazards

HARMLESS = """
terraform {
  required_providers {
    proxmox = { source = "bpg/proxmox" }
    aws     = { source = "registry.terraform.io/hashicorp/aws", version = "~> 5.0" }
  }
  backend "local" {
    path = "states/site.tfstate"
  }
}
module "web" {
  source = "../web"
}
module "vpc" {
  source  = "terraform-aws-modules/vpc/aws"
}
module "git" {
  source = "git::https://git.example.org/lab/modules.git//web?ref=v1"
}
resource "local_file" "page" {
  filename = "page.html"
  content  = templatefile("${path.module}/templates/page.tpl", { title = file("title.txt") })
}
locals {
  profile = "file a report"
  pages   = fileset(path.module, "*.html")
}
"""


def test_an_ordinary_configuration_is_harmless() -> None:
    assert hazards(HARMLESS, "infra/site") == ()


@pytest.mark.parametrize(
    "text",
    [
        'data "external" "x" {}',
        'data "\\u0065xternal" "x" {}',
        '{"data": {"external": {}}}',
        'output "x" { value = file("/etc/shadow") }',
        'output "x" { value = filebase64("~/.ssh/id_rsa") }',
        'output "x" { value = file("../../../.env") }',
        'output "x" { value = file("${path.module}/../../../.env") }',
        'output "x" { value = file("${path.root}/.env") }',
        'output "x" { value = file(var.x) }',
        'output "x" { value = file(path.module == "" ? "a" : "/etc/shadow") }',
        'output "x" { value = file("a" == "b" ? "a" : "/etc/shadow") }',
        'output "x" { value = file /* */ ("/etc/shadow") }',
        'output "x" { value = core::file("/etc/shadow") }',
        'output "x" { value = templatefile("/etc/shadow", {}) }',
        '{"output": {"x": {"value": "${file(\\"/etc/shadow\\")}"}}}',
        'data "local_file" "x" { filename = "/etc/shadow" }',
        'data local_sensitive_file x { filename = "/etc/shadow" }',
        '{"data": {"a": {}, "local_file": {"x": {"filename": "/etc/shadow"}}}}',
        'module "x" { source = "../../../tmp/evil" }',
        'module "x" { source = "/tmp/app/evil" }',
        'module "x" { source = "file:///tmp/app/evil" }',
        'module "x" { source = "git::file:///tmp/app/evil" }',
        'module "x" { source = "git::/tmp/app/evil" }',
        'module "x" { source = ("/tmp/app/evil") }',
        'module "x" { source /* */ = "/tmp/app/evil" }',
        '{"module": {"x": {"source": "\\/tmp/app/evil"}}}',
        'terraform { backend "local" { path = "/root/terraform.tfstate" } }',
        'terraform { backend "local" { path = "notes.json" } }',
        'terraform { backend "local" { path = "../other/terraform.tfstate" } }',
        '{"terraform": {"backend": {"local": {"path": "notes.json"}}}}',
    ],
)
def test_what_reaches_out_is_named(text: str) -> None:
    assert hazards(text, "infra/site")
