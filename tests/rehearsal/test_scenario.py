"""Scenarios are read strictly: a fault is named with its place."""

from pathlib import Path

import pytest

from rehearsal.scenario import SCENARIOS, ScenarioError, load, parse
from tests.rehearsal.scenes import HEAD, tiny

GOOD = "  - {id: a, role: QA, say: hello}\n"


@pytest.mark.parametrize("name", sorted(path.stem for path in SCENARIOS.glob("*.yaml")))
def test_every_shipped_scenario_is_good(name: str) -> None:
    assert load(name).name == name


def test_a_path_is_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"{HEAD}rules:\n{GOOD}")
    assert load(str(file)).rules[0].say == "hello"


@pytest.mark.parametrize(
    ("rules", "place", "fault"),
    [
        ("  - {id: a, role: QA}\n", "rules[0] (a)", "answers with 'say', 'call' or both"),
        (GOOD + GOOD, "scenario", "two rules are called 'a'"),
        (GOOD + "  - {id: b, role: QA, say: x, wen: {}}\n", "rules[1] (b).wen", "Extra inputs"),
        ("  - {id: a, role: QA, say: x, when: {heard: '('}}\n", "rules[0] (a).when.heard", "no regular expression"),
        ("  - {id: a, role: QA, call: [{args: {}}]}\n", "rules[0] (a).call[0].tool", "Field required"),
        ("  - {id: a, role: QA, say: 'on $(port)'}\n", "scenario", "a stray '$'"),
        ("  - {id: a, role: QA, say: 'on ${port}'}\n", "scenario", "rule 'a' uses ${port}, which is no fact"),
        ("  - {id: a, role: QA, call: [{tool: t, args: {x: [{y: '${z}'}]}}]}\n", "scenario", "${z}"),
        ("  - {id: a, role: QA, say: x, fault: {kind: fire}}\n", "rules[0] (a).fault.kind", "Input should be"),
        ("  - {id: A b, role: QA, say: x}\n", "rules[0] (A b).id", "match pattern"),
        ("  []\n", "rules", "at least 1"),
        ("  - 'text'\n", "rules[0]", "valid dictionary"),
    ],
)
def test_a_fault_is_named_with_its_place(rules: str, place: str, fault: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        parse(f"{HEAD}rules:\n{rules}", "tiny.yaml")
    assert str(raised.value).startswith(f"tiny.yaml: {place}: ")
    assert fault in str(raised.value)


@pytest.mark.parametrize("text", ["a: [", "just words", ""])
def test_what_is_no_scenario_is_refused(text: str) -> None:
    with pytest.raises(ScenarioError, match=r"^tiny\.yaml: "):
        parse(text, "tiny.yaml")


def test_a_fact_has_exactly_one_group() -> None:
    with pytest.raises(ScenarioError, match=r"facts\.port: a fact's pattern has exactly one group"):
        tiny(GOOD, "{port: {pattern: 'port'}}")
    assert "port" in tiny(GOOD, "{port: {pattern: 'port (x)'}}").facts


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ScenarioError, match=r"no scenario 'nope'; there is .*status-page"):
        load("nope")


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "latin.yaml"
    file.write_bytes(b"name: \xe9")
    with pytest.raises(ScenarioError, match=r"latin\.yaml"):
        load(str(file))


def test_a_plain_dollar_sign_can_be_written() -> None:
    assert tiny("  - {id: a, role: QA, say: 'costs $$5'}\n").rules[0].placeholders() == set()


def test_the_example_in_the_readme_is_good() -> None:
    text = (SCENARIOS.parent / "README.md").read_text(encoding="utf-8")
    example = text.split("```yaml\n")[1].split("```")[0]
    assert [rule.id for rule in parse(example, "README.md").rules] == ["devops-looks", "devops-answers"]
