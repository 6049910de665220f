"""Requests to act and their decisions: the `ApprovalBoard` port over a shelf, on Redis and in memory alike."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from agents.domain.approval import Approval, Decision, State, consumed, decided, state_of
from agents.domain.errors import ApprovalUnusable, BadInput, RoomError, StaleEpoch
from agents.domain.message import USER, Kind, Message
from agents.room.shelf import Change, Shelf, Sight, stale, tries
from agents.room.signatures import Signatures
from agents.room.wire import dumped, sendable

POLL = 2.0  # seconds: a safety net, decisions are heard on the channel
KEPT = 7 * 24 * 3600.0  # seconds after its time that an approval can still be looked at
_APPROVAL = TypeAdapter(Approval)
_LIVING = (State.PENDING, State.APPROVED, State.REJECTED)
Follow = Callable[[], AsyncGenerator[Message, None]]


@dataclass(frozen=True, slots=True)
class Use:
    """How an approval is used up: the change of its text, before this moment (Unix seconds)."""

    approval: str
    change: Change
    before: float


class Approvals:
    """The `ApprovalBoard` port. Fields: `a:<id>` the approval, `c:` its card, `d:` the digest's id, `s:` seen by."""

    def __init__(self, shelf: Shelf, room: str, follow: Follow, signatures: Signatures) -> None:
        self._shelf = shelf
        self._room = room
        self._follow = follow
        self._signatures = signatures
        self._used: set[str] = set()

    async def request(self, approval: Approval, card: Mapping[str, Any], event: Message) -> Approval:
        """See the port."""
        if approval.room != self._room:
            raise BadInput(f"an approval of room {approval.room} can't be asked for in {self._room}")
        card_text = dumped(card)
        approval = self._signatures.request(approval, json.loads(card_text))
        event = self._signatures.signed(sendable(event))
        by_digest = f"d:{approval.requester} {approval.digest}"
        to = sorted(approval.needed - {USER})
        for _ in tries():
            sight = await self._shelf.look(by_digest)
            earlier = sight.texts.get(by_digest, "")
            if (same := await self._living(earlier)) is not None:
                return same
            stamped = replace(
                approval, requested=sight.now, expires=sight.now + approval.expires - approval.requested
            )
            changes = [
                Change(by_digest, earlier, approval.id),
                Change(f"a:{approval.id}", "", _text(stamped)),
                Change(f"c:{approval.id}", "", card_text),
            ]
            if await self._shelf.swap(changes, event, to=to, epoch=approval.epoch):
                return stamped
            if f"a:{approval.id}" in (await self._shelf.look(f"a:{approval.id}")).texts:
                raise BadInput(f"there is an approval {approval.id} already: give the request another id")
        raise AssertionError

    async def decide(self, id: str, decision: Decision, event: Message) -> Approval:
        """See the port."""
        whole = (await self.find(id))[0].id
        decision = self._signatures.decision(whole, decision)
        event = self._signatures.signed(sendable(event))
        for _ in tries():
            sight, approval, text = await self._current(whole)
            genuine = self._signatures.without_forgeries(approval)
            # the rules look at the server's clock; what was signed stays as it is
            now = decided(genuine, replace(decision, at=sight.now), sight.epoch)
            new = replace(now, decisions=(*genuine.decisions, decision))
            change = Change(f"a:{whole}", text, _text(new))
            if await self._shelf.swap([change], event, epoch=sight.epoch, before=approval.expires):
                return new
        raise AssertionError

    async def find(self, id: str) -> tuple[Approval, Mapping[str, Any]]:
        """See the port."""
        id = id.strip().strip("[]")
        sight = await self._shelf.look(f"a:{id}", f"c:{id}")
        if f"a:{id}" not in sight.texts:
            sight = await self._shelf.look()
            starts = [name[2:] for name in sight.texts if id and name.startswith(f"a:{id}")]
            if len(starts) != 1:
                raise _unknown(id, starts, [approval.id for approval, _ in self._pending(sight)])
            id = starts[0]
        found = self._parsed(id, sight)
        if found is None:
            raise BadInput(f"{id} wasn't asked for by whom it names: it is a forgery, and void")
        return found

    async def open(self) -> list[tuple[Approval, Mapping[str, Any]]]:
        """See the port."""
        sight = await self._shelf.look()
        await self._drop_old(sight)
        return self._pending(sight)

    async def state(self, approval: Approval) -> State:
        """See the port."""
        sight = await self._shelf.look(f"a:{approval.id}", f"c:{approval.id}")
        found = self._parsed(approval.id, sight)
        return state_of(found[0], sight.now, sight.epoch) if found else State.STALE

    async def until_decided(self, approval: Approval, timeout: float) -> Approval:
        """See the port."""
        loop, news = asyncio.get_running_loop(), asyncio.Event()
        until = loop.time() + timeout
        listener = asyncio.create_task(self._listen(news))
        try:
            while True:
                news.clear()
                sight, now, _ = await self._current(approval.id)
                now = self._signatures.without_forgeries(now)
                if sight.epoch != approval.epoch:
                    raise StaleEpoch(f"{approval.id}: stopped or cleared while it waited for a decision")
                left = until - loop.time()
                if state_of(now, sight.now, sight.epoch) is not State.PENDING or left <= 0:
                    return now
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(left, POLL, now.expires - sight.now)):
                        await news.wait()
        finally:
            listener.cancel()
            await asyncio.wait([listener])

    async def seen(self, id: str, by: str) -> None:
        """See the port."""
        approval, _ = await self.find(id)
        field = f"s:{approval.id} {by}"
        await self._shelf.swap([Change(field, "", approval.digest)])

    async def was_seen(self, id: str, by: str) -> bool:
        """See the port."""
        approval, _ = await self.find(id)
        field = f"s:{approval.id} {by}"
        return (await self._shelf.look(field)).texts.get(field) == approval.digest

    async def use(self, id: str, digest: str, epoch: int) -> Use:
        """How the approval is used up for this digest now. Raise ApprovalUnusable, or StaleEpoch."""
        sight = await self._shelf.look(f"a:{id}", f"c:{id}")
        if sight.epoch != epoch:
            raise stale(sight.epoch, epoch)
        found = self._parsed(id, sight)
        if found is None or found[0].room != self._room:
            raise ApprovalUnusable(f"there is no approval {id} in room {self._room}")
        if id in self._used:
            raise ApprovalUnusable(f"{id} was used here already, whatever is written about it now")
        try:
            used = consumed(found[0], digest, sight.now, sight.epoch)
        except BadInput as error:
            raise ApprovalUnusable(str(error)) from None
        return Use(id, Change(f"a:{id}", sight.texts[f"a:{id}"], _text(used)), used.expires)

    def used(self, id: str) -> None:
        """It was used by this process. Whoever writes to Redis can call it unused again: not here."""
        self._used.add(id)

    async def _living(self, id: str) -> Approval | None:
        """The approval of that id if it still speaks for its digest."""
        if not id:
            return None
        sight = await self._shelf.look(f"a:{id}", f"c:{id}")
        found = self._parsed(id, sight)
        return found[0] if found and state_of(found[0], sight.now, sight.epoch) in _LIVING else None

    async def _current(self, id: str) -> tuple[Sight, Approval, str]:
        """What is kept, forged decisions included. Raise StaleEpoch where a CLEAR took it."""
        sight = await self._shelf.look(f"a:{id}")
        text = sight.texts.get(f"a:{id}", "")
        approval = _approval(text)
        if approval is None:
            raise StaleEpoch(f"{id}: cleared meanwhile, or overwritten")
        return sight, approval, text

    def _parsed(self, id: str, sight: Sight) -> tuple[Approval, Mapping[str, Any]] | None:
        """The approval and its card, forged decisions left out; None for a forged request."""
        text, card_text = sight.texts.get(f"a:{id}"), sight.texts.get(f"c:{id}")
        if text is None or card_text is None:
            return None
        approval, card = _approval(text), _card(card_text)
        if approval is None or card is None or approval.id != id or not self._signatures.is_genuine(approval, card):
            return None
        return self._signatures.without_forgeries(approval), card

    def _pending(self, sight: Sight) -> list[tuple[Approval, Mapping[str, Any]]]:
        every = (self._parsed(name[2:], sight) for name in sight.texts if name.startswith("a:"))
        pending = [found for found in every if found and state_of(found[0], sight.now, sight.epoch) is State.PENDING]
        return sorted(pending, key=lambda found: (found[0].requested, found[0].id))

    async def _drop_old(self, sight: Sight) -> None:
        for name, text in sight.texts.items():
            if name.startswith("a:") and (old := _approval(text)) and old.expires + KEPT < sight.now:
                ours = (name, f"c:{old.id}", f"d:{old.requester} {old.digest}")
                # the digest may speak for a newer approval by now
                gone = [field for field in ours if field[:2] != "d:" or sight.texts.get(field) == old.id]
                gone += [field for field in sight.texts if field.startswith(f"s:{old.id} ")]
                await self._shelf.swap([Change(field, sight.texts.get(field, ""), "") for field in gone])

    async def _listen(self, news: asyncio.Event) -> None:
        """Set `news` at whatever may have decided something. Without a channel, polling must do."""
        with contextlib.suppress(RoomError):
            async with contextlib.aclosing(self._follow()) as events:
                async for event in events:
                    if event.kind in (Kind.APPROVAL, Kind.CONTROL):
                        news.set()


def _unknown(id: str, starts: list[str], pending: list[str]) -> BadInput:
    if starts:
        return BadInput(f"{id!r} starts several approvals: {', '.join(sorted(starts)[:10])}")
    return BadInput(f"no approval {id[:40]!r}; waiting for a decision: {', '.join(pending) or 'none'}")


def _text(approval: Approval) -> str:
    body = {name: getattr(approval, name) for name in Approval.__slots__}
    body["needed"] = sorted(approval.needed)
    body["decisions"] = [asdict(each) for each in approval.decisions]
    return dumped(body)


def _approval(text: str) -> Approval | None:
    """The approval of its text; None of what isn't one: anybody with Redis' password may have written it."""
    try:
        return _APPROVAL.validate_json(text)
    except ValidationError:
        return None


def _card(text: str) -> Mapping[str, Any] | None:
    try:
        card = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return card if isinstance(card, dict) else None
