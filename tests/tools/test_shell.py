"""run_shell and run_code: what they pass on, and how an end is told."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from pydantic import ValidationError

from agents.domain.errors import MissingBinary, ToolError
from agents.domain.ports import TurnContext
from agents.domain.turn import Claim, Effect, Status, ToolCall
from agents.executors.process import Finished
from agents.room.in_memory import InMemoryRoom
from agents.tools import shell
from agents.tools.assessment import Wish
from agents.tools.registry import Act, Output, Tool
from tests.support.team import claimed, role

DONE = Finished(("bash",), 0, "out\n", "", 0.5, False, False)


@dataclass
class Recorder:
    """An executor that notes what it is asked and answers as told."""

    answers: list[Finished] = field(default_factory=lambda: [DONE])
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def run(
        self,
        argv: Sequence[str],
        *,
        cwd: str = "",
        timeout: float,
        network: bool = False,
        read_only: bool = False,
        stdin: bytes = b"",
    ) -> Finished:
        self.asked.append(
            {"argv": list(argv), "cwd": cwd, "timeout": timeout, "network": network, "ro": read_only, "stdin": stdin}
        )
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def act(role: str = "DevOps", *, timeout: float = 300, network: bool = False) -> Act:
    return Act(role, Claim("t", role, "c", 1, 0, ()), 1, "call", timeout, network)


def tool(name: str, recorder: Recorder, **more: Any) -> Tool[Any]:
    return {one.name: one for one in shell.tools(recorder, ("QA", "Security"), **more)}[name]


async def call(one: Tool[Any], by: Act | None = None, **args: Any) -> Output:
    return await one.run(one.args.model_validate(args), by or act())


async def test_a_command_is_one_argument_of_bash() -> None:
    recorder = Recorder()
    output = await call(tool("run_shell", recorder), command="echo $((1+1)); ls", cwd="config", timeout=7)
    assert recorder.asked == [
        {
            "argv": ["bash", "-c", "echo $((1+1)); ls"],
            "cwd": "config",
            "timeout": 7,
            "network": False,
            "ro": False,
            "stdin": b"",
        }
    ]
    assert output == Output("exit code 0\nstdout:\nout\nstderr: (empty)")


@pytest.mark.parametrize(("role", "read_only"), [("QA", True), ("Security", True), ("DevOps", False)])
async def test_reviewing_roles_only_look(role: str, read_only: bool) -> None:
    recorder = Recorder()
    await call(tool("run_shell", recorder), act(role), command="ls")
    await call(tool("run_code", recorder), act(role), language="python", code="1")
    assert [asked["ro"] for asked in recorder.asked] == [read_only, read_only]


async def test_the_network_is_the_roles_and_time_never_more_than_the_roles() -> None:
    recorder = Recorder()
    await call(tool("run_shell", recorder), act(timeout=20, network=True), command="ls", timeout=600)
    assert (recorder.asked[0]["network"], recorder.asked[0]["timeout"]) == (True, 20)


@pytest.mark.parametrize(("language", "program"), [("python", "python3"), ("shell", "bash")])
async def test_code_comes_on_standard_input(language: str, program: str) -> None:
    recorder = Recorder()
    await call(tool("run_code", recorder), language=language, code="print('ä')")
    assert recorder.asked[0]["argv"][0] == program
    assert recorder.asked[0]["stdin"] == "print('ä')".encode()


async def test_code_runs_elsewhere_if_so_set() -> None:
    here, elsewhere = Recorder(), Recorder()
    await call(tool("run_code", here, code_executor=elsewhere), language="python", code="1")
    await call(tool("run_shell", here, code_executor=elsewhere), command="ls")
    assert (len(here.asked), len(elsewhere.asked)) == (1, 1)


async def test_typescript_where_node_strips_types() -> None:
    recorder = Recorder([replace(DONE, stdout="22.18.0"), replace(DONE, stdout="42\n")])
    output = await call(tool("run_code", recorder), language="typescript", code="const x: number = 42")
    assert "42" in output.content
    assert "--experimental-strip-types" in recorder.asked[1]["argv"][2]
    assert recorder.asked[1]["stdin"] == b"const x: number = 42"


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (replace(DONE, exit_code=127), MissingBinary, "needs node 22.6 or later, which isn't installed"),
        (replace(DONE, stdout="20.20.2"), MissingBinary, "here is 20.20.2"),
        (replace(DONE, stdout="nonsense"), ToolError, "doesn't tell its version"),
    ],
)
async def test_typescript_elsewhere_names_what_is_missing(
    answer: Finished, error: type[ToolError], said: str
) -> None:
    recorder = Recorder([answer])
    with pytest.raises(error, match=said):
        await call(tool("run_code", recorder), language="typescript", code="1")
    assert len(recorder.asked) == 1


@pytest.mark.parametrize(
    ("name", "args", "reads", "effect", "with_network"),
    [
        ("run_shell", {"command": "ls"}, Effect.READ, Effect.READ, Effect.READ),
        ("run_shell", {"command": "rm x"}, Effect.MUTATE, Effect.WRITE, Effect.MUTATE),
        ("run_shell", {"command": "rm -rf /srv"}, Effect.DESTROY, Effect.WRITE, Effect.DESTROY),
        ("run_code", {"language": "shell", "code": "ls"}, Effect.READ, Effect.READ, Effect.READ),
        ("run_code", {"language": "python", "code": "print(1)"}, Effect.MUTATE, Effect.WRITE, Effect.MUTATE),
    ],
)
async def test_the_sandbox_bounds_what_a_script_says(
    name: str, args: dict[str, Any], reads: Effect, effect: Effect, with_network: Effect
) -> None:
    made = tool(name, Recorder())
    parsed = made.args.model_validate(args)
    assert made.effect_of(parsed) is Effect.WRITE
    assert made.text is not None
    assert made.text(parsed).effect is reads
    claim = await claimed(InMemoryRoom("room"))
    for network, expected in ((False, effect), (True, with_network)):
        turn = TurnContext(role(tools=(name,), network=network), claim, 1)
        assert Wish.of(made, parsed, ToolCall("c", name, args), turn).effect is expected


@pytest.mark.parametrize(
    ("done", "status", "said"),
    [
        (DONE, Status.OK, "exit code 0\n"),
        (replace(DONE, exit_code=1, stdout=""), Status.OK, "exit code 1\n"),  # grep found nothing
        (replace(DONE, exit_code=1, stderr="grep: no such file"), Status.ERROR, "exit code 1\n"),
        (replace(DONE, exit_code=2), Status.ERROR, "exit code 2\n"),
        (replace(DONE, exit_code=127), Status.ERROR, "exit code 127 (a program in it isn't installed here)"),
        (replace(DONE, exit_code=139), Status.ERROR, "exit code 139 (ended by a segmentation fault)"),
        (replace(DONE, exit_code=-9), Status.ERROR, "exit code -9 (ended by a kill)"),
        (replace(DONE, exit_code=153), Status.ERROR, "ended by its bound on file size"),
        (replace(DONE, exit_code=152), Status.ERROR, "ended by its bound on CPU time"),
        (replace(DONE, exit_code=None), Status.ERROR, "killed\n"),
        (replace(DONE, exit_code=None, over="disk"), Status.ERROR, "the workspace is full"),
        (
            replace(DONE, exit_code=137, over="memory"),
            Status.ERROR,
            "needed more memory than it may have; ended by a kill",
        ),
        (replace(DONE, exit_code=None, over="pids"), Status.ERROR, "started more processes"),
        (replace(DONE, truncated=True), Status.OK, "the middle is left out"),
        (replace(DONE, exit_code=None, timed_out=True, seconds=60.02), Status.TIMEOUT, "killed after 60.0 s"),
    ],
)
def test_how_an_end_is_told(done: Finished, status: Status, said: str) -> None:
    output = shell.told(done)
    assert output.status is status
    assert said in output.content.splitlines()[0] + "\n"


def test_streams_are_told_apart() -> None:
    output = shell.told(replace(DONE, stdout="a\nb\n", stderr="c\n"))
    assert output.content == "exit code 0\nstdout:\na\nb\nstderr:\nc"


@pytest.mark.parametrize(
    "args",
    [
        {"command": ""},
        {"command": "x" * 200_000},
        {"command": "ls", "timeout": 0},
        {"command": "ls", "timeout": 6000},
        {"command": ["ls"]},
        {"command": "ls", "shell": True},
    ],
)
def test_what_is_no_call(args: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        shell.ShellArgs.model_validate(args)
    assert shell.ShellArgs.model_validate({"command": "ls"}).timeout == 60
