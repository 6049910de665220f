from dataclasses import asdict
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, messages_to_dict

from agents.domain.turn import Effect, EntryKind, JournalEntry, Status, StopReason, ToolCall, Usage, unresolved
from agents.react.messages import Reply
from agents.react.resume import rebuild
from tests.react.doubles import assert_paired, call, calls, says


def reply_entry(step: int, reply: Reply) -> JournalEntry:
    (message,) = messages_to_dict([reply.message])
    return JournalEntry(
        EntryKind.REPLY, step, {"message": message, "usage": asdict(reply.usage), "model": reply.model}
    )


def result_entry(step: int, wanted: ToolCall, content: str = "fine", **body: Any) -> JournalEntry:
    fields = {
        "name": wanted.name,
        "status": "ok",
        "content": content,
        "effect": "read",
        "seconds": 0.1,
        "ends": None,
        **body,
    }
    return JournalEntry(EntryKind.RESULT, step, fields, wanted.id)


def intent_entry(step: int, wanted: ToolCall, effect: Effect = Effect.MUTATE) -> JournalEntry:
    return JournalEntry(EntryKind.INTENT, step, {"name": wanted.name, "args": {}}, wanted.id, effect)


def note_entry(step: int, text: str) -> JournalEntry:
    return JournalEntry(EntryKind.NOTE, step, {"text": text})


A, B, C = call("a"), call("b", "save"), call("c")


def test_nothing_journaled_is_a_fresh_start() -> None:
    assert rebuild(()).messages == []
    assert rebuild(()).step == 0


def test_completed_steps_come_back_as_they_were() -> None:
    entries = [
        reply_entry(1, calls(A, B, text="both")),
        intent_entry(1, B),
        result_entry(1, B, "saved"),
        result_entry(1, A, "seen"),
        note_entry(2, "hurry"),
        reply_entry(2, calls(C)),
        result_entry(2, C, ""),
    ]
    resumed = rebuild(entries)
    assert_paired(resumed.messages)
    assert [str(m.content) for m in resumed.messages] == ["both", "seen", "saved", "[note] hurry", "", "(no output)"]
    assert isinstance(resumed.messages[3], HumanMessage)
    assert resumed.step == 2
    assert resumed.usage == Usage(20, 4)
    assert [[result.status for _, result in pairs] for pairs in resumed.done] == [[Status.OK, Status.OK], [Status.OK]]
    assert resumed.outcome is None


def test_a_started_change_without_a_result_is_unknown() -> None:
    resumed = rebuild([reply_entry(1, calls(A, B, C)), result_entry(1, A, "seen"), intent_entry(1, B)])
    assert_paired(resumed.messages)
    seen, unknown, interrupted = (str(m.content) for m in resumed.messages[1:])
    assert seen == "seen"
    assert "UNKNOWN OUTCOME" in unknown
    assert "probe first" in unknown
    assert "Call it again" in interrupted
    assert [result.status for _, result in resumed.done[0]] == [Status.OK, Status.UNKNOWN, Status.CANCELLED]


def test_the_same_id_in_another_step_is_another_call() -> None:
    resumed = rebuild([reply_entry(1, calls(A)), result_entry(1, A, "one"), reply_entry(2, calls(A))])
    assert [str(m.content) for m in resumed.messages[1::2]] == [
        "one",
        "interrupted: look changed nothing and its result is not known. Call it again if you still need it.",
    ]


def test_a_broken_call_comes_back_broken() -> None:
    torn = ToolCall("t", "look", None, "{torn")
    resumed = rebuild([reply_entry(1, calls(torn)), result_entry(1, torn, "no JSON", status="error")])
    assert_paired(resumed.messages)
    assert resumed.done[0][0][0] == torn


def test_a_turn_that_was_at_its_end_is_over() -> None:
    replied = rebuild([reply_entry(3, says("done it"))]).outcome
    assert replied is not None
    assert (replied.reason, replied.text, replied.steps) == (StopReason.REPLIED, "done it", 3)
    finished = rebuild([reply_entry(1, calls(A)), result_entry(1, A, "all green", ends="done")]).outcome
    assert finished is not None
    assert (finished.reason, finished.text) == (StopReason.DONE, "all green")


def test_a_last_word_that_was_refused_was_not_the_last() -> None:
    refused = rebuild([reply_entry(1, says("[DONE]")), note_entry(1, "a check is red")])
    assert refused.outcome is None
    assert [message.type for message in refused.messages] == ["ai", "human"]


def test_an_empty_reply_counts_but_is_not_sent_again() -> None:
    resumed = rebuild([reply_entry(1, says("")), note_entry(1, "say something")])
    assert resumed.empty == 1
    assert [m.content for m in resumed.messages] == ["[note] say something"]
    assert resumed.outcome is None


def test_what_is_no_reply_is_a_bug() -> None:
    entry = JournalEntry(
        EntryKind.REPLY, 1, {"message": messages_to_dict([HumanMessage("x")])[0], "usage": {}, "model": "m"}
    )
    with pytest.raises(TypeError, match="human"):
        rebuild([entry])


def journaled(*lines: str) -> list[JournalEntry]:
    """Entries of lines such as `intent run_ansible a` or `result run_shell b read ok`."""
    found = []
    for line in lines:
        kind, name, call, *rest = line.split()
        effect = Effect(rest[0]) if rest else Effect.MUTATE
        body = {"name": name, "args": {"n": 1}} | ({"status": rest[1]} if rest else {})
        found.append(JournalEntry(EntryKind(kind), 1, body, call, effect))
    return found


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        (["intent apply a"], 1),
        (["intent apply a", "result apply a mutate ok"], 0),
        (["intent apply a", "result apply a mutate error"], 0),
        (["intent apply a", "result look b read ok"], 0),
        (["intent apply a", "result look b read error"], 1),
        (["intent apply a", "intent apply b", "result apply b mutate ok"], 0),
        (["intent apply a", "intent save b", "result save b write ok"], 1),
        (["result look z read ok", "intent apply a", "intent save b"], 2),
        ([], 0),
    ],
)
def test_what_nobody_saw_the_end_of(lines: list[str], left: int) -> None:
    assert len(unresolved(journaled(*lines))) == left


def test_an_unseen_call_is_shown_in_a_line_with_its_arguments_cut() -> None:
    entry = JournalEntry(EntryKind.INTENT, 1, {"name": "save", "args": {"x": "y" * 500}}, "a", Effect.WRITE)
    [line] = unresolved([entry])
    assert line.startswith('save({"x": "yyy')
    assert len(line) < 320
