import asyncio
from dataclasses import replace
from typing import Any

import pytest

from agents.domain.errors import ContextTooLong, LeaseLost, ModelUnavailable, StaleEpoch
from agents.domain.message import Kind, Message
from agents.domain.turn import Effect, EntryKind, StopReason, ToolCall, ToolResult, Usage
from agents.react.breaker import InMemoryFailures
from agents.react.messages import Reply
from agents.room.in_memory import InMemoryRoom
from tests.react.doubles import SECRET, Stage, call, calls, failed, ok, says, turn
from tests.react.test_resume import intent_entry, note_entry, reply_entry, result_entry


def ends(wanted: ToolCall) -> ToolResult:
    return replace(ok(wanted, "all green"), ends=StopReason.DONE)


async def test_a_reply_ends_the_turn() -> None:
    stage = Stage(calls(call("1"), text="I look first"), says("done it", thoughts="hm"))
    outcome = await stage.play(turn())
    assert (outcome.reason, outcome.text, outcome.steps) == (StopReason.REPLIED, "done it", 2)
    assert outcome.usage == Usage(20, 4)
    assert stage.journal.story == ["run 1", "reply+result", "reply"]
    assert [m.type for m in stage.model.asked[1]][-2:] == ["ai", "tool"]


async def test_reads_of_a_step_are_one_record_and_run_together() -> None:
    together = asyncio.Barrier(3)

    async def act(wanted: ToolCall) -> ToolResult:
        await asyncio.wait_for(together.wait(), 5)
        return ok(wanted)

    stage = Stage(calls(call("1", n=1), call("2", n=2), call("3", n=3)), says("ok"), act=act)
    await stage.play(turn())
    assert stage.journal.story[-2:] == ["reply+result+result+result", "reply"]


async def test_a_change_is_journaled_before_during_and_after() -> None:
    stage = Stage(calls(call("1"), call("2", "save"), call("3", "save"), call("4")), says("ok"))
    await stage.play(turn())
    assert stage.journal.story == [
        "reply",
        "run 1",
        "result",
        "intent",
        "run 2",
        "result",
        "intent",
        "run 3",
        "result",
        "run 4",
        "result",
        "reply",
    ]
    assert [e.effect for e in stage.journal.entries if e.kind is EntryKind.RESULT] == [
        Effect.READ,
        Effect.WRITE,
        Effect.WRITE,
        Effect.READ,
    ]


async def test_a_result_that_ends_the_turn_leaves_the_rest_undone() -> None:
    stage = Stage(calls(call("1", "save"), call("2", "save")), act=ends)
    outcome = await stage.play(turn())
    assert (outcome.reason, outcome.text) == (StopReason.DONE, "all green")
    assert stage.gate.carried_out == ["1"]
    assert stage.journal.story == ["reply", "intent", "run 1", "result"]


async def test_thoughts_and_tools_are_shown_and_redacted() -> None:
    torn = ToolCall("2", "look", None, "{" + SECRET)
    wanted = call("1", path="a", content=SECRET + "x" * 5000, count=1)
    stage = Stage(calls(wanted, torn, thoughts=f"use {SECRET}", text="go"), says("done", thoughts="hm"))
    await stage.play(turn())
    first, tool, broken, last = stage.journal.events
    assert (first.kind, first.content, first.shown_sender) == (Kind.THINK, "use [redacted]\n\ngo", "Coder::think")
    assert tool.kind is Kind.TOOL
    assert tool.content == "look ok 0.1 s: fine"
    assert tool.data["args"]["path"] == "a"
    assert tool.data["args"]["count"] == 1
    assert "characters left out" in tool.data["args"]["content"]
    assert broken.data["args"] == {"raw": "{[redacted]"}
    assert last.content == "hm"
    assert not any(event.to for event in stage.journal.events)
    assert len({event.id for event in stage.journal.events}) == 4
    assert SECRET not in repr(stage.journal.entries) + repr(stage.journal.events)
    assert stage.gate.carried_out == ["1", "2"]


