"""Control, mission and presence of a room in memory."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from agents.domain.message import Message, new_id
from agents.domain.mission import Check, Control, HostedApp, Mission, Presence, Probe, RoomState, Verdict, check_id
from agents.room.control import GONE, REASON_CHARS
from agents.room.in_memory_store import Store
from agents.room.mission import MOST_CHECKS, too_many, unknown_check
from agents.room.wire import encoded


class ControlInMemory:
    """The `ControlBoard` port in memory."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self) -> Control:
        """The epoch and state now."""
        return self._store.control_now()

    async def set_state(self, state: RoomState, reason: str = "") -> None:
        """See the port."""
        self._store.control = Control(self._store.control.epoch, state, reason[:REASON_CHARS])

    async def stop(self, message: Message) -> Control:
        """See the port."""
        encoded(message)
        if message.id not in self._store.places:
            self._raise_epoch(message)
        return self._store.control_now()

    async def stop_role(self, role: str, message: Message) -> int:
        """See the port."""
        encoded(message)
        store = self._store
        if message.id not in store.places:
            turns = [turn for turn in store.turns.values() if turn.role == role]
            for turn in turns:
                store.close(turn)
            store.inboxes.pop(role, None)
            store.stopped[store.append(message).id] = len(turns)
        return store.stopped[message.id]

    async def pause(self, message: Message) -> Control:
        """See the port."""
        return self._hold(message, message.content[:REASON_CHARS] or "paused")

    async def resume(self, message: Message) -> Control:
        """See the port."""
        return self._hold(message, "")

    def _hold(self, message: Message, why: str) -> Control:
        encoded(message)
        if message.id not in self._store.places:
            self._store.paused = why
            self._store.append(message)
        return self._store.control_now()

    async def found(self, known: Control | None = None) -> Control:
        """See the port."""
        store = self._store
        if not store.born:
            store.born = new_id()
            if known and not store.asked:
                store.control = Control(known.epoch + 1, RoomState.STOPPED, GONE)
        return store.control_now()

    async def clear(self, message: Message) -> Control:
        """See the port."""
        encoded(message)
        store = self._store
        if message.id not in store.places:
            store.log.clear()
            store.inboxes.clear()
            store.turns.clear()
            store.mission = Mission()
            store.approvals.clear()
            store.findings.clear()
            self._raise_epoch(message)
        return store.control_now()

    def _raise_epoch(self, message: Message) -> None:
        epoch = self._store.control.epoch + 1
        self._store.control = Control(epoch, RoomState.STOPPED, message.content[:REASON_CHARS])
        self._store.paused = ""
        self._store.append(message)


class MissionInMemory:
    """The `MissionBoard` port in memory."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self) -> Mission:
        """The mission now."""
        return self._store.mission

    async def propose(self, probes: Sequence[Probe]) -> Mission:
        """See the port."""
        mission = self._store.mission
        checks = {check.id: check for check in mission.checks}
        for probe in probes:
            checks.setdefault(check_id(probe), Check(check_id(probe), probe))
        if len(checks) > MOST_CHECKS:
            raise too_many(len(mission.checks))
        self._store.mission = replace(mission, checks=tuple(checks.values()))
        return self._store.mission

    async def judge(self, check: str, verdict: Verdict, evidence: str) -> None:
        """See the port."""
        self._change(check, lambda found: replace(found, verdict=verdict, evidence=evidence))

    async def waive(self, check: str, why: str) -> Check:
        """See the port."""
        changed = self._change(check, lambda found: replace(found, waived=why))
        if changed is None:
            raise unknown_check(check, self._store.mission)
        return changed

    def _change(self, name: str, change: Callable[[Check], Check]) -> Check | None:
        checks = {check.id: check for check in self._store.mission.checks}
        if name not in checks:
            return None
        checks[name] = change(checks[name])
        self._store.mission = replace(self._store.mission, checks=tuple(checks.values()))
        return checks[name]


class PresenceInMemory:
    """The `PresenceBoard` port in memory."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def beat(self, presence: Presence) -> None:
        """See the port."""
        self._store.beats[presence.consumer] = (self._store.clock(), presence)

    async def leave(self, consumer: str) -> None:
        """See the port."""
        self._store.beats.pop(consumer, None)

    async def present(self, max_age: float = 15.0) -> list[Presence]:
        """See the port."""
        now = self._store.clock()
        beats = [replace(beat, age=now - at) for at, beat in self._store.beats.values() if now - at <= max_age]
        return sorted(beats, key=lambda beat: (beat.role, beat.consumer))

    async def host(self, app: HostedApp) -> None:
        """See the port."""
        self._store.apps[app.name] = app

    async def unhost(self, name: str) -> None:
        """See the port."""
        self._store.apps.pop(name, None)

    async def hosted(self) -> list[HostedApp]:
        """See the port."""
        apps = [app for app in self._store.apps.values() if app.expires >= self._store.clock()]
        return sorted(apps, key=lambda app: app.name)
