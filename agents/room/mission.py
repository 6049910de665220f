"""The pinned mission."""

import json
from collections.abc import Sequence
from typing import Any

from agents.domain.errors import BadInput
from agents.domain.mission import PROBE, Check, Mission, Probe, Request, Verdict, check_id
from agents.room.connection import Arg, Link
from agents.room.keys import Keys
from agents.room.wire import dumped

MOST_CHECKS = 30


class RedisMission:
    """The `MissionBoard` port on Redis: one hash, so that a new mission starts with deleting it."""

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys

    async def read(self) -> Mission:
        """The mission now."""
        return _mission(await self._link.command("HGETALL", self._keys.mission))

    async def propose(self, probes: Sequence[Probe]) -> Mission:
        """See the port. Raise BadInput, with nothing added, when there would be too many."""
        args: list[Arg] = [MOST_CHECKS]
        for probe in probes:
            args += [check_id(probe), PROBE.dump_json(probe)]
        status, answer = await self._link.script("propose", self._keys.common, args)
        if status == b"full":
            raise too_many(int(answer))
        return _mission(answer)

    async def judge(self, check: str, verdict: Verdict, evidence: str) -> None:
        """See the port. A check that is gone with its mission is passed over."""
        args = [check, "verdict", dumped([verdict.value, evidence])]
        await self._link.script("mark", self._keys.common, args)

    async def waive(self, check: str, why: str) -> Check:
        """See the port."""
        status, *answer = await self._link.script("mark", self._keys.common, [check, "waived", why])
        if status == b"unknown":
            raise unknown_check(check, await self.read())
        return next(item for item in _mission(answer[0]).checks if item.id == check)


def too_many(there: int) -> BadInput:
    """The error of a mission that is full."""
    return BadInput(f"a mission has at most {MOST_CHECKS} checks and {there} are there: propose fewer")


def unknown_check(check: str, mission: Mission) -> BadInput:
    """The error of a check id nobody knows."""
    known = ", ".join(item.id for item in mission.checks) or "none"
    return BadInput(f"no check {check!r} in this mission; its checks: {known}")


def _mission(flat: Sequence[Any]) -> Mission:
    """The mission of its hash's fields and values."""
    fields = dict(zip(map(bytes.decode, flat[::2]), flat[1::2], strict=True))
    requests = (json.loads(fields[f"request:{n + 1}"]) for n in range(int(fields.get("requests", 0))))
    checks = []
    for name, value in fields.items():
        if name.startswith("check:"):
            number, _, probe = value.partition(b" ")
            checks.append((int(number), _check(name.removeprefix("check:"), probe, fields)))
    return Mission(
        requests=tuple(Request(*request) for request in requests),
        checks=tuple(check for _, check in sorted(checks, key=lambda pair: pair[0])),
        acts=int(fields.get("acts", 0)),
    )


def _check(name: str, probe: bytes, fields: dict[str, bytes]) -> Check:
    check = Check(name, PROBE.validate_json(probe))
    waived = fields.get(f"waived:{name}")
    verdict, evidence = json.loads(fields.get(f"verdict:{name}", dumped([check.verdict.value, check.evidence])))
    return Check(name, check.probe, Verdict(verdict), evidence, waived.decode() if waived is not None else None)