@pytest.mark.parametrize("wanted", [call("1"), ToolCall("1", "look", None, "{torn")])
async def test_failed_calls_in_a_row_escalate(wanted: ToolCall) -> None:
    replies = [calls(replace(wanted, id=str(n), name=f"look{n}")) for n in range(5)]
    stage = Stage(*replies, act=failed)
    outcome = await stage.play(turn())
    assert outcome.reason is StopReason.ESCALATED
    assert outcome.steps == 3
    assert "docs/execution_log_Coder.md" in outcome.text
    assert outcome.text.count("no such file") == 3
    assert stage.journal.story[-1] == "reply+result"


async def test_a_success_in_between_starts_the_count_anew() -> None:
    def act(wanted: ToolCall) -> ToolResult:
        return ok(wanted) if wanted.id == "2" else failed(wanted)

    stage = Stage(*(calls(call(str(n), n=n)) for n in range(5)), says("ok"), act=act)
    assert (await stage.play(turn())).reason is StopReason.REPLIED


async def test_failures_of_one_step_count_once() -> None:
    stage = Stage(calls(*(call(str(n), n=n) for n in range(6))), says("ok"), act=failed)
    assert (await stage.play(turn())).reason is StopReason.REPLIED


async def test_the_last_steps_are_announced_and_the_limit_holds() -> None:
    stage = Stage(*(calls(call(str(n), n=n)) for n in range(9)))
    outcome = await stage.play(turn(steps=5))
    assert outcome.reason is StopReason.STEP_LIMIT
    assert outcome.steps == 5
    notes = [entry.body["text"] for entry in stage.journal.entries if entry.kind is EntryKind.NOTE]
    assert [note[:12] for note in notes] == ["3 steps left", "2 steps left", "1 step left "]
    assert stage.journal.story[-2:] == ["run 4", "note+reply+result"]
    assert "[note] 1 step left" in stage.last_asked()


async def test_a_reply_in_the_last_step_counts() -> None:
    assert (await Stage(says("just so")).play(turn(steps=1))).reason is StopReason.REPLIED


async def test_an_empty_answer_is_nudged_once() -> None:
    stage = Stage(says(""), says("sorry"))
    assert (await stage.play(turn())).text == "sorry"
    assert "[note] Your answer was empty" in stage.last_asked()
    assert stage.journal.story == ["reply+note", "reply"]
    twice = await Stage(says("", thoughts="hm"), calls(call("1")), says("")).play(turn())
    assert twice.reason is StopReason.FAILED
    assert "answered twice with nothing" in twice.text
    assert (await Stage(says("")).play(turn(steps=1))).reason is StopReason.STEP_LIMIT


async def test_a_model_error_ends_the_turn_in_one_line() -> None:
    stage = Stage(calls(call("1")), ModelUnavailable("no answer from http://h"))
    outcome = await stage.play(turn())
    assert (outcome.reason, outcome.text, outcome.steps) == (StopReason.FAILED, "no answer from http://h", 2)
    assert outcome.usage == Usage(10, 2)


async def test_a_warning_before_a_model_error_is_journaled() -> None:
    stage = Stage(ModelUnavailable("gone"))
    assert (await stage.play(turn(steps=2))).reason is StopReason.FAILED
    assert stage.journal.story == ["note"]


async def test_a_context_too_long_is_compacted_and_asked_once_more() -> None:
    long = [calls(call(str(n), n=n)) for n in range(6)]
    stage = Stage(*long, ContextTooLong("too long"), says("ok"), act=lambda c: ok(c, f"{c.id}" + "x" * 2000))
    assert (await stage.play(turn())).text == "ok"
    before, after = (sum(len(str(m.content)) for m in asked) for asked in stage.model.asked[-2:])
    assert after < before
    again = Stage(ContextTooLong("too long"), ContextTooLong("still too long"))
    outcome = await again.play(turn())
    assert (outcome.reason, outcome.text) == (StopReason.FAILED, "still too long")


