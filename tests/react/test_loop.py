import asyncio
from dataclasses import replace

import pytest

from agents.domain.errors import ContextTooLong, LeaseLost, ModelUnavailable, StaleEpoch
from agents.domain.message import MAX_MESSAGE_BYTES, Kind, to_wire
from agents.domain.turn import Effect, EntryKind, StopReason, ToolCall, ToolResult, Usage
from agents.react.breaker import InMemoryFailures
from tests.react.doubles import SECRET, ScriptedModel, Stage, call, calls, failed, ok, says, turn


def ends(wanted: ToolCall) -> ToolResult:
    return replace(ok(wanted, "all green"), ends=StopReason.DONE)


async def test_a_reply_ends_the_turn() -> None:
    stage = Stage(calls(call("1"), text="I look first"), says("done it", thoughts="hm"))
    outcome = await stage.play(turn())
    assert (outcome.reason, outcome.text, outcome.steps) == (StopReason.REPLIED, "done it", 2)
    assert outcome.usage == Usage(20, 4)
    assert stage.journal.story == ["run 1", "reply+result", "reply"]
    assert [m.type for m in stage.model.asked[1]][-2:] == ["ai", "tool"]


async def test_a_last_word_that_is_refused_makes_the_turn_go_on() -> None:
    stage = Stage(says("[DONE]"), says("[DONE] now"), objections=["a check is red", None])
    outcome = await stage.play(turn())
    assert (outcome.reason, outcome.text) == (StopReason.REPLIED, "[DONE] now")
    assert "a check is red" in stage.last_asked()
    assert stage.journal.story == ["reply+note", "reply"]


async def test_a_last_word_is_refused_three_times_at_most() -> None:
    outcome = await (stage := Stage(*[says("[DONE]")] * 9, objections=["red"] * 9)).play(turn())
    assert outcome.reason is StopReason.FAILED
    assert "refused 4 times. red" in outcome.text
    assert len(stage.model.asked) == 4


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


async def test_an_answer_cut_off_is_said() -> None:
    torn = ToolCall("1", "save", None, '{"path": "a", "content": "half')
    stage = Stage(replace(calls(torn), cut=True), calls(call("2")), replace(says("half a"), cut=True), act=failed)
    outcome = await stage.play(turn())
    assert outcome.text == "half a\n(cut off at the model's output limit)"
    notes = [entry.body["text"] for entry in stage.journal.entries if entry.kind is EntryKind.NOTE]
    assert len(notes) == 1
    assert "append_file" in notes[0]


async def test_any_number_of_invented_arguments_fits_an_event() -> None:
    stage = Stage(calls(call("1", **{f"{n}" + "k" * 300: "v" * 5000 for n in range(500)})), says("ok"))
    await stage.play(turn())
    assert len(to_wire(stage.journal.events[0])) < MAX_MESSAGE_BYTES / 2


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


async def test_a_name_with_terminal_escapes_is_shown_without_them() -> None:
    seen: list[str] = []
    stage = Stage(calls(call("1", "look\x1b[2J\nnow")), says("ok"), act=lambda c: ok(c, "\x1b]0;x\x07fine"))
    await stage.play(replace(turn(), progress=lambda step, what: seen.append(what)))
    assert seen == ["thinking", "look[2J now", "thinking"]
    assert stage.journal.events[0].content == "look[2J now ok 0.1 s: ]0;xfine"


async def test_progress_is_told() -> None:
    seen: list[tuple[int, str]] = []
    stage = Stage(calls(call("1"), call("2", "save")), says("ok"))
    await stage.play(replace(turn(), progress=lambda step, what: seen.append((step, what))))
    assert seen == [(1, "thinking"), (1, "look"), (1, "save"), (2, "thinking")]


async def test_a_tier_of_its_own_model() -> None:
    stage = Stage(says("weak"), tiers={"strong": ScriptedModel([says("strong")])})
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
