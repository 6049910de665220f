"""Approvals and effects under any order of requests, decisions, waits, stops and starts, against a plain model."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agents.domain import approval as rules
from agents.domain.approval import SECURITY, Capsule, Decision
from agents.domain.errors import ApprovalUnusable, BadInput, StaleEpoch
from agents.domain.message import USER, Kind, Message
from agents.domain.turn import Effect, EntryKind, JournalEntry
from agents.room.in_memory import InMemoryRoom
from agents.room.in_memory_store import Store

LIFETIME = 100.0
NEEDS = (frozenset((USER,)), frozenset((SECURITY,)), frozenset((USER, SECURITY)))


@dataclass
class Known:
    """What the model knows of an approval."""

    digest: str
    epoch: int
    needed: frozenset[str]
    expires: float
    granted: set[str] = field(default_factory=set)
    rejected: bool = False
    used: bool = False


class Acts(RuleBasedStateMachine):
    """A room whose time stands still unless `wait` moves it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000_000.0
        self.store = Store(lambda: self.now)
        self.room = InMemoryRoom("lab", lease=1e9, store=self.store)
        self.known: dict[str, Known] = {}
        self.epoch = 0
        self.effects = 0
        self.calls = 0

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run(work)

    @initialize()
    def open_turn(self) -> None:
        self.run(self.room.room.post(Message("Architect", "work", to=("DevOps",))))
        self.claim = self.run(self.room.inbox("DevOps", "d").claim())

    @rule(what=st.integers(0, 2), needed=st.sampled_from(NEEDS))
    def ask(self, what: int, needed: frozenset[str]) -> None:
        capsule = Capsule("lab", self.epoch, "DevOps", "run_shell", {"n": what})
        self.calls += 1
        wish = rules.request(f"a{self.calls}", capsule, needed, self.now, LIFETIME)
        got = self.run(self.room.approvals.request(wish, {}, Message("DevOps", "?", Kind.APPROVAL)))
        living = [
            id
            for id, one in self.known.items()
            if one.digest == wish.digest and not one.used and (one.rejected or self.now < one.expires)
        ]
        assert [got.id] == (living or [wish.id])
        if not living:
            self.known[wish.id] = Known(wish.digest, self.epoch, needed, self.now + LIFETIME)

    @rule(data=st.data(), by=st.sampled_from((USER, SECURITY, "DevOps")), approve=st.booleans())
    def decide(self, data: st.DataObject, by: str, approve: bool) -> None:
        if self.known:
            self._decide(data.draw(st.sampled_from(sorted(self.known))), by, approve)

    def _decide(self, id: str, by: str, approve: bool) -> None:
        one = self.known[id]
        open_ = one.epoch == self.epoch and not one.used and not one.rejected and self.now < one.expires
        counts = open_ and by in one.needed and not (approve and by in one.granted)
        decision = Decision(by, approve, one.digest, self.now, "because")
        try:
            self.run(self.room.approvals.decide(id, decision, Message(by, "!", Kind.APPROVAL)))
            assert counts
        except BadInput:
            assert not counts
            return
        if approve:
            one.granted.add(by)
        else:
            one.rejected = True

    @rule(what=st.integers(0, 2), needed=st.sampled_from(NEEDS), seconds=st.sampled_from((0.0, 60.0, 100.0)))
    def allow_then_act_later(self, what: int, needed: frozenset[str], seconds: float) -> None:
        self.ask(what, needed)
        id, one = list(self.known.items())[-1]
        for by in sorted(one.needed):
            self._decide(id, by, True)
        self.wait(seconds)
        self._act(id, True)
        self._act(id, False)

    @rule(data=st.data(), another=st.booleans())
    def act(self, data: st.DataObject, another: bool) -> None:
        if self.known:
            self._act(data.draw(st.sampled_from(sorted(self.known))), another)

    def _act(self, id: str, another: bool) -> None:
        one = self.known[id]
        self.calls += 1
        intent = JournalEntry(EntryKind.INTENT, self.calls, {"name": "run_shell"}, "c", Effect.MUTATE)
        digest = "0" * 64 if another else one.digest
        allowed = (
            not another
            and one.granted == one.needed
            and one.epoch == self.epoch
            and not one.rejected
            and not one.used
            and self.now < one.expires
        )
        try:
            self.run(self.room.journal.begin_effect(self.claim, intent, approval=id, digest=digest))
            assert allowed
        except ApprovalUnusable:
            assert not allowed
            return
        one.used = True
        self.effects += 1

    @rule(seconds=st.sampled_from((1.0, 60.0, 100.0)))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def stop(self) -> None:
        self.run(self.room.control.stop(Message(USER, "STOP", Kind.CONTROL)))
        self.epoch += 1
        intent = JournalEntry(EntryKind.INTENT, 0, {"name": "run_shell"}, "c", Effect.MUTATE)
        for id, one in [(None, "00"), *((id, one.digest) for id, one in self.known.items())]:
            try:
                self.run(self.room.journal.begin_effect(self.claim, intent, approval=id, digest=one))
            except StaleEpoch:
                continue
            raise AssertionError("something started after a STOP")
        self.open_turn()

    @invariant()
    def as_many_effects_as_were_allowed(self) -> None:
        assert len(self.run(self.room.journal.effects())) == self.effects
        assert self.run(self.room.mission.read()).acts == self.effects


Acts.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestActs = Acts.TestCase
