"""Tools on the findings register: raise once, list, resolve. Accepting a risk is the User's act, not a tool's."""

from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field

from agents.domain.card import visible
from agents.domain.errors import BadInput, Refused
from agents.domain.finding import Finding, FindingStatus, Severity
from agents.domain.message import Kind, Message
from agents.domain.ports import FindingBoard, Redactor
from agents.domain.turn import Effect
from agents.tools.registry import Act, Args, Output, Tool

ContentOf = Callable[[str], str]
"""The hash of what a target holds now; "" where nothing is there."""


class RaiseArgs(Args):
    """What `raise_finding` takes."""

    rule: str = Field(min_length=3, max_length=120, description="the rule in a few words: no-plaintext-secrets")
    target: str = Field(min_length=1, max_length=300, description="the file, module or host it is about")
    severity: Literal["info", "low", "medium", "high", "critical"]
    evidence: str = Field(min_length=5, max_length=2000, description="file:line, what could happen, the exact fix")


class ListArgs(Args):
    """What `list_findings` takes."""


class ResolveArgs(Args):
    """What `resolve_finding` takes."""

    id: str = Field(min_length=1, max_length=40)
    status: Literal["mitigated", "rejected"] = Field(description="mitigated: mended; rejected: it was none")
    reason: str = Field(min_length=5, max_length=1000, description="what you saw that settles it")


def tools(findings: FindingBoard, redactor: Redactor, content_of: ContentOf) -> list[Tool[Any]]:
    """`raise_finding`, `list_findings` and `resolve_finding`."""

    async def raise_(args: RaiseArgs, act: Act) -> Output:
        try:
            found = await findings.raise_(
                args.rule,
                args.target,
                Severity.named(args.severity),
                redactor.text(args.evidence),
                by=act.role,
                content=content_of(args.target),
                announce=lambda finding: _event(act, f"finding {finding.line()}: {finding.evidence}", finding),
            )
        except BadInput as error:
            raise Refused(str(error)) from None
        return Output(f"Raised {found.line()}")

    async def listed(args: ListArgs, act: Act) -> Output:
        found = await findings.list()
        lines = [f"{visible(finding.line())}\n    {visible(finding.evidence)}" for finding in found]
        return Output("\n".join(lines) or "No finding was raised yet.")

    async def resolve(args: ResolveArgs, act: Act) -> Output:
        try:
            target = next((f.target for f in await findings.list() if f.id.startswith(args.id.strip("[]"))), "")
            found = await findings.move(
                args.id,
                FindingStatus(args.status),
                by=act.role,
                reason=redactor.text(args.reason),
                content=content_of(target) if target else "",
                announce=lambda finding: _event(act, f"finding {finding.line()}", finding),
            )
        except BadInput as error:
            raise Refused(str(error)) from None
        return Output(f"Resolved {found.line()}")

    return [
        Tool(
            "raise_finding",
            "Enter a fault into the register, once. From the policy's severity on (high, if not said otherwise) it "
            'stands in the way of acts on its target. Example: {"rule": "no-plaintext-secrets", "target": '
            '"config/dns/compose.yml", "severity": "high", "evidence": "line 14: the password in clear; fix: …"}',
            RaiseArgs,
            raise_,
            Effect.READ,
        ),
        Tool("list_findings", "List every finding with its status and decision.", ListArgs, listed, Effect.READ),
        Tool(
            "resolve_finding",
            "Close a finding you looked at again: mitigated (mended) or rejected (it was none).",
            ResolveArgs,
            resolve,
            Effect.READ,
        ),
    ]


def _event(act: Act, text: str, finding: Finding) -> Message:
    """What the room sees of it; it wakes nobody."""
    data = {"action": "finding", "finding": finding.id, "status": finding.status.value}
    return Message(act.role, visible(text, 3000), Kind.APPROVAL, turn=act.claim.turn, data=data)
