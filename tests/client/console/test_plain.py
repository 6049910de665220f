"""The console without a terminal."""

import asyncio
import io
import os
from pathlib import Path

import pytest
from rich.text import Text

from client.console import plain
from tests.support.desk import desk_of


async def test_each_line_is_submitted_until_exit(prompts: Path) -> None:
    desk, shown = desk_of(prompts)
    reading, writing = os.pipe()
    os.write(writing, "hello\n/nope\nwörld\nexit\nnot this\n".encode())
    async with asyncio.timeout(10):
        await plain.converse(desk, reading)
    os.close(writing)
    assert [message.content for message in await desk.opened.room.events()] == ["hello", "wörld"]
    assert shown.lines == ["── not sent: there is no command /nope; nearest: /stop"]


async def test_at_the_end_of_input_it_says_so_and_waits(prompts: Path, tmp_path: Path) -> None:
    desk, shown = desk_of(prompts)
    script = tmp_path / "script"
    script.write_text("hello\nno newline at the end")
    with script.open("rb") as stdin:
        talk = asyncio.create_task(plain.converse(desk, stdin.fileno()))
        async with asyncio.timeout(10):
            while not shown.lines:
                await asyncio.sleep(0.01)
        assert not talk.done()
        talk.cancel()
        await asyncio.wait([talk])
    assert "no more input" in shown.text
    assert [message.content for message in await desk.opened.room.events()] == ["hello", "no newline at the end"]


async def test_no_standard_input_is_its_end(prompts: Path) -> None:
    desk, shown = desk_of(prompts)
    talk = asyncio.create_task(plain.converse(desk, -1))
    async with asyncio.timeout(10):
        while not shown.lines:
            await asyncio.sleep(0.01)
    talk.cancel()
    await asyncio.wait([talk])
    assert "no more input" in shown.text


async def test_a_line_without_end_is_refused_not_kept_in_memory(prompts: Path, tmp_path: Path) -> None:
    desk, shown = desk_of(prompts)
    endless = tmp_path / "endless"
    endless.write_bytes(b"x" * (3 << 20) + b"\nexit\n")
    with endless.open("rb") as stdin:
        async with asyncio.timeout(30):
            await plain.converse(desk, stdin.fileno())
    assert "the limit is" in shown.text
    assert await desk.opened.room.events() == []


def test_printer_prints_without_styles() -> None:
    out = io.StringIO()
    plain.printer(out)(Text("red", "red"))
    assert out.getvalue() == "red\n"


def test_a_reader_that_went_away_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    plain.printer(stream)(Text("x"))
    with pytest.raises(BrokenPipeError):
        stream.close()


async def test_nobody_to_ask_means_yes() -> None:
    assert await plain.agree("sure?")


def test_a_pipe_is_no_terminal() -> None:
    assert not plain.is_terminal("xterm")
