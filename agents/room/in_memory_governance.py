"""Leases and effects of a room in memory."""

from collections.abc import Sequence
from dataclasses import replace

from agents.domain.effect import EffectRecord, EffectState, Lease, effect_id
from agents.domain.turn import Claim, JournalEntry
from agents.room.approvals import Approvals
from agents.room.effects import ran_out
from agents.room.in_memory_store import Store
from agents.room.shelf import ShelfInMemory, stale
from agents.room.wire import acts


class LeasesInMemory:
    """The `LeaseBoard` port in memory."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def acquire(self, names: Sequence[str], holder: str, ttl: float) -> Lease | str:
        """See the port."""
        now = self._store.clock()
        for name in names:
            lease, till = self._store.leases.get(name, (None, 0.0))
            if lease and till > now and lease.holder != holder:
                return lease.holder
        self._store.lease_token += 1
        given = Lease(tuple(names), holder, self._store.lease_token)
        self._store.leases.update(dict.fromkeys(names, (given, now + ttl)))
        return given

    async def renew(self, lease: Lease, ttl: float) -> bool:
        """See the port."""
        if lost_name(self._store, lease) is not None:
            return False
        self._store.leases.update(dict.fromkeys(lease.names, (lease, self._store.clock() + ttl)))
        return True

    async def release(self, lease: Lease) -> None:
        """See the port."""
        for name in lease.names:
            if self._store.leases.get(name, (None, 0.0))[0] == lease:
                del self._store.leases[name]


def lost_name(store: Store, lease: Lease) -> str | None:
    """One of the lease's names that it doesn't hold any more, or None."""
    now = store.clock()
    for name in lease.names:
        held, till = store.leases.get(name, (None, 0.0))
        if held is None or held.token != lease.token or till <= now:
            return name
    return None


class EffectsInMemory:
    """The effects of a room in memory."""

    def __init__(self, store: Store, approvals: Approvals, shelf: ShelfInMemory) -> None:
        self._store = store
        self._approvals = approvals
        self._shelf = shelf

    async def begin(
        self, claim: Claim, intent: JournalEntry, approval: str | None, digest: str, lease: Lease | None
    ) -> str:
        """See `Journal.begin_effect`."""
        store = self._store
        use = await self._approvals.use(approval, digest, claim.epoch) if approval is not None else None
        if claim.epoch != store.control.epoch:
            raise stale(store.control.epoch, claim.epoch)
        turn = store.held(claim)
        if lease and (name := lost_name(store, lease)) is not None:
            raise ran_out(name)
        # nothing was awaited since it was looked at
        if use:
            self._shelf.put([use.change])
            self._approvals.used(use.approval)
        turn.journal.append(intent)
        id, tool = effect_id(claim, intent), str(intent.body.get("name", ""))
        store.effects[id] = EffectRecord(
            id,
            claim.role,
            tool,
            intent.effect,
            digest,
            approval or "",
            claim.epoch,
            EffectState.STARTED,
            store.clock(),
        )
        store.mission = replace(store.mission, acts=store.mission.acts + acts([intent]))
        return id

    async def end(self, effect: str, state: EffectState) -> None:
        """See `Journal.end_effect`."""
        record = self._store.effects.get(effect)
        if record and record.state in (EffectState.STARTED, EffectState.UNKNOWN):
            self._store.effects[effect] = replace(record, state=state, ended=self._store.clock())

    async def all(self) -> list[EffectRecord]:
        """See `Journal.effects`."""
        return sorted(self._store.effects.values(), key=lambda record: record.started)
