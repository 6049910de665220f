"""The gate is the one way to an act: nobody else runs a tool; only tools and composition roots reach executors."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import REPOSITORY

GATE = "agents/tools/gate.py"
# the last one runs its own probe in the sandbox, for the doctor
REACH_EXECUTORS = ("agents/executors/", "agents/tools/", "agents/toolbox.py", "agents/sandbox_probe.py")


def modules() -> Iterator[tuple[str, ast.Module]]:
    for package in ("agents", "client"):
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            yield str(path.relative_to(REPOSITORY)), ast.parse(path.read_text())


def imported(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def called(tree: ast.Module, name: str) -> bool:
    """Whether something of that name is called."""
    return any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
        for node in ast.walk(tree)
    )


def runs_a_tool(tree: ast.Module) -> bool:
    """Whether `tool.run(…)` stands in it."""
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "run"
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in ("tool", "found")
        for node in ast.walk(tree)
    )


def test_only_tools_and_composition_roots_reach_executors() -> None:
    reaching = {name for name, tree in modules() if any(i.startswith("agents.executors") for i in imported(tree))}
    assert {name for name in reaching if not name.startswith(REACH_EXECUTORS)} == set()
    assert "agents/toolbox.py" in reaching


def test_only_the_gate_makes_acts_and_runs_tools() -> None:
    assert {name for name, tree in modules() if called(tree, "Act")} == {GATE}
    assert {name for name, tree in modules() if runs_a_tool(tree)} == {GATE}


def test_what_the_gate_journals_is_begun_in_one_place() -> None:
    beginning = {
        name
        for name, tree in modules()
        if not name.startswith("agents/room/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "begin_effect"
    }
    assert beginning == {"agents/tools/acting.py"}


def test_the_search_finds_what_it_looks_for() -> None:
    assert runs_a_tool(ast.parse("async def f():\n    await tool.run(args, Act())\n"))
    assert called(ast.parse("Act()"), "Act")
    assert not called(ast.parse("act()"), "Act")
    assert Path(REPOSITORY / GATE).is_file()
