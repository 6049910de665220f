"""The gate: unknown, invalid, refused, late, loud and secret calls; each beside one that goes through."""

import asyncio

import pytest
from pydantic import Field

from agents.domain.errors import Refused, StaleEpoch, ToolError
from agents.domain.message import USER, Kind, Message
from agents.domain.ports import TurnContext
from agents.domain.redaction import MASK
from agents.domain.turn import Effect, Status, StopReason, ToolCall, ToolResult
from agents.room.in_memory import InMemoryRoom
from agents.tools.registry import Act, Args, Output, Registry, Tool
from tests.support.gates import CAP, Guarded, Text
from tests.support.team import claimed, role

# approvals have a file of their own
ALLOWING = """
version: 1
level: free
levels:
  free:
    - {name: anything goes, effect: [read, write, mutate, destroy], then: allow}
"""


class EchoArgs(Args):
    text: str
    times: int = Field(1, ge=1, le=3)


class World:
    """Tools that note what they did."""

    def __init__(self) -> None:
        self.acts: list[str] = []

    async def echo(self, args: EchoArgs, act: Act) -> Output:
        self.acts.append(args.text)
        return Output(args.text * args.times)

    async def end(self, args: Args, act: Act) -> Output:
        return Output("all done", ends=StopReason.DONE)

    async def refuse(self, args: Args, act: Act) -> Output:
        raise Refused("not on a Friday")

    async def fail(self, args: Args, act: Act) -> Output:
        raise ToolError("no route to host")

    async def hang(self, args: Args, act: Act) -> Output:
        self.acts.append("hang")
        await asyncio.Event().wait()
        raise AssertionError

    async def crash(self, args: Args, act: Act) -> Output:
        raise ZeroDivisionError

    def tools(self) -> list[Tool[Args]]:
        rows = [
            ("echo", EchoArgs, self.echo, Effect.READ),
            ("change", EchoArgs, self.echo, lambda args: Effect.DESTROY if args.times > 2 else Effect.MUTATE),
            ("end", Args, self.end, Effect.READ),
            ("refuse", Args, self.refuse, Effect.READ),
            ("fail", Args, self.fail, Effect.READ),
            ("hang", Args, self.hang, Effect.MUTATE),
            ("crash", Args, self.crash, Effect.READ),
            ("hidden", Args, self.end, Effect.READ),
        ]
        return [Tool(name, name, args, run, effect) for name, args, run, effect in rows]  # type: ignore[arg-type]


class Bench:
    """A gate over an in-memory room, and a turn to call it from."""

    def __init__(self, turn: TurnContext, opened: InMemoryRoom) -> None:
        self.world, self.opened, self.turn = World(), opened, turn
        guarded = Guarded(opened, self.world.tools(), Text(ALLOWING))
        self.gate, self.log, self.ledger = guarded.gate, guarded.log, guarded.ledger

    async def call(self, name: str, **args: object) -> ToolResult:
        return await self.gate.call(ToolCall("c1", name, args), self.turn)


@pytest.fixture
async def bench() -> Bench:
    opened = InMemoryRoom("room")
    claim = await claimed(opened)
    mine = role(tools=("echo", "change", "end", "refuse", "fail", "hang", "crash"), tool_timeout=0.2)
    return Bench(TurnContext(mine, claim, 1), opened)


async def intents(bench: Bench) -> int:
    return (await bench.opened.mission.read()).acts


async def test_a_known_call_with_valid_arguments_runs(bench: Bench) -> None:
    result = await bench.call("echo", text="hi", times=2)
    assert (result.status, result.content, result.effect) == (Status.OK, "hihi", Effect.READ)
    assert bench.log.entries[0][2] == result


async def test_an_unknown_tool_is_an_error_naming_the_nearest(bench: Bench) -> None:
    result = await bench.call("ecco", text="hi")
    assert result.status is Status.ERROR
    assert "nearest: echo" in result.content
    assert bench.world.acts == []


async def test_a_tool_of_another_role_is_unknown(bench: Bench) -> None:
    assert "there is no tool 'hidden'" in (await bench.call("hidden")).content


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"text": "x", "times": 9}, "times: Input should be less than or equal to 3"),
        ({"text": "x", "loud": True}, "loud: Extra inputs"),
        ({}, "text: Field required"),
        ({"text": 5}, "text: Input should be a valid string"),
    ],
)
async def test_invalid_arguments_get_the_schema_s_complaint(bench: Bench, args: dict[str, object], said: str) -> None:
    result = await bench.call("change", **args)
    assert result.status is Status.ERROR
    assert said in result.content
    assert "Arguments: text, times (optional)" in result.content
    assert bench.world.acts == []
    assert await intents(bench) == 0


async def test_arguments_that_were_no_json_object_are_shown(bench: Bench) -> None:
    result = await bench.gate.call(ToolCall("c", "echo", None, "{text: hi"), bench.turn)
    assert "not a JSON object: '{text: hi'" in result.content


async def test_an_effect_is_computed_and_journaled_before_the_act(bench: Bench) -> None:
    change = ToolCall("c", "change", {"text": "x"})
    assert bench.gate.effect(change, bench.turn) is Effect.MUTATE
    assert bench.gate.effect(ToolCall("c", "change", {"text": "x", "times": 3}), bench.turn) is Effect.DESTROY
    assert bench.gate.effect(ToolCall("c", "change", {}), bench.turn) is Effect.READ
    await bench.gate.call(change, bench.turn)
    assert await intents(bench) == 1
    await bench.call("echo", text="x")
    assert await intents(bench) == 1


async def test_after_a_stop_no_effect_starts(bench: Bench) -> None:
    await bench.opened.control.stop(Message(USER, "STOP", Kind.CONTROL))
    with pytest.raises(StaleEpoch):
        await bench.call("change", text="x")
    assert bench.world.acts == []


async def test_tool_errors_become_results(bench: Bench) -> None:
    assert (await bench.call("fail")).content == "no route to host"
    assert (await bench.call("fail")).status is Status.ERROR
    assert (await bench.call("refuse")).status is Status.DENIED


async def test_a_call_that_hangs_is_ended_and_says_so(bench: Bench) -> None:
    result = await bench.call("hang")
    assert result.status is Status.TIMEOUT
    assert "hang was stopped after 0.2 s" in result.content


async def test_cancelling_is_logged_and_passed_on(bench: Bench) -> None:
    task = asyncio.create_task(bench.call("hang"))
    while not bench.world.acts:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.log.entries[-1][2].status is Status.CANCELLED


async def test_a_bug_is_no_result(bench: Bench) -> None:
    with pytest.raises(ZeroDivisionError):
        await bench.call("crash")


async def test_a_tool_may_end_the_turn(bench: Bench) -> None:
    assert (await bench.call("end")).ends is StopReason.DONE
    assert (await bench.call("echo", text="x")).ends is None


async def test_output_is_masked_then_capped(bench: Bench) -> None:
    result = await bench.call("echo", text="key open-sesame-42 " + "x" * 9000)
    assert result.content.startswith(f"key {MASK} ")
    assert len(result.content) == CAP


async def test_two_tools_of_one_name_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="two tools are called echo"):
        Registry([*World().tools(), *World().tools()[:1]])
    assert Registry(World().tools()).names()[0] == "change"
    assert [schema["function"]["name"] for schema in Registry(World().tools()).schemas(("fail", "echo", "no"))] == [
        "echo",
        "fail",
    ]
