"""The policy: first match, limits, levels, the rules no file changes, complaints with lines, and hot reload."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.domain.errors import BadInput
from agents.domain.finding import Severity
from agents.domain.role import ROLES
from agents.domain.turn import Effect
from agents.tools.policy import READ_ONLY_ROLES, Policy, PolicyFile, Proposal
from agents.tools.policy_file import Limits
from agents.tools.risk import Blast, Risk

SHIPPED = (Path(__file__).parents[2] / "policy.yaml").read_text()
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)  # a Friday


def proposal(
    effect: Effect = Effect.MUTATE,
    tool: str = "run_ansible",
    role: str = "DevOps",
    *,
    score: float = 0.3,
    blast: Blast | None = None,
    hosts: tuple[str, ...] = (),
    text: Effect | None = None,
    **args: Any,
) -> Proposal:
    return Proposal(role, tool, args, Risk(effect, score, ("why",), blast or Blast()), hosts, text)


def policy(rules: str, head: str = "") -> Policy:
    return Policy.load(f"version: 1\nlevel: own\n{head}\nlevels:\n  own:\n{rules}")


def says(policy: Policy, proposal: Proposal, now: datetime = NOON) -> str:
    ruling = policy.rule_on(proposal, now)
    if ruling.denied:
        return "deny"
    return "+".join(sorted(ruling.needed)) or "allow"


# --- the shipped levels


@pytest.mark.parametrize(
    ("level", "read", "write", "mutate", "destroy"),
    [
        ("observe", "allow", "deny", "deny", "deny"),
        ("suggest", "allow", "allow", "User", "Security+User"),
        ("guarded", "allow", "allow", "Security", "Security+User"),
        ("autonomous", "allow", "allow", "allow", "Security"),
    ],
)
def test_the_shipped_levels(level: str, read: str, write: str, mutate: str, destroy: str) -> None:
    shipped = Policy.load(SHIPPED.replace("level: guarded", f"level: {level}"))
    answers = [says(shipped, proposal(effect)) for effect in Effect]
    assert answers == [read, write, mutate, destroy]


def test_guarded_is_the_default_and_high_findings_block() -> None:
    shipped = Policy.load(SHIPPED)
    assert shipped.level == "guarded"
    assert shipped.findings_block_from is Severity.HIGH


@pytest.mark.parametrize(
    ("act", "answer"),
    [
        (proposal(tool="run_ansible", hosts=("localhost",), blast=Blast(hosts=1, changes=6), score=0.4), "Security"),
        (proposal(tool="host_app"), "Security"),
        (proposal(tool="run_ansible", hosts=tuple("abcdef")), "Security+User"),
        (proposal(tool="run_terraform", blast=Blast(creates=3)), "Security"),
        (proposal(tool="run_terraform", blast=Blast(creates=30)), "Security+User"),
        (proposal(Effect.DESTROY, tool="run_terraform", blast=Blast(deletes=1)), "Security+User"),
        (proposal(Effect.WRITE, tool="run_shell"), "allow"),
        (proposal(Effect.WRITE, tool="save_file"), "allow"),
        (proposal(tool="run_ssh", hosts=("web",)), "Security"),
        (proposal(tool="run_ssh", hosts=("a", "b", "c", "d")), "Security+User"),
        (proposal(tool="run_ansible", score=0.85), "Security+User"),
        (proposal(Effect.READ, tool="run_ssh", score=0.9), "allow"),
    ],
)
def test_guarded_in_a_lab(act: Proposal, answer: str) -> None:
    assert says(Policy.load(SHIPPED), act) == answer


@pytest.mark.parametrize(
    ("settings", "level", "mutate"),
    [
        ({}, "guarded", "Security"),
        ({"autonomous_mode": False, "require_human_approval": False}, "guarded", "Security"),
        ({"autonomous_mode": True}, "autonomous", "allow"),
        ({"require_human_approval": True}, "suggest", "User"),
        ({"require_human_approval": True, "autonomous_mode": True}, "suggest", "User"),
        ({"risk_threshold": 0.2}, "guarded", "Security+User"),
        ({"autonomous_mode": True, "risk_threshold": 0.2}, "autonomous", "User"),
    ],
)
def test_settings_choose_the_level(settings: dict[str, Any], level: str, mutate: str) -> None:
    adjusted = Policy.load(SHIPPED).adjusted(**settings)
    assert (adjusted.level, says(adjusted, proposal())) == (level, mutate)


def test_settings_never_loosen_observe_but_for_autonomy_asked_for() -> None:
    observing = Policy.load(SHIPPED.replace("level: guarded", "level: observe"))
    assert observing.adjusted(require_human_approval=True).level == "observe"


def test_a_setting_the_file_cannot_follow_is_refused() -> None:
    own = policy("  - {name: a, then: deny}")
    with pytest.raises(BadInput, match="no level 'autonomous'"):
        own.adjusted(autonomous_mode=True)
    for threshold in (-0.1, 1.1, float("nan")):
        with pytest.raises(BadInput, match="AGENT_RISK_THRESHOLD"):
            own.adjusted(risk_threshold=threshold)


# --- the rules no file changes

LEVELS = [
    Policy.load(SHIPPED.replace("level: guarded", f"level: {level}"))
    for level in ("observe", "suggest", "guarded", "autonomous")
]
ALLOW_ALL = policy("  - {name: all, effect: [read, write, mutate, destroy], then: allow}", "risk_threshold: 1")


@pytest.mark.parametrize("role", sorted(READ_ONLY_ROLES))
@pytest.mark.parametrize("tool", ["run_shell", "run_ssh", "run_code", "run_kubectl"])
@pytest.mark.parametrize("effect", [Effect.WRITE, Effect.MUTATE, Effect.DESTROY])
def test_the_shells_of_those_who_judge_only_read(role: str, tool: str, effect: Effect) -> None:
    assert says(ALLOW_ALL, proposal(effect, tool, role)) == "deny"
    assert says(ALLOW_ALL, proposal(Effect.READ, tool, role)) == "allow"
    assert says(ALLOW_ALL, proposal(Effect.READ, tool, role, text=effect)) == "deny"
    assert says(ALLOW_ALL, proposal(effect, tool, "DevOps")) == "allow"


def test_those_who_judge_may_write_their_notes() -> None:
    assert says(ALLOW_ALL, proposal(Effect.WRITE, "save_file", "Security")) == "allow"
    assert says(ALLOW_ALL, proposal(Effect.DESTROY, "unheard_of", "Security")) == "deny"


def test_nobody_is_asked_about_their_own_act() -> None:
    own = policy("  - {name: a, then: review}")
    assert says(own, proposal(role="Security", effect=Effect.READ)) == "User"
    assert says(own, proposal(role="DevOps", effect=Effect.READ)) == "Security"


@given(
    st.sampled_from(ROLES), st.sampled_from(["run_shell", "save_file", "x"]), st.sampled_from(Effect), st.floats(0, 1)
)
def test_no_policy_lets_anybody_approve_their_own_act(role: str, tool: str, effect: Effect, score: float) -> None:
    for level in LEVELS:
        ruling = level.rule_on(proposal(effect, tool, role, score=score), NOON)
        assert role not in ruling.needed
        assert not (ruling.denied and ruling.needed)
        assert not (effect is Effect.DESTROY and ruling.allowed)


# --- matching


def test_the_first_match_decides_and_no_match_asks_the_user() -> None:
    own = policy(
        """
  - {name: a, role: Coder, then: deny}
  - {name: b, tool: [run_ssh, run_kubectl], effect: mutate, then: review}
  - {name: c, tool: run_ssh, then: both}
