"""Who is at work in a module, and what becomes of its saved plan."""

import asyncio
import stat
from pathlib import Path

import pytest

from agents.domain.errors import Refused
from agents.executors.plan_summary import summarise
from agents.executors.terraform_modules import Module, held


@pytest.fixture
def module(tmp_path: Path) -> Module:
    return Module("infra/site", tmp_path, tmp_path)


async def test_one_at_a_time_and_the_holder_is_named(module: Module) -> None:
    async with held(module, "DevOps", 0):
        with pytest.raises(Refused, match="infra/site is held by DevOps"):
            async with held(module, "Coder", 0.2):
                pass
    async with held(module, "Coder", 0):
        pass


async def test_waiting_gets_the_module_once_it_is_free(module: Module) -> None:
    order: list[str] = []

    async def work(name: str) -> None:
        async with held(module, name, 30):
            order.append(f"{name} in")
            await asyncio.sleep(0.05)
            order.append(f"{name} out")

    await asyncio.gather(work("a"), work("b"))
    assert order in (["a in", "a out", "b in", "b out"], ["b in", "b out", "a in", "a out"])


async def test_a_failed_holder_lets_go(module: Module) -> None:
    with pytest.raises(RuntimeError):
        async with held(module, "DevOps", 0):
            raise RuntimeError
    async with held(module, "Coder", 0):
        pass


def test_a_saved_plan_is_taken_once(module: Module, tmp_path: Path) -> None:
    module.plan.write_bytes(b"plan")
    module.save(summarise({}))
    assert stat.S_IMODE(module.plan.stat().st_mode) == 0o600
    saved = module.saved()
    assert module.take(tmp_path / "copy") == saved
    assert (tmp_path / "copy").read_bytes() == b"plan"
    with pytest.raises(Refused, match="plan first"):
        module.take(tmp_path / "copy")


def test_a_plan_that_is_not_the_recorded_one_is_refused(module: Module, tmp_path: Path) -> None:
    module.plan.write_bytes(b"plan")
    module.save(summarise({}))
    module.plan.write_bytes(b"other")
    with pytest.raises(Refused, match="altered"):
        module.take(tmp_path / "copy")
    assert module.saved() is None
