"""How long the file tools take: `python -m benchmarks.files`. Prints medians and tails in milliseconds.

Goal: reading 1 KiB through the tool takes at most 0.3 ms.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from agents.domain.redaction import SecretMask
from agents.domain.turn import Claim
from agents.executors.confinement import kernel_has_openat2
from agents.executors.lint import Lint
from agents.executors.process import Processes
from agents.executors.search import Search
from agents.executors.versions import Versions
from agents.executors.workspace import Workspace
from agents.tools.files import tools
from agents.tools.registry import Act, Tool

ACT = Act("Coder", Claim("turn01", "Coder", "one", 1, 0, ()), 1, "call", 30)
READS, WRITES, SEARCHES = 5000, 60, 20


def toolbox(base: Path, *, openat2: bool) -> dict[str, Tool[Any]]:
    """The file tools over a workspace below `base`, with a thousand small files in it."""
    names = {"infra": "generated_iac/infra", "config": "generated_iac/config", "docs": "docs", "tmp": "tmp"}
    workspace = Workspace({name: base / path for name, path in names.items()}, openat2=openat2)
    for number in range(1000):
        path = base / "docs" / f"{number % 10}" / f"{number}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text("one line of text\n" * 20)
    processes = Processes()
    versions = Versions(processes, base / "generated_iac", base, ("infra", "config"))
    search, lint = Search(workspace, processes, base), Lint(workspace, processes, base)
    return {tool.name: tool for tool in tools(workspace, versions, search, lint, SecretMask())}


async def measured(title: str, count: int, call: Callable[[int], Awaitable[object]]) -> None:
    """Call `count` times and print the distribution."""
    times = []
    for number in range(count):
        started = time.perf_counter()
        await call(number)
        times.append((time.perf_counter() - started) * 1000)
    cuts = statistics.quantiles(times, n=100)
    print(f"{title:44} p50 {cuts[49]:8.3f}  p90 {cuts[89]:8.3f}  p99 {cuts[98]:8.3f}  max {max(times):8.3f}")


async def run(base: Path, *, openat2: bool) -> None:
    """Every tool, over one way of confinement."""
    box = toolbox(base, openat2=openat2)

    async def call(tool: str, **args: Any) -> object:
        return await box[tool].run(box[tool].args.model_validate(args), ACT)

    await call("save_file", path="tmp/kib", content=("x" * 63 + "\n") * 16)
    await call("save_file", path="tmp/a/b/c/d/kib", content=("x" * 63 + "\n") * 16)
    await measured("read_file 1 KiB", READS, lambda n: call("read_file", path="tmp/kib"))
    await measured("read_file 1 KiB, five folders deep", READS, lambda n: call("read_file", path="tmp/a/b/c/d/kib"))
    await measured("list_files, 1000 files", SEARCHES, lambda n: call("list_files"))
    await measured("search_files, 1000 files", SEARCHES, lambda n: call("search_files", pattern=r"lin\w+ of"))
    await measured("save_file 1 KiB, no versions", WRITES, lambda n: call("save_file", path="tmp/w", content=f"{n}"))
    await measured(
        "save_file, with a version", WRITES, lambda n: call("save_file", path="config/w", content=f"{n}\n")
    )
    await measured(
        "save_file, version and JSON lint", WRITES, lambda n: call("save_file", path="config/w.json", content=f"{n}")
    )


def main() -> None:
    """Measure both ways of confinement, where the kernel has both."""
    for openat2 in (True, False):
        if openat2 and not kernel_has_openat2():
            print("openat2: not on this kernel")
            continue
        print(f"confined by {'openat2' if openat2 else 'a walk of O_NOFOLLOW opens'}; milliseconds")
        with tempfile.TemporaryDirectory() as directory:
            asyncio.run(run(Path(directory), openat2=openat2))


if __name__ == "__main__":
    main()
