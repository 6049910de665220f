"""kubectl on the cluster that the User's kubeconfig names."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from agents.domain.errors import InvalidArguments, ToolError
from agents.executors.kubectl_arguments import Line, checked
from agents.executors.process import Finished, Processes, base_environment
from agents.executors.workspace import Workspace

MAX_MANIFESTS = 4 << 20  # bytes, all of one call
_ENDINGS = (".yaml", ".yml", ".json")
_FIX = "the User sets KUBECONFIG_PATH in .env to the kubeconfig of the cluster the team may use"


class Kubectl:
    """Runs kubectl with one kubeconfig. `home` is an empty directory; `variables` is all else it sees of ours."""

    def __init__(
        self,
        processes: Processes,
        workspace: Workspace,
        home: Path,
        kubeconfig: Path | None,
        *,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._processes = processes
        self._workspace = workspace
        self._home = home
        self._kubeconfig = kubeconfig
        self._variables = dict(variables or {})

    async def manifests(self, args: Sequence[str]) -> bytes:
        """What the command line would give to the cluster, as one stream. Raise what `run` raises."""
        line = checked(args)
        return await asyncio.to_thread(self._manifests, line) if line.manifests else b""

    def named(self, args: Sequence[str]) -> tuple[str, ...]:
        """The files and folders the command line names, by their one name. Raise PathEscape."""
        return tuple(self._workspace.shown(path) for path in checked(args).manifests)

    async def run(self, args: Sequence[str], timeout: float, manifests: bytes | None = None) -> Finished:
        """Run it. Raise Refused, InvalidArguments, MissingBinary, and ToolError where no cluster is set up.

        `manifests`: what was read before, in the place of what the files hold now.
        """
        line = checked(args)
        if self._kubeconfig is None:
            raise ToolError(f"no cluster is set up: {_FIX}")
        kubeconfig = self._kubeconfig.expanduser()
        if not kubeconfig.is_file():
            raise ToolError(f"there is no kubeconfig {kubeconfig}: {_FIX}")
        stdin = await self.manifests(args) if manifests is None else manifests
        env = {**base_environment(self._home), **self._variables, "KUBECONFIG": str(kubeconfig)}
        return await self._processes.run(
            ["kubectl", *line.argv], cwd=self._home, env=env, timeout=timeout, stdin=stdin
        )

    def _manifests(self, line: Line) -> bytes:
        """The named manifests as one stream. kubectl opens no file itself: a link would lead it anywhere."""
        names: list[str] = []
        for path in line.manifests:
            if self._workspace.kind(path) == "folder":
                found = [str(entry.place) for entry in self._workspace.entries(path) if entry.kind == "file"]
                names += sorted(name for name in found if name.endswith(_ENDINGS))
            else:
                names.append(self._workspace.shown(path))
        if not names:
            raise InvalidArguments(f"{', '.join(line.manifests)}: no {', '.join(_ENDINGS)} files there")
        parts: list[str] = []
        for name in names:
            text = self._workspace.read_text(name)
            parts.append(_as_yaml(name, text) if name.endswith(".json") else text)
            if sum(map(len, parts)) > MAX_MANIFESTS:
                raise InvalidArguments(
                    f"the manifests have more than {MAX_MANIFESTS:,} characters: apply them in parts"
                )
        return "\n---\n".join(parts).encode()


def _as_yaml(name: str, text: str) -> str:
    """One JSON document as one line of YAML."""
    try:
        return json.dumps(json.loads(text), ensure_ascii=True)
    except ValueError as error:
        raise InvalidArguments(f"{name}: not JSON: {error}") from None
