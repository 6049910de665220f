"""Carrying out what was allowed: leases, a last look at the material, the start and the end on record."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from agents.domain.effect import EffectState, Lease
from agents.domain.errors import Refused, RoomError, RoomUnavailable, ToolError, ToolTimeout
from agents.domain.ports import Journal, LeaseBoard, Ledger, Redactor
from agents.domain.turn import Effect, EntryKind, JournalEntry, Status
from agents.tools.assessment import Wish
from agents.tools.material import Material
from agents.tools.registry import Output
from agents.tools.warrants import Warrant, Warrants

LEASE_SECONDS = 30.0
LEASE_WAIT = 20.0  # seconds an act waits for another's lease
_POLL = 0.5
_LAST_WORD_SECONDS = 1.0  # a cancelled act is given this long to record its end

Run = Callable[[Wish, Material | None], Awaitable[Output]]


@dataclass(frozen=True, slots=True)
class Acting:
    """Carries out warranted acts. `run` is the only way to a tool."""

    warrants: Warrants
    journal: Journal
    leases: LeaseBoard
    ledger: Ledger
    redactor: Redactor
    run: Run
    wait: float = LEASE_WAIT

    async def carry_out(self, warrant: Warrant) -> Output:
        """Do it. Raise ToolError where it failed or must not be; StaleEpoch, LeaseLost, RoomUnavailable."""
        assessment = warrant.assessment
        wish = assessment.wish
        if assessment.risk.effect is Effect.READ and warrant.approval is None:
            return await self.run(wish, None)
        if not warrant.digest:  # a write in the workspace that needs nobody's leave
            facts = wish.fields()
            self.ledger.append("intent", facts)
            await self.journal.record(wish.turn.claim, [self._intent(wish, assessment.risk.effect)])
            return await self._run_on_record(wish, None, facts, None)
        async with self._leased(wish, assessment.material.leases) as lease:
            material = await self.warrants.verified(warrant)
            facts = wish.fields() | {"digest": warrant.digest, "approval": warrant.approval or ""}
            facts |= {"effect": assessment.risk.effect.value, "targets": list(material.targets)}
            self.ledger.append("intent", facts)
            effect = await self.journal.begin_effect(
                wish.turn.claim,
                self._intent(wish, assessment.risk.effect),
                approval=warrant.approval,
                digest=warrant.digest,
                lease=lease,
            )
            self.ledger.note("started", facts)
            return await self._run_on_record(wish, material, facts, effect)

    async def _run_on_record(
        self, wish: Wish, material: Material | None, facts: dict[str, object], effect: str | None
    ) -> Output:
        """Run the tool; say how it ended, whatever happens."""
        state = EffectState.UNKNOWN  # of a timeout, a cancellation, a bug
        why = "nobody saw how it ended"
        try:
            output = await self.run(wish, material)
            state = _STATE_OF[output.status]
            why = output.status.value
            return output
        except ToolError as error:
            state = EffectState.UNKNOWN if isinstance(error, ToolTimeout) else EffectState.FAILED
            why = str(error)[:300]
            raise
        finally:
            self.ledger.note(state.value, facts | {"status": state.value, "why": why})
            if effect is not None:
                await self._ended(effect, state)

    async def _ended(self, effect: str, state: EffectState) -> None:
        """What can't be said to the room now is `started` there, which counts as unknown."""
        with suppress(RoomError, TimeoutError):
            async with asyncio.timeout(_LAST_WORD_SECONDS):
                await self.journal.end_effect(effect, state)

    def _intent(self, wish: Wish, effect: Effect) -> JournalEntry:
        body = {"name": wish.call.name, "args": self.redactor.value(wish.call.args)}
        return JournalEntry(EntryKind.INTENT, wish.turn.step, body, wish.call.id, effect)

    @asynccontextmanager
    async def _leased(self, wish: Wish, names: tuple[str, ...]) -> AsyncIterator[Lease | None]:
        """Hold the names while the act runs; losing them cancels it. Raise Refused naming who holds one."""
        if not names:
            yield None
            return
        holder = f"{wish.role} ({wish.turn.claim.turn[:8]}-{wish.turn.step}-{wish.call.id})"
        lease = await self._acquired(names, holder)
        act = asyncio.current_task()
        lost = asyncio.Event()
        keeping = asyncio.create_task(self._keep(lease, act, lost))
        try:
            yield lease
        except asyncio.CancelledError:
            if lost.is_set() and act is not None:
                act.uncancel()
                lost_names = ", ".join(names)
                raise ToolTimeout(f"the lease on {lost_names} was lost: the act was ended; see what it did") from None
            raise
        finally:
            keeping.cancel()
            with suppress(RoomError, TimeoutError):
                async with asyncio.timeout(_LAST_WORD_SECONDS):
                    await self.leases.release(lease)

    async def _acquired(self, names: tuple[str, ...], holder: str) -> Lease:
        loop = asyncio.get_running_loop()
        until = loop.time() + self.wait
        while isinstance(found := await self.leases.acquire(names, holder, LEASE_SECONDS), str):
            if loop.time() >= until:
                raise Refused(
                    f"{', '.join(names)}: held by {found}; nothing was done, call again when that has ended"
                )
            await asyncio.sleep(_POLL)
        return found

    async def _keep(self, lease: Lease, act: asyncio.Task[object] | None, lost: asyncio.Event) -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / 3)
            with suppress(RoomUnavailable):
                if not await self.leases.renew(lease, LEASE_SECONDS):
                    lost.set()
                    if act:
                        act.cancel()
                    return


_STATE_OF = {
    Status.OK: EffectState.DONE,
    Status.ERROR: EffectState.FAILED,
    Status.DENIED: EffectState.FAILED,
    Status.TIMEOUT: EffectState.UNKNOWN,
    Status.CANCELLED: EffectState.UNKNOWN,
    Status.UNKNOWN: EffectState.UNKNOWN,
}
