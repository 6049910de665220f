"""The tool run_kubectl."""

from typing import Any

from pydantic import Field

from agents.domain.card import Page
from agents.domain.errors import ToolError
from agents.domain.turn import Effect
from agents.executors.kubectl import Kubectl
from agents.executors.kubectl_arguments import checked
from agents.tools import commands
from agents.tools.material import Material, as_text, sha256
from agents.tools.registry import Act, Args, Output, Tool
from agents.tools.shell import told

SECONDS = 600.0
_MARGIN = 5.0
_CLUSTER = ("cluster",)


class RunKubectl(Args):
    """What `run_kubectl` takes."""

    args: list[str] = Field(min_length=1, max_length=100, description="arguments after kubectl, one word each")


def tools(kubectl: Kubectl) -> list[Tool[Any]]:
    """`run_kubectl`."""

    async def run(args: RunKubectl, act: Act) -> Output:
        # what was hashed for the approval, not what the files may hold by now
        manifests = act.material.content if act.material else None
        return told(await kubectl.run(args.args, min(SECONDS, act.timeout) - _MARGIN, manifests))

    async def material(args: RunKubectl) -> Material:
        content = await kubectl.manifests(args.args)
        named = kubectl.named(args.args)
        pages = (Page("manifests", as_text(content)),) if named else ()
        return Material({"manifests": sha256(content)}, named, _CLUSTER, ("cluster",), pages, content)

    return [
        Tool(
            "run_kubectl",
            "Run kubectl on the User's cluster: get, describe, logs, top, diff, apply, scale, rollout, delete. "
            "No shell: one word per argument. -f takes workspace files or folders. There is no exec, cp, edit, "
            'port-forward, -w or --context. Example: {"args": ["get", "pods", "-n", "web", "-o", "wide"]}',
            RunKubectl,
            run,
            effect,
            timeout=SECONDS,
            material=material,
        )
    ]


def effect(args: RunKubectl) -> Effect:
    """What it would do; a command line that isn't run does nothing."""
    try:
        line = checked(args.args)
    except ToolError:
        return Effect.READ
    if line.verb == "diff":  # it compares on the server, and keeps nothing there
        return Effect.READ
    return commands.classify_kubectl(args.args).effect
