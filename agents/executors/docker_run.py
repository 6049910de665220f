"""Docker as executor for run_code: one container per call, without network, privileges or a writable root."""

import asyncio
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.executors import bubblewrap
from agents.executors.levels import Limits
from agents.executors.process import Finished, Processes, base_environment
from agents.executors.workspace import Workspace

KILL_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Image:
    """What to run: an image, and the container runtime (runc, runsc, kata …; empty: the engine's default)."""

    name: str
    runtime: str = ""


class DockerExecutor:
    """Runs commands over the workspace, each in a fresh container. `host` is the engine's address, if not its own."""

    def __init__(
        self,
        processes: Processes,
        workspace: Workspace,
        image: Image,
        *,
        limits: Limits | None = None,
        host: str = "",
        user: str = "",
    ) -> None:
        self._processes = processes
        self._workspace = workspace
        self._image = image
        self._limits = limits or Limits()
        self._env = {**base_environment(Path("/nonexistent")), **({"DOCKER_HOST": host} if host else {})}
        self._user = user or f"{os.getuid()}:{os.getgid()}"

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
        """Run `argv`; its container never outlives the call. Raise MissingBinary, else as the sandbox does."""
        name = self._workspace.shown(cwd)
        inner = bubblewrap.inside(name) if name else "/app"
        container = f"minilab-{secrets.token_hex(8)}"
        binds = bubblewrap.workspace_binds(self._workspace.roots, read_only=read_only)
        binds += bubblewrap.masks(self._workspace.states())
        command = arguments(
            self._image, self._limits, binds, argv, name=container, cwd=inner, network=network, user=self._user
        )
        done = None
        try:
            done = await self._run(command, timeout, stdin)
        finally:
            # the client's death doesn't end its container
            if done is None or done.exit_code is None:
                await asyncio.shield(self._run(["docker", "kill", container], KILL_SECONDS))
        return done

    async def _run(self, argv: Sequence[str], timeout: float, stdin: bytes = b"") -> Finished:
        return await self._processes.run(argv, cwd=Path("/"), env=self._env, timeout=timeout, stdin=stdin)


def arguments(
    image: Image,
    limits: Limits,
    binds: Sequence[bubblewrap.Bind],
    argv: Sequence[str],
    *,
    name: str,
    cwd: str,
    network: bool,
    user: str,
) -> list[str]:
    """The command line that runs `argv` in a container."""
    environment = {"HOME": "/tmp", "LANG": "C.UTF-8", "TERM": "dumb"}  # noqa: S108  inside
    return [
        *("docker", "run", "--rm", "--interactive", "--init", "--name", name, "--hostname", "minilab"),
        *("--network", "bridge" if network else "none", "--read-only", "--user", user),
        *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--log-driver", "none"),
        *("--memory", str(limits.memory), "--memory-swap", str(limits.memory), "--pids-limit", str(limits.pids)),
        *("--ulimit", "core=0", "--ulimit", f"cpu={limits.cpu_seconds}"),
        *("--ulimit", f"fsize={limits.file_bytes}", "--ulimit", f"nofile={limits.open_files}"),
        *("--shm-size", str(limits.tmp_bytes), "--tmpfs", f"/tmp:rw,nosuid,nodev,exec,size={limits.tmp_bytes}"),  # noqa: S108
        *(["--runtime", image.runtime] if image.runtime else []),
        *(word for bind in binds for word in ("--mount", _mount(bind))),
        *(word for key, value in environment.items() for word in ("--env", f"{key}={value}")),
        *("--workdir", cwd, image.name, *argv),
    ]


def _mount(bind: bubblewrap.Bind) -> str:
    """A mount as the option takes it: one line of CSV."""
    fields = ["type=bind", f"source={bind.source}", f"target={bind.target}", *([] if bind.writable else ["readonly"])]
    return ",".join(
        '"' + field.replace('"', '""') + '"' if '"' in field or "," in field else field for field in fields
    )