"""
    )
    assert says(own, proposal(role="Coder", tool="run_ssh")) == "deny"
    assert says(own, proposal(tool="run_ssh")) == "Security"
    assert says(own, proposal(Effect.DESTROY, tool="run_ssh")) == "Security+User"
    assert says(own, proposal(tool="run_ansible")) == "User"
    assert says(own, proposal(Effect.READ, tool="unheard_of")) == "User"
    assert own.rule_on(proposal(tool="run_ssh"), NOON).rule == "b"


HOSTS = "host_groups:\n  web: [web-*, www]\n  prod: ['*.prod']"


@pytest.mark.parametrize(
    ("field", "hosts", "fits"),
    [
        ("hosts", ("web-1",), True),
        ("hosts", ("web-1", "www"), True),
        ("hosts", ("web-1", "db"), False),
        ("hosts", (), False),
        ("hosts", ("WEB-1",), False),
        ("any_host", ("web-1", "db"), True),
        ("any_host", ("db",), False),
        ("any_host", (), False),
    ],
)
def test_hosts(field: str, hosts: tuple[str, ...], fits: bool) -> None:
    own = policy(f"  - {{name: a, {field}: web, then: deny}}", HOSTS)
    assert (says(own, proposal(hosts=hosts)) == "deny") is fits


@pytest.mark.parametrize(
    ("args", "fits"),
    [
        ({"command": "systemctl restart nginx"}, True),
        ({"command": "systemctl restart nginx; reboot"}, False),
        ({"command": "systemctl restart nginx\nreboot"}, False),
        ({"command": "sudo systemctl restart nginx"}, False),
        ({"command": ["systemctl", "restart", "nginx"]}, True),
        ({"command": None}, False),
        ({}, False),
        ({"command": {"a": 1}}, False),
    ],
)
def test_an_argument_must_fit_the_whole_pattern(args: dict[str, Any], fits: bool) -> None:
    own = policy("  - {name: a, args: {command: 'systemctl restart [a-z]+'}, then: deny}")
    assert (says(own, proposal(**args)) == "deny") is fits


def test_an_argument_that_is_no_text_is_matched_as_json() -> None:
    own = policy("  - {name: a, args: {check: 'true', timeout: '60'}, then: deny}")
    assert says(own, proposal(check=True, timeout=60.0)) == "deny"
    assert says(own, proposal(check=False, timeout=60)) == "User"


# --- limits


@pytest.mark.parametrize(
    ("limits", "act", "within"),
    [
        ("max_deletes: 1", proposal(blast=Blast(deletes=1)), True),
        ("max_deletes: 1", proposal(blast=Blast(deletes=1, replaces=1)), False),
        ("max_changes: 2", proposal(blast=Blast(creates=1, changes=1)), True),
        ("max_changes: 2", proposal(blast=Blast(creates=1, changes=1, deletes=1)), False),
        ("max_hosts: 1", proposal(hosts=("a", "a")), True),
        ("max_hosts: 1", proposal(hosts=("a",), blast=Blast(hosts=2)), False),
        ("max_hosts: 0", proposal(hosts=("a",)), False),
        ("max_score: 0.3", proposal(score=0.3), True),
        ("max_score: 0.3", proposal(score=0.31), False),
    ],
)
def test_limits(limits: str, act: Proposal, within: bool) -> None:
    own = policy(f"  - {{name: a, effect: mutate, then: allow, limits: {{{limits}}}}}")
    assert says(own, act) == ("allow" if within else "User")
    own = policy(f"  - {{name: a, effect: mutate, then: allow, beyond: deny, limits: {{{limits}}}}}")
    assert says(own, act) == ("allow" if within else "deny")


def test_beyond_a_limit_more_is_asked_never_less() -> None:
    own = policy("  - {name: a, then: both, beyond: review, limits: {max_hosts: 0}}")
    assert says(own, proposal(hosts=("a",))) == "Security+User"
    ruling = own.rule_on(proposal(hosts=("a",)), NOON)
    assert ruling.why == ("1 hosts: the limit is 0",)


@pytest.mark.parametrize(
    ("window", "when", "inside"),
    [
        ({"hours": "08:00-22:00"}, "2026-11-20T08:00+00:00", True),
        ({"hours": "08:00-22:00"}, "2026-11-20T22:00+00:00", False),
        ({"hours": "08:00-22:00"}, "2026-11-20T07:59+00:00", False),
        ({"hours": "22:00-06:00"}, "2026-11-20T23:00+00:00", True),
        ({"hours": "22:00-06:00"}, "2026-11-20T05:59+00:00", True),
        ({"hours": "22:00-06:00"}, "2026-11-20T12:00+00:00", False),
        ({"hours": "18:00-24:00"}, "2026-11-20T23:59+00:00", True),
        ({"hours": "08:00-22:00", "timezone": "Europe/Berlin"}, "2026-11-20T07:30+00:00", True),
        ({"hours": "08:00-22:00", "timezone": "Europe/Berlin"}, "2026-11-20T21:30+00:00", False),
        ({"hours": "08:00-22:00", "timezone": "Europe/Berlin"}, "2026-07-20T06:30+00:00", True),  # summer time
        ({"days": "fri"}, "2026-11-20T12:00+00:00", True),
        ({"days": ["sat", "sun"]}, "2026-11-20T12:00+00:00", False),
        ({"days": ["sat"], "timezone": "Pacific/Auckland"}, "2026-11-20T12:00+00:00", True),
        # Saturday 02:00 belongs to the night that began on Friday
        ({"days": ["fri"], "hours": "22:00-06:00"}, "2026-11-21T02:00+00:00", True),
        ({"days": ["sat"], "hours": "22:00-06:00"}, "2026-11-21T02:00+00:00", False),
    ],
)
def test_maintenance_windows(window: dict[str, Any], when: str, inside: bool) -> None:
    assert Limits.model_validate(window).in_window(datetime.fromisoformat(when), "UTC") is inside


def test_outside_the_window_the_reason_names_it() -> None:
    own = policy(
        "  - {name: a, effect: mutate, then: allow, limits: {hours: '08:00-10:00', days: [fri]}}",
        "timezone: Europe/Berlin",
    )
    assert own.rule_on(proposal(), NOON).why == ("now is outside the window 08:00-10:00 fri (Europe/Berlin)",)
    assert says(own, proposal(), NOON.replace(hour=8)) == "allow"  # nine o'clock in Berlin


# --- complaints


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "empty"),
        ("[]", "no mapping"),
        ("a: [", "no YAML"),
        ("a: !!python/object/apply:os.system [id]", "no YAML"),
        ("version: 2\nlevel: a\nlevels: {a: []}", "line 1: version"),
        ("version: 1\nlevel: gaurded\nlevels: {guarded: []}", "did you mean 'guarded'"),
        ("version: 1\nlevels: {a: []}", "level: Field required"),
        ("version: 1\nlevel: a\nlevel: b\nlevels: {a: []}", "line 3: 'level' is given twice"),
        ("version: 1\nlevel: a\nlevels: {a: []}\ntimezone: Mars/Olympus", "line 4: timezone: 'Mars/Olympus'"),
        ("version: 1\nlevel: a\nlevels: {a: []}\ntimezone: ../../etc/passwd", "no time zone"),
        ("version: 1\nlevel: a\nlevels: {a: []}\nfindings_block_from: awful", "one of info, low"),
        ("version: 1\nlevel: a\nlevels: {a: []}\nfindings_block_from: [high]", "line 4: findings_block_from"),
        ("version: 1\nlevel: a\nlevels: {a: []}\nrisk_threshold: 2", "line 4: risk_threshold"),
    ],
)
def test_a_broken_file_is_told_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(BadInput, match=r"policy\.yaml") as caught:
        Policy.load(text)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ("then: maybe", "levels.own.0.then: Input should be"),
        ("then: allow", "must name its effect"),
        ("then: deny, effect: kill", "levels.own.0.effect.0"),
        ("then: deny, efect: read", "levels.own.0.efect: Extra inputs"),
        ("then: deny, role: Devops", "did you mean 'DevOps'"),
        ("then: deny, tool: []", "tool is empty"),
        ("then: deny, tool: run_shel", "did you mean 'run_shell'"),
        ("then: deny, hosts: wb", "no host group 'wb'; did you mean 'web'"),
        ("then: deny, args: {command: '('}", "no regular expression"),
        ("then: deny, args: {command: 1}", "args.command"),
        ("then: deny, limits: {hours: '8-22'}", "08:00-22:00"),
        ("then: deny, limits: {hours: '08:00-08:00'}", "two different times"),
        ("then: deny, limits: {days: [friday]}", "limits.days.0"),
        ("then: deny, limits: {max_hosts: -1}", "limits.max_hosts"),
        ("then: deny, beyond: allow", "beyond"),
    ],
)
def test_a_broken_rule_is_told_with_its_name(rule: str, complaint: str) -> None:
    text = f"version: 1\nlevel: own\n{HOSTS}\nlevels:\n  own:\n  - {{name: mine, {rule}}}\n"
    with pytest.raises(BadInput) as caught:
        Policy.load(text, tools=["run_shell"])
    assert "line 8: rule 'mine'" in str(caught.value)
    assert complaint in str(caught.value)
    assert Policy.load(text.replace(rule, "then: deny"), tools=["run_shell"])


@given(st.text(max_size=200))
def test_any_text_is_a_policy_or_a_complaint(text: str) -> None:
    with pytest.raises(BadInput):
        Policy.load(text)


# --- hot reload


class Disk:
    """A file whose text a test changes, and a clock it turns."""

    def __init__(self, text: str) -> None:
        self.text: str | None = text
        self.now = 0.0
        self.reads = 0

    def read(self) -> str:
        self.reads += 1
        if self.text is None:
            raise FileNotFoundError("policy.yaml")
        return self.text

    def clock(self) -> float:
        return self.now


@pytest.fixture
def disk() -> Disk:
    return Disk(SHIPPED)


def test_a_changed_file_counts_after_a_while(disk: Disk) -> None:
    file = PolicyFile(disk.read, disk.clock)
    assert file.current()[0].level == "guarded"
    disk.text = SHIPPED.replace("level: guarded", "level: observe")
    assert file.current()[0].level == "guarded"
    assert disk.reads == 1
    disk.now = 2
    assert file.current() == (Policy.load(disk.text), None)


@pytest.mark.parametrize("broken", ["version: 3", "", None, "level: ["])
def test_a_broken_file_keeps_the_last_good_one_and_says_so(disk: Disk, broken: str | None) -> None:
    file = PolicyFile(disk.read, disk.clock)
    good = file.current()[0]
    disk.text, disk.now = broken, 2
    for _ in range(3):
        policy, complaint = file.current()
        assert policy is good
        assert complaint is not None
        assert complaint.endswith("the last good policy stays in force")
        disk.now += 2
    disk.text = SHIPPED
    assert file.current() == (good, None)


def test_settings_hold_for_every_text(disk: Disk) -> None:
    file = PolicyFile(disk.read, disk.clock, adjust=lambda policy: policy.adjusted(autonomous_mode=True))
    assert file.current()[0].level == "autonomous"
    disk.text, disk.now = "version: 1\nlevel: a\nlevels: {a: []}", 2
    policy, complaint = file.current()
    assert policy.level == "autonomous"
    assert complaint is not None
    assert "no level 'autonomous'" in complaint


@pytest.mark.parametrize("text", [None, "version: 9"])
def test_without_any_good_policy_nothing_starts(disk: Disk, text: str | None) -> None:
    disk.text = text
    with pytest.raises(BadInput, match=r"policy\.yaml"):
        PolicyFile(disk.read, disk.clock)
