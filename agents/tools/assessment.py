"""What an understood call would do: its effect, its material, its risk. Nobody is asked yet."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agents.domain.approval import Capsule, digest
from agents.domain.card import Card, Page
from agents.domain.ports import Redactor, TurnContext
from agents.domain.turn import Effect, ToolCall
from agents.tools.commands import Verdict, worst
from agents.tools.material import TOO_LONG, Foreseen, Material, args_as_pages, fitted
from agents.tools.policy import Proposal, Ruling
from agents.tools.registry import Args, Tool
from agents.tools.risk import Risk, assess

_ARGS_CHARS = 1_500
_ACTS = (Effect.MUTATE, Effect.DESTROY)


@dataclass(frozen=True, slots=True)
class Wish:
    """A call that was understood. `told` is what its script says it does, where the tool reads it."""

    tool: Tool[Any]
    args: Args
    call: ToolCall
    turn: TurnContext
    effect: Effect
    told: Verdict | None = None

    @classmethod
    def of(cls, tool: Tool[Any], args: Args, call: ToolCall, turn: TurnContext) -> "Wish":
        """The wish, with the least its call does.

        A script in the sandbox only reads if it says so, and reaches the workspace at most: unless the role's sandbox
        has the network, where it may do whatever it says.
        """
        effect = tool.effect_of(args)
        told = tool.text(args) if tool.text else None
        if told and effect is Effect.WRITE:
            if told.effect is Effect.READ:
                effect = Effect.READ
            elif turn.role.limits.network:
                effect = worst((effect, told.effect))
        return cls(tool, args, call, turn, effect, told)

    @property
    def role(self) -> str:
        """Whose it is."""
        return self.turn.role.name

    def fields(self) -> dict[str, Any]:
        """What the ledger says of it."""
        claim = self.turn.claim
        return {
            "who": self.role,
            "turn": claim.turn,
            "step": self.turn.step,
            "call": self.call.id,
            "tool": self.tool.name,
            "effect": self.effect.value,
            "args": dict(self.call.args or {}),
            "message": claim.deliveries[-1].message.id if claim.deliveries else "",
        }


@dataclass(frozen=True, slots=True)
class Assessment:
    """A wish with its material and risk."""

    wish: Wish
    material: Material
    foreseen: Foreseen
    risk: Risk

    @property
    def acts(self) -> bool:
        """Whether it changes more than workspace files."""
        return self.risk.effect in _ACTS

    def proposal(self) -> Proposal:
        """What the policy is asked about."""
        wish = self.wish
        hosts = tuple(dict.fromkeys((*self.material.hosts, *self.foreseen.hosts)))
        told = wish.told.effect if wish.told else None
        return Proposal(wish.role, wish.tool.name, dict(wish.call.args or {}), self.risk, hosts, told)


@dataclass(frozen=True, slots=True)
class Assessor:
    """Assesses wishes in one room."""

    room: str
    redactor: Redactor

    async def assess(self, wish: Wish) -> Assessment:
        """The assessment. Raise ToolError where the material can't be gathered: the act couldn't be done either."""
        if wish.effect is Effect.READ:
            risk = Risk(Effect.READ, 0.0, wish.told.reasons if wish.told else ())
            return Assessment(wish, await self.material(wish), Foreseen(), risk)
        material = await self.material(wish)
        foreseen = await material.foresee()
        commands = foreseen.commands
        if wish.told and wish.effect in _ACTS:
            commands = (*commands, wish.told)
        risk = assess(
            worst((wish.effect, foreseen.effect)),
            plan=foreseen.plan,
            check_run=foreseen.check_run,
            commands=commands,
            hosts={*material.hosts, *foreseen.hosts},
            inventory=foreseen.inventory,
            blind_spots=foreseen.blind_spots,
        )
        return Assessment(wish, material, foreseen, risk)

    async def material(self, wish: Wish) -> Material:
        """What the call would run, as it is now."""
        if wish.tool.material is None or wish.effect is Effect.READ:
            return Material(pages=args_as_pages(wish.call.args or {}))
        return await wish.tool.material(wish.args)

    def digest(self, wish: Wish, material: Material, ruling: Ruling) -> str:
        """The digest an approval must name. Whose leave it needs is part of it: a stricter policy asks anew."""
        claim = wish.turn.claim
        bound = {**material.identity, "needed": sorted(ruling.needed)}
        args = wish.args.model_dump(mode="json")
        return digest(Capsule(self.room, claim.epoch, wish.role, wish.tool.name, args, material.targets, bound))

    def card(self, assessment: Assessment, ruling: Ruling, act_digest: str) -> Card:
        """What the deciders read, without secrets."""
        wish, risk, mask = assessment.wish, assessment.risk, self.redactor
        pages, whole = fitted([Page(mask.text(p.title), mask.text(p.text)) for p in assessment.material.pages])
        return Card(
            role=wish.role,
            tool=wish.tool.name,
            args=_short(mask.value(dict(wish.call.args or {}))),
            effect=risk.effect.value,
            score=risk.score,
            digest=act_digest,
            targets=tuple(map(mask.text, (*assessment.material.targets, *assessment.proposal().hosts))),
            blast=risk.blast.line(),
            reasons=tuple(map(mask.text, risk.reasons)),
            blind_spots=tuple(map(mask.text, risk.blind_spots)) + (() if whole else (TOO_LONG,)),
            rule=ruling.rule,
            why=tuple(map(mask.text, ruling.why)),
            summary=mask.text(assessment.foreseen.summary),
            pages=pages,
        )


def _short(args: Mapping[str, Any]) -> str:
    text = json.dumps(args, ensure_ascii=True, default=str)
    return text if len(text) <= _ARGS_CHARS else f"{text[:_ARGS_CHARS]}… {len(text) - _ARGS_CHARS:,} more characters"
