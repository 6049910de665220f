"""The hosts of the inventory: does each answer, and with the key that is pinned?"""

import asyncio
from typing import TYPE_CHECKING

from agents.domain.errors import MiniLabError
from agents.domain.hosts import INVENTORY, Inventory
from client.doctor.rows import Level, Row, Subject
from client.text import one_line

if TYPE_CHECKING:
    from client.hosts import Lab

NAME = "ssh hosts"
SECONDS = 4.0
EXAMINED = 24  # hosts tried; more would take too long


async def hosts(subject: Subject) -> Row:
    """Try TCP and key exchange with every host at once."""
    from client import hosts as known

    place = known.lab(subject.home, subject.state_dir, subject.key_dir)
    try:
        inventory = known.read(place)
    except MiniLabError as error:
        return Row(NAME, Level.WARN, str(error), "mend the file; until then run_ssh refuses every host")
    if not inventory.hosts:
        return Row(NAME, Level.OK, f"none in {INVENTORY}")
    names = list(inventory.hosts)[:EXAMINED]
    faults = await asyncio.gather(*(_fault(inventory, name, place) for name in names))
    told = [f"{name}: {fault}" for name, fault in zip(names, faults, strict=True) if fault]
    more = f"; {len(inventory.hosts) - len(names)} more not tried" if len(inventory.hosts) > len(names) else ""
    if told:
        return Row(NAME, Level.WARN, "; ".join(told) + more, "./minilab hosts list shows which; trust pins a key")
    return Row(NAME, Level.OK, f"{len(names)} answering with the pinned key{more}")


async def _fault(inventory: Inventory, name: str, place: "Lab") -> str:
    """What is wrong with a host; empty: nothing."""
    try:
        async with asyncio.timeout(SECONDS):
            return await asyncio.to_thread(_examined, inventory, name, place)
    except TimeoutError:
        return f"no answer within {SECONDS:g} s"
    except MiniLabError as error:
        return one_line(str(error).removeprefix(f"{name} "), 120)


def _examined(inventory: Inventory, name: str, place: "Lab") -> str:
    from client import hosts as known

    line, pins = inventory.line(name), known.pinned(place)
    if pins.lookup(line[-1].pin_name) is None:
        return "its key is not pinned"
    key = known.shown_key(line, place, pins, SECONDS / 2)
    return "" if pins.check(line[-1].pin_name, key) else "ITS KEY HAS CHANGED"
