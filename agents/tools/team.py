"""Tools by which the Architect ends or pauses a mission: `finish` and `ask_user`."""

from typing import Any

from pydantic import Field

from agents.domain.errors import Refused
from agents.domain.mission import report
from agents.domain.ports import MissionBoard, Verifier
from agents.domain.turn import Effect, StopReason
from agents.tools.registry import Act, Args, Output, Tool


class FinishLine:
    """Says whether the mission may end. Every check is run afresh: yesterday's green proves nothing."""

    def __init__(self, mission: MissionBoard, verifier: Verifier) -> None:
        self._mission = mission
        self._verifier = verifier

    async def objection(self) -> str | None:
        """Why the mission isn't done, or None."""
        mission = await self._mission.read()
        if not mission.checks:
            if mission.acts:
                return (
                    "The world was changed for this mission, and no check proves that it worked. "
                    "Call propose_checks with at least one probe of what the User asked for, then finish again."
                )
            return None
        fresh = await self._verifier.run(mission.checks)
        red = [check for check in fresh if not check.green]
        if not red:
            return None
        return f"Not done: {len(red)} of {len(fresh)} checks are not green.\n{report(red)}"


class FinishArgs(Args):
    """What `finish` takes."""

    summary: str = Field(
        min_length=1, max_length=8000, description="what was done and how it was proven, for the User"
    )


class AskArgs(Args):
    """What `ask_user` takes."""

    question: str = Field(min_length=5, max_length=2000, description="one question only the User can answer")
    default: str = Field(min_length=1, max_length=500, description="what the team will do if no answer comes")
    options: tuple[str, ...] = Field((), max_length=6)
    timeout_minutes: float = Field(30, gt=0, le=24 * 60, description="after this the default is taken")


class Questions:
    """The budget of questions: the User is not asked more than `limit` times per mission."""

    def __init__(self, mission: MissionBoard, limit: int = 5) -> None:
        self._mission = mission
        self._limit = limit
        self._asked: dict[str, int] = {}

    async def ask(self, args: AskArgs) -> str:
        """The text that puts the question. Raise Refused over the budget."""
        requests = (await self._mission.read()).requests
        key = requests[0].message_id if requests else ""
        asked = self._asked.get(key, 0)
        if asked >= self._limit:
            raise Refused(
                f"the User was asked {asked} times in this mission already; decide yourself, write the decision "
                "and its reason into docs/implementation_plan.md, and go on"
            )
        self._asked[key] = asked + 1
        options = f"\nOptions: {' | '.join(args.options)}" if args.options else ""
        return (
            f"@User {args.question}{options}\n"
            f"Default, taken in {args.timeout_minutes:g} minutes if you don't answer: {args.default}"
        )


def tools(finish_line: FinishLine, questions: Questions) -> list[Tool[Any]]:
    """`finish` and `ask_user`."""

    async def finish(args: FinishArgs, act: Act) -> Output:
        objection = await finish_line.objection()
        if objection:
            raise Refused(objection)
        return Output(args.summary, ends=StopReason.DONE)

    async def ask_user(args: AskArgs, act: Act) -> Output:
        return Output(await questions.ask(args), ends=StopReason.AWAITING_INPUT)

    return [
        Tool(
            "finish",
            "End the mission with a summary for the User. Every check is run afresh first; while one is not green "
            "this is refused with the list, and you go on.",
            FinishArgs,
            finish,
            Effect.READ,
        ),
        Tool(
            "ask_user",
            "Ask the User one question that nobody else can answer, with a default that is taken if no answer comes. "
            "Ends your turn. Never use it for a menu of options you can decide yourself.",
            AskArgs,
            ask_user,
            Effect.READ,
        ),
    ]
