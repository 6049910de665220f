"""Which rule answers, what it says, and why none does."""

from typing import Any

import pytest

from rehearsal.conversation import read
from rehearsal.play import Line, NoLine, line_for
from rehearsal.scenario import Scenario
from tests.rehearsal.scenes import called, said, tiny

PORT = "{port: {pattern: 'port (\\d+)', type: integer}, host: {pattern: 'host (\\w+)'}}"


def play(scenario: Scenario, *messages: dict[str, Any]) -> Line:
    return line_for(scenario, read({"messages": list(messages)}))


def complaint(scenario: Scenario, *messages: dict[str, Any]) -> str:
    with pytest.raises(NoLine) as raised:
        play(scenario, *messages)
    return str(raised.value)


def test_the_first_rule_that_fits_answers() -> None:
    scenario = tiny(
        "  - {id: other, role: Coder, say: wrong}\n"
        "  - {id: deaf, role: QA, when: {heard: never}, say: wrong}\n"
        "  - {id: first, role: QA, when: {heard: te.t}, say: yes it is}\n"
        "  - {id: second, role: QA, say: wrong}\n"
    )
    assert play(scenario, *said("QA", "a test")).text == "yes it is"
    assert play(scenario, *said("QA", "a toast")).rule.id == "second"


def test_thoughts_come_before_the_words() -> None:
    line = play(tiny("  - {id: a, role: QA, think: hm, say: hello}\n"), *said("QA", "x"))
    assert line.text == "<think>hm</think>\nhello"


CONDITIONS = """
  - id: unheard
    role: Coder
    when: {unheard: please}
    say: nobody asked
  - id: later
    role: QA
    when: {step: 3}
    say: third step
  - id: judged
    role: QA
    when: {after: [{tool: run_checks, args: {ids: c1}, says: '(?P<n>\\d) green', lacks: red}], before: [finish]}
    say: '${n} are green'
  - id: begins
    role: QA
    when: {before: [{tool: run_checks, args: {ids: c1}}]}
    call: [{tool: run_checks, args: {ids: [c1]}}]
"""


def test_conditions_on_results_and_steps() -> None:
    scenario = tiny(CONDITIONS)
    ran = called("run_checks", "3 green", '{"ids": ["c1"]}')
    assert play(scenario, *said("QA", "x")).rule.id == "begins"
    assert play(scenario, *said("QA", "x", *called("run_checks", "3 green", '{"ids": ["c2"]}'))).rule.id == "begins"
    assert play(scenario, *said("QA", "x", *ran)).text == "3 are green"
    assert play(scenario, *said("QA", "x", *ran, *called("look", "", call_id="c2"))).rule.id == "later"
    assert play(scenario, *said("Coder", "x")).rule.id == "unheard"


def test_the_last_result_of_a_tool_counts() -> None:
    scenario = tiny("  - {id: a, role: QA, when: {after: [{tool: probe, lacks: red}]}, say: fine}\n")
    red, green = called("probe", "red"), called("probe", "green", call_id="c2")
    assert play(scenario, *said("QA", "x", *red, *green)).text == "fine"
    assert "the result of probe matches /red/" in complaint(scenario, *said("QA", "x", *green, *red))


@pytest.mark.parametrize(
    ("role", "messages", "why"),
    [
        ("Observer", (), "no line for Observer: the scenario has no rule for this role."),
        ("Coder", (), "nearest rule 'unheard': the message that woke the turn matches /please/."),
        ("QA", called("run_checks", "1 red", '{"ids": "c1"}'), "'later': this is step 2, not 3."),
    ],
)
def test_no_line_names_the_nearest_rule_and_its_obstacle(role: str, messages: list[dict[str, Any]], why: str) -> None:
    scenario = tiny(CONDITIONS)
    text = complaint(scenario, *said(role, "please", *messages))
    assert why in text
    assert text.endswith("The rehearsal 'tiny' only plays: say hello")


@pytest.mark.parametrize(
    ("when", "messages", "obstacle"),
    [
        ("{heard: hello}", (), "the message that woke the turn does not match /hello/: 'a b'"),
        ("{after: [{tool: t}]}", (), "t was not called in this turn"),
        ("{after: [{tool: t, args: {x: y}}]}", called("t", ""), "t with x like /y/ was not called in this turn"),
        ("{after: [{tool: t, says: ok}]}", called("t", "bad " * 99), "the result of t does not match /ok/: 'bad bad"),
        ("{after: [{tool: t, lacks: bad}]}", called("t", "bad"), "the result of t matches /bad/: 'bad'"),
        ("{before: [t]}", called("t", ""), "t was called in this turn already"),
    ],
)
def test_obstacles(when: str, messages: list[dict[str, Any]], obstacle: str) -> None:
    scenario = tiny(f"  - {{id: r, role: QA, when: {when}, say: x}}\n")
    assert f"nearest rule 'r': {obstacle}" in complaint(scenario, *said("QA", "a\n b", *messages))


def test_the_nearest_rule_meets_most_conditions() -> None:
    scenario = tiny(
        "  - {id: far, role: QA, when: {heard: zzz, step: 1}, say: x}\n"
        "  - {id: near, role: QA, when: {heard: abc, step: 9}, say: x}\n"
    )
    assert "nearest rule 'near': this is step 1, not 9" in complaint(scenario, *said("QA", "abc"))


def test_values_fill_texts_and_keep_their_type_where_they_stand_alone() -> None:
    scenario = tiny(
        "  - {id: a, role: QA, when: {heard: '(?P<who>User)'}, say: '${who} $$ ${port}',\n"
        "     call: [{tool: t, args: {port: '${port}', at: ['${host}:${port}'], up: true}}]}\n",
        PORT,
    )
    line = play(scenario, *said("QA", "User: port 80 on host web"))
    assert line.text == "User $ 80"
    assert line.calls[0].arguments == {"port": 80, "at": ["web:80"], "up": True}


def test_a_fact_is_taken_from_what_is_newest() -> None:
    scenario = tiny("  - {id: a, role: QA, say: 'on ${port}'}\n", PORT)
    older = said("QA", "port 1, then port 2", {"role": "user", "content": "go on"})
    assert play(scenario, *older).text == "on 2"
    assert play(scenario, *older, {"role": "user", "content": "port 3"}).text == "on 3"
    assert "rule 'a' fits but needs 'port', which nobody has named" in complaint(scenario, *said("QA", "x"))


def test_an_optional_group_that_took_no_part_is_not_made_up() -> None:
    scenario = tiny("  - {id: a, role: QA, when: {heard: 'x(?P<y>y)?'}, say: 'got ${y}'}\n")
    assert play(scenario, *said("QA", "xy")).text == "got y"
    assert "needs 'y'" in complaint(scenario, *said("QA", "x"))


def test_raw_arguments_are_sent_as_they_stand() -> None:
    scenario = tiny("  - {id: a, role: QA, call: [{tool: t, raw: '{\"path\": '}]}\n")
    [call] = play(scenario, *said("QA", "x")).calls
    assert (call.arguments, call.raw) == (None, '{"path": ')
