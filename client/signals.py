"""Ends the program's one task on SIGINT, SIGTERM and SIGHUP, once, so that what it started ends in order."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signalled(Exception):
    """A signal ended the work; the work's own clean-up is over. `exit_code` is 128 + its number."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.exit_code = 128 + number


async def until_signalled(work: Coroutine[Any, Any, T]) -> T:
    """The work's result. Raise Signalled if one came first; a second one doesn't hurry the clean-up."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    received: list[signal.Signals] = []

    def end(number: signal.Signals) -> None:
        if not received:
            received.append(number)
            task.cancel()

    # a signal somebody chose to ignore (nohup) stays ignored
    watched = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    for number in watched:
        loop.add_signal_handler(number, end, number)
    try:
        return await task
    except asyncio.CancelledError:
        if received:
            raise Signalled(received[0]) from None
        raise
    finally:
        for number in watched:
            loop.remove_signal_handler(number)
