"""Tools that run commands in the sandbox: run_shell and run_code."""

import shlex
from collections.abc import Collection
from typing import Any, Literal

from pydantic import Field

from agents.domain.errors import MissingBinary, ToolError
from agents.domain.turn import Effect, Status
from agents.executors.process import Finished
from agents.executors.sandbox import Executor
from agents.tools import commands
from agents.tools.commands import Verdict
from agents.tools.registry import Act, Args, Output, Tool

MAX_SCRIPT = 100_000  # characters; the kernel takes at most 128 KiB in one argument
MAX_SECONDS = 600
_SIGNAL_BASE = 128
_SIGNALS = {
    4: "an illegal instruction",
    6: "an abort",
    8: "an arithmetic error",
    9: "a kill",
    11: "a segmentation fault",
    15: "a termination",
    24: "its bound on CPU time",
    25: "its bound on file size",
}
_OVER = {
    "memory": "a process was killed: the command needed more memory than it may have",
    "pids": "it started more processes than it may have",
    "disk": "it was killed: the workspace is full",
}
_TYPESCRIPT_NODE = (22, 6)
_NODE_VERSION = "process.stdout.write(process.versions.node)"
# a file, for node strips the types of a .mts only
_TYPESCRIPT = 'f=$(mktemp --suffix=.mts) && cat >"$f" && exec node --experimental-strip-types --no-warnings "$f"'


class ShellArgs(Args):
    """What `run_shell` takes."""

    command: str = Field(min_length=1, max_length=MAX_SCRIPT, description="a bash script")
    cwd: str = Field("", description="folder to start in, such as infra/site; empty: /app")
    timeout: int = Field(60, ge=1, le=MAX_SECONDS, description="seconds")


class CodeArgs(Args):
    """What `run_code` takes."""

    language: Literal["python", "shell", "typescript"]
    code: str = Field(min_length=1, max_length=1_000_000)
    timeout: int = Field(60, ge=1, le=MAX_SECONDS, description="seconds")


def tools(
    sandbox: Executor,
    read_only_roles: Collection[str] = (),
    *,
    code_executor: Executor | None = None,
) -> list[Tool[Any]]:
    """`run_shell` and `run_code`.

    For `read_only_roles` the workspace is read-only. A call is a write, for the sandbox reaches nothing but the
    workspace; what the script itself says is read by `text`. `code_executor` runs code elsewhere than in `sandbox`.
    """
    runner = code_executor or sandbox

    async def shell(args: ShellArgs, act: Act) -> Output:
        done = await sandbox.run(
            ["bash", "-c", args.command],
            cwd=args.cwd,
            timeout=min(args.timeout, act.timeout),
            network=act.network,
            read_only=act.role in read_only_roles,
        )
        return told(done)

    async def code(args: CodeArgs, act: Act) -> Output:
        timeout = min(args.timeout, act.timeout)
        limits: dict[str, Any] = {"network": act.network, "read_only": act.role in read_only_roles}
        if args.language == "typescript":
            await _need_typescript(runner)
        argv = _INTERPRETERS[args.language]
        # the code comes on standard input: an argument can't be as long, and other users could read it
        return told(await runner.run(argv, timeout=timeout, stdin=args.code.encode(), **limits))

    return [
        Tool(
            "run_shell",
            "Run a bash script in a sandbox on this machine: it sees the workspace at /app/infra, /app/config, "
            "/app/docs (read-only) and /tmp/app (in a container /app/tmp), the system's programs, and nothing else: "
            "no hosts, no SSH keys, no Docker, no network unless your role has it. Files in passing go to $TMPDIR. "
            "What it leaves in the background is ended with it; to serve "
            'something use host_app. Example: {"command": "grep -rn 8089 /app/config", "timeout": 20}',
            ShellArgs,
            shell,
            Effect.WRITE,
            timeout=MAX_SECONDS + 10,
            text=lambda args: commands.classify(args.command),
        ),
        Tool(
            "run_code",
            "Run a program (python, shell or typescript) in the same sandbox and return its exit code, stdout and "
            "stderr. Its working folder is /app. For trying out logic, parsing, calculations and scripts.",
            CodeArgs,
            code,
            Effect.WRITE,
            timeout=MAX_SECONDS + 10,
            text=_code_text,
        ),
    ]


def _code_text(args: CodeArgs) -> Verdict:
    """What the code says it does: a program's text is not read, so it may do anything."""
    if args.language == "shell":
        return commands.classify(args.code)
    return Verdict(Effect.MUTATE, (f"what a {args.language} program does can't be told from its text",))


_INTERPRETERS: dict[str, list[str]] = {
    "python": ["python3", "-B", "-"],
    "shell": ["bash", "-s"],
    "typescript": ["bash", "-c", _TYPESCRIPT],
}


def told(done: Finished) -> Output:
    """A command's end as the model reads it: how it ended, stdout and stderr apart."""
    parts = [_ending(done)]
    for name, text in (("stdout", done.stdout), ("stderr", done.stderr)):
        parts.append(f"{name}:\n{text.rstrip()}" if text.strip() else f"{name}: (empty)")
    if done.timed_out:
        return Output("\n".join(parts), Status.TIMEOUT)
    # grep, diff and test say "no" by a silent 1: that is an answer, not a failure
    answered = done.exit_code == 0 or (done.exit_code == 1 and not done.stderr.strip())
    return Output("\n".join(parts), Status.OK if answered else Status.ERROR)


def _ending(done: Finished) -> str:
    if done.timed_out:
        return f"killed after {done.seconds:.1f} s: its time was over; give it more (timeout) or do less"
    notes = []
    if done.over:
        notes.append(_OVER[done.over])
    if done.exit_code is None:
        return "; ".join(notes) or "killed"
    number = -done.exit_code if done.exit_code < 0 else done.exit_code - _SIGNAL_BASE
    if number in _SIGNALS:
        notes.append(f"ended by {_SIGNALS[number]}")
    if done.exit_code == _SIGNAL_BASE - 1:
        notes.append("a program in it isn't installed here")
    if done.truncated:
        notes.append("its output was too long: the middle is left out")
    return f"exit code {done.exit_code}" + (f" ({'; '.join(notes)})" if notes else "")


async def _need_typescript(runner: Executor) -> None:
    """Raise MissingBinary unless node is there and can strip types."""
    found = await runner.run(["bash", "-c", f"node -e {shlex.quote(_NODE_VERSION)}"], timeout=10)
    if found.exit_code != 0:
        raise MissingBinary("typescript needs node 22.6 or later, which isn't installed here; write it in python")
    version = tuple(int(part) for part in found.stdout.split(".")[:2] if part.isdigit())
    if not version:
        raise ToolError(f"node doesn't tell its version: {found.stdout[:80]!r}")
    if version < _TYPESCRIPT_NODE:
        raise MissingBinary(
            f"typescript needs node 22.6 or later, here is {found.stdout.strip()[:20]}: upgrade it, or write python"
        )
