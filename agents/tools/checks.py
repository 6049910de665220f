"""Tools on the mission's checks: propose probes, run them. The runtime runs them, no model judges."""

from typing import Any

from pydantic import Field

from agents.domain.errors import InvalidArguments
from agents.domain.mission import Probe, report
from agents.domain.ports import MissionBoard, Verifier
from agents.domain.turn import Effect
from agents.tools.registry import Act, Args, Output, Tool


class ProposeArgs(Args):
    """What `propose_checks` takes."""

    checks: tuple[Probe, ...] = Field(min_length=1, max_length=15)


class RunArgs(Args):
    """What `run_checks` takes."""

    ids: tuple[str, ...] = Field((), description="check ids; empty: all of them")


def tools(mission: MissionBoard, verifier: Verifier) -> list[Tool[Any]]:
    """`propose_checks` and `run_checks`."""

    async def propose(args: ProposeArgs, act: Act) -> Output:
        after = await mission.propose(args.checks)
        return Output(f"The mission has {len(after.checks)} checks:\n{report(after.checks)}")

    async def run(args: RunArgs, act: Act) -> Output:
        checks = (await mission.read()).checks
        unknown = set(args.ids) - {check.id for check in checks}
        if unknown:
            known = ", ".join(check.id for check in checks) or "none yet: propose_checks first"
            raise InvalidArguments(f"no check {', '.join(sorted(unknown))}; the mission has: {known}")
        if not checks:
            return Output("The mission has no checks yet. The Architect proposes them with propose_checks.")
        chosen = [check for check in checks if not args.ids or check.id in args.ids]
        fresh = await verifier.run(chosen)
        green = sum(check.green for check in fresh)
        return Output(f"{green} of {len(fresh)} checks are green.\n{report(fresh)}")

    return [
        Tool(
            "propose_checks",
            "Say how everybody will know that the mission is done: typed probes the runtime runs itself. The same "
            'probe twice is one check. Example: {"checks": [{"type": "http", "title": "page answers", '
            '"url": "http://127.0.0.1:8089/", "status": 200, "contains": "node-1"}]}',
            ProposeArgs,
            propose,
            Effect.READ,
        ),
        Tool(
            "run_checks",
            "Run the mission's checks now and return each verdict (pass, fail, unknown) with its evidence.",
            RunArgs,
            run,
            Effect.READ,
            timeout=180,
        ),
    ]
