"""Acts on the world: their start, which uses an approval up, and their end."""

import json

from agents.domain.effect import EffectRecord, EffectState, Lease, effect_id
from agents.domain.errors import Refused
from agents.domain.message import new_id
from agents.domain.turn import Claim, Effect, JournalEntry
from agents.room.approvals import Approvals, Use
from agents.room.connection import Arg, Link
from agents.room.going import Going, Stopwatch, require_held
from agents.room.keys import Keys
from agents.room.room import Retention
from agents.room.shelf import milliseconds, stale
from agents.room.wire import acts, dumped, entry_to_text


class RedisEffects:
    """The effects of a room on Redis."""

    def __init__(self, link: Link, keys: Keys, approvals: Approvals, retention: Retention) -> None:
        self._link = link
        self._keys = keys
        self._approvals = approvals
        self._retention = retention
        self._going = Going(link, keys)

    async def begin(
        self, claim: Claim, intent: JournalEntry, approval: str | None, digest: str, lease: Lease | None
    ) -> str:
        """See `Journal.begin_effect`."""
        id, token = effect_id(claim, intent), new_id()
        keys = [*self._keys.common, self._keys.journal(claim.turn)]
        keys += [self._keys.approvals, self._keys.leases, self._keys.effects]
        # a withdrawn or added decision changes the text: look again, and say what became of it
        while True:
            use = await self._approvals.use(approval, digest, claim.epoch) if approval is not None else None
            args: list[Arg] = [
                claim.turn,
                claim.consumer,
                claim.fence,
                claim.epoch,
                token,
                entry_to_text(intent),
                acts([intent]),
                id,
                record_text(claim, intent, approval, digest),
                *_use_args(use),
                lease.token if lease else "",
                *(lease.names if lease else ()),
            ]
            watch = Stopwatch()
            status, *detail = await self._link.script("begin", keys, args)
            if status == b"paused":
                await self._going.wait(claim)
            elif status != b"changed":
                break
        if status == b"stale":
            raise stale(int(detail[0]), claim.epoch)
        require_held(status, claim)
        if status == b"expired":
            raise ran_out(detail[0].decode())
        if not watch.prompt:
            await self._going.wait(claim)
        if approval is not None:
            self._approvals.used(approval)
        return id

    async def end(self, effect: str, state: EffectState) -> None:
        """See `Journal.end_effect`."""
        keys = [*self._keys.common, self._keys.effects]
        await self._link.script("end", keys, [effect, state.value, self._retention.journal * 1000])

    async def all(self) -> list[EffectRecord]:
        """See `Journal.effects`."""
        flat = [text.decode() for text in await self._link.command("HGETALL", self._keys.effects)]
        found = [_record(id, *text.split(" ", 3)) for id, text in zip(flat[::2], flat[1::2], strict=True)]
        return sorted(found, key=lambda record: record.started)


def record_text(claim: Claim, intent: JournalEntry, approval: str | None, digest: str) -> str:
    """What is kept of an effect besides its state and times."""
    tool = str(intent.body.get("name", ""))
    return dumped([claim.role, tool, intent.effect.value, digest, approval or "", claim.epoch])


def ran_out(name: str) -> Refused:
    """The error of a lease that isn't held any more."""
    return Refused(f"the lease on {name} ran out before the act started: nothing was done, call again")


def _use_args(use: Use | None) -> list[Arg]:
    if use is None:
        return ["", "", "", ""]
    return [use.change.field, use.change.old, use.change.new, milliseconds(use.before)]


def _record(id: str, state: str, started: str, ended: str, body: str) -> EffectRecord:
    role, tool, effect, digest, approval, epoch = json.loads(body)
    return EffectRecord(
        id,
        role,
        tool,
        Effect(effect),
        digest,
        approval,
        epoch,
        EffectState(state),
        int(started) / 1000,
        int(ended) / 1000 if int(ended) else None,
    )