async def test_the_same_failing_call_is_refused_the_fourth_time() -> None:
    replies = [calls(call(str(n), path="a")) for n in range(4)]
    stage = Stage(*replies, says("I give up"), act=failed)
    outcome = await stage.play(turn(tool_errors=9))
    assert outcome.text == "I give up"
    assert stage.gate.carried_out == ["0", "1", "2"]
    assert "It will not be run again" in stage.last_asked()
    assert "breaker open" in stage.last_asked()
    assert stage.journal.story[2:4] == ["run 1", "reply+result"]
    assert "reply+result+note" in stage.journal.story


async def test_a_model_that_does_the_same_over_and_over_is_stopped() -> None:
    stage = Stage(*(calls(call(str(n)), text="Let me look.") for n in range(20)))
    outcome = await stage.play(turn())
    assert outcome.reason is StopReason.ESCALATED
    assert stage.gate.carried_out == ["0", "1", "2"]
    assert outcome.steps == 6


async def test_the_team_breaker_is_asked() -> None:
    team = InMemoryFailures()
    for _ in range(2):
        await Stage(*(calls(call(str(n))) for n in range(3)), act=failed, team=team).play(turn())
    stage = Stage(calls(call("0")), says("ok"), act=failed, team=team)
    await stage.play(turn())
    assert stage.gate.carried_out == []
    assert "across the team" in stage.last_asked()


async def test_ids_that_repeat_across_steps_are_told_apart() -> None:
    stage = Stage(calls(call("0", n=1)), calls(call("0", n=2)), says("ok"))
    await stage.play(turn())
    assert len(set(stage.gate.carried_out)) == 2


async def test_progress_is_told() -> None:
    seen: list[tuple[int, str]] = []
    stage = Stage(calls(call("1"), call("2", "save")), says("ok"))
    await stage.play(replace(turn(), progress=lambda step, what: seen.append((step, what))))
    assert seen == [(1, "thinking"), (1, "look"), (1, "save"), (2, "thinking")]


async def test_a_tier_of_its_own_model() -> None:
    stage, strong = Stage(says("weak")), Stage(says("strong"))
    stage.loop._models = {"default": stage.model, "strong": strong.model}
    given = turn()
    assert (await stage.play(replace(given, role=replace(given.role, tier="strong")))).text == "strong"
    assert (await stage.play(replace(given, role=replace(given.role, tier="fast")))).text == "weak"


@pytest.mark.parametrize("error", [StaleEpoch("stopped"), LeaseLost("taken over")])
async def test_the_room_s_errors_reach_the_runtime(error: Exception) -> None:
    ended = []

    async def act(wanted: ToolCall) -> ToolResult:
        if wanted.id == "1":
            raise error
        try:
            await asyncio.sleep(30)
        finally:
            ended.append(wanted.id)
        return ok(wanted)

    stage = Stage(calls(call("1"), call("2")), act=act)
    with pytest.raises(type(error)):
        await stage.play(turn())
    assert ended == ["2"]  # nothing goes on behind the runtime's back


async def test_cancelling_reaches_the_calls_under_way() -> None:
    running, ended = asyncio.Event(), []

    async def act(wanted: ToolCall) -> ToolResult:
        running.set()
        try:
            await asyncio.sleep(30)
        finally:
            ended.append(wanted.id)
        return ok(wanted)

    stage = Stage(calls(call("1"), call("2")), act=act)
    task = asyncio.create_task(stage.play(turn()))
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == ["1", "2"]


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
        made.loop._journal = made.gate.journal = opened.journal  # type: ignore[assignment]
        made.gate.story = made.journal.story
        return made

    broken = stage(calls(call("1"), thoughts="hm"), calls(call("2", "save", path="a")))
    with pytest.raises(RuntimeError):
        await broken.play(replace(turn(), claim=claim))
    again = await opened.inbox("Coder", "c1").claim()
    assert again
    assert [entry.kind.value for entry in again.entries] == ["reply", "result", "reply", "intent"]
    resumed = stage(says("probed it"))
    assert (await resumed.play(replace(turn(), claim=again))).text == "probed it"
    assert "seen" in resumed.last_asked()
    assert "UNKNOWN OUTCOME: save" in resumed.last_asked()
    kinds = [event.kind for event in await opened.room.events()]
    assert kinds == [Kind.SAY, Kind.THINK, Kind.TOOL]
