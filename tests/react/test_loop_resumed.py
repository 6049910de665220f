from dataclasses import replace
from typing import Any

import pytest

from agents.domain.message import Kind, Message
from agents.domain.turn import EntryKind, StopReason, ToolCall, ToolResult, Usage
from agents.react.messages import Reply
from agents.room.in_memory import InMemoryRoom
from tests.react.doubles import Stage, call, calls, failed, ok, says, turn
from tests.react.test_resume import intent_entry, note_entry, reply_entry, result_entry


async def test_an_interrupted_turn_goes_on_where_it_was() -> None:
    entries = [
        reply_entry(1, calls(call("1"))),
        result_entry(1, call("1"), "seen"),
        reply_entry(2, calls(call("2", "save"))),
        intent_entry(2, call("2", "save")),
    ]
    stage = Stage(says("probed"))
    outcome = await stage.play(turn(entries=entries))
    assert (outcome.text, outcome.steps) == ("probed", 3)
    assert outcome.usage == Usage(30, 6)
    assert stage.gate.carried_out == []
    assert "UNKNOWN OUTCOME: save" in stage.last_asked()


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([reply_entry(1, says("it is done"))], StopReason.REPLIED),
        ([reply_entry(1, calls(call("1"))), result_entry(1, call("1"), ends="done")], StopReason.DONE),
        ([reply_entry(9, calls(call("1"))), result_entry(9, call("1"))], StopReason.STEP_LIMIT),
    ],
)
async def test_a_turn_that_only_lacked_its_commit_asks_no_model(entries: list[Any], reason: StopReason) -> None:
    stage = Stage()
    assert (await stage.play(turn(entries=entries, steps=9))).reason is reason
    assert stage.journal.story == []


async def test_failures_before_the_interruption_count() -> None:
    entries: list[Any] = []
    for n in range(2):
        entries += [reply_entry(n + 1, calls(call(str(n)))), result_entry(n + 1, call(str(n)), "x", status="error")]
    stage = Stage(calls(call("8")), act=lambda c: failed(c, "x"))
    assert (await stage.play(turn(entries=entries))).reason is StopReason.ESCALATED
    empty = Stage(says(""))
    outcome = await empty.play(turn(entries=[reply_entry(1, says("")), note_entry(1, "say")]))
    assert outcome.reason is StopReason.FAILED


async def test_interrupted_calls_are_nobodys_failure() -> None:
    entries = [entry for n in range(4) for entry in [reply_entry(n + 1, calls(call(str(n))))]]
    assert (await Stage(says("ok")).play(turn(entries=entries))).reason is StopReason.REPLIED


async def test_what_the_journal_holds_leads_back_to_the_same_conversation() -> None:
    script = [calls(call("1"), call("2", "save")), says(""), calls(call("3")), says("ok")]
    first = Stage(*script)
    await first.play(turn(steps=5))
    entries = first.journal.entries
    cut = max(n for n, entry in enumerate(entries) if entry.kind is EntryKind.REPLY)
    kept = entries[:cut]
    while kept and kept[-1].kind is EntryKind.NOTE:
        kept.pop()
    second = Stage(says("ok"))
    await second.play(turn(steps=5, entries=kept))
    assert second.model.asked[-1] == first.model.asked[-1]


async def test_a_turn_that_broke_off_resumes_from_the_room_s_journal() -> None:
    opened = InMemoryRoom()
    await opened.room.post(Message("User", "go", to=("Coder",)))
    claim = await opened.inbox("Coder", "c1").claim()
    assert claim

    def act(wanted: ToolCall) -> ToolResult:
        if wanted.id == "2":
            raise RuntimeError("the worker dies here")
        return ok(wanted, "seen")

    def stage(*script: Reply) -> Stage:
        made = Stage(*script, act=act)
        made.loop._journal = made.gate.journal = opened.journal
        made.gate.story = made.journal.story
        return made

    broken = stage(calls(call("1"), thoughts="hm"), calls(call("2", "save", path="a")))
    with pytest.raises(RuntimeError):
        await broken.play(replace(turn(), claim=claim))
    again = await opened.inbox("Coder", "c1").claim()
    assert again
    assert [entry.kind.value for entry in again.entries] == ["reply", "result", "reply", "intent"]
    resumed = stage(says("probed it"))
    outcome = await resumed.play(replace(turn(), claim=again))
    assert outcome.text == "probed it"
    assert [line.partition("(")[0] for line in outcome.unresolved] == ["save"], "it said so, but looked at nothing"
    assert "seen" in resumed.last_asked()
    assert "UNKNOWN OUTCOME: save" in resumed.last_asked()
    kinds = [event.kind for event in await opened.room.events()]
    assert kinds == [Kind.SAY, Kind.THINK, Kind.TOOL]
