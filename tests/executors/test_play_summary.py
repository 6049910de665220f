"""Reports of Ansible runs, from the events ansible-runner leaves."""

from typing import Any

from agents.executors.play_summary import PlayReport, report


def event(kind: str, stdout: str = "", **data: Any) -> dict[str, Any]:
    return {"event": kind, "stdout": stdout, "event_data": data}


def task(kind: str, task: str, stdout: str = "", host: str = "web1", **data: Any) -> dict[str, Any]:
    return event(kind, stdout, task=task, host=host, task_path="/host/infra/site.yml:4", **data)


def recap(**stats: dict[str, int]) -> dict[str, Any]:
    hosts = {host for counts in stats.values() for host in counts}
    data = {"processed": dict.fromkeys(hosts, 1), **stats}
    return {"event": "playbook_on_stats", "event_data": data}


def told(*events: dict[str, Any], check: bool = False) -> PlayReport:
    return report(events, check=check, paths={"/host/infra": "infra"})


def test_stats_per_host() -> None:
    run = told(recap(ok={"web1": 3, "web2": 1}, changed={"web1": 2}, failures={"web2": 1}, dark={"web3": 1}))
    assert run.finished
    assert run.headline() == "ok 4, changed 2, failed 1, unreachable 1, skipped 0"
    assert "web1: ok=3 changed=2 failed=0 unreachable=0" in run.text()


def test_a_changed_task_with_its_diff_and_place() -> None:
    diff = [{"before": "a\n", "after": "b\n", "before_header": "/etc/x", "after_header": "/etc/x"}]
    run = told(
        task("runner_on_ok", "write", res={"changed": True, "diff": diff}),
        task("runner_on_ok", "same", res={"changed": False}),
        recap(ok={"web1": 2}, changed={"web1": 1}),
    )
    assert [line.task for line in run.changed] == ["write"]
    text = run.text()
    assert "Changed:\n  - write on web1 (infra/site.yml:4)" in text
    assert "-a\n+b" in text
    assert "same" not in text


def test_loops_tell_their_items_once() -> None:
    run = told(
        task("runner_item_on_ok", "loop", res={"changed": True, "item": "one"}),
        task("runner_item_on_ok", "loop", res={"changed": True, "item": {"name": "two"}}),
        task("runner_item_on_failed", "loop", res={"msg": "no", "item": "three"}),
        task("runner_on_failed", "loop", res={"msg": "One or more items failed", "results": [{}]}),
        task("runner_on_ok", "loop", res={"changed": True, "results": [{}]}),
    )
    assert [line.item for line in run.changed] == ["one", '{"name": "two"}']
    assert [line.item for line in run.failed] == ["three"]


def test_failures_carry_what_was_said() -> None:
    run = told(
        task(
            "runner_on_failed", "cmd", res={"msg": "non-zero return code", "stderr": "no such user", "stdout": "out"}
        ),
        task("runner_on_failed", "soft", res={"msg": "meh"}, ignore_errors=True),
        recap(failures={"web1": 1}),
    )
    assert run.failed[0].message == "non-zero return code\nno such user\nout"
    assert "soft on web1 (infra/site.yml:4) — ignored: meh" in run.text()


def test_unreachable_hosts_say_why() -> None:
    run = told(task("runner_on_unreachable", "Gathering Facts", res={"msg": "Host key verification failed."}))
    assert "Host key verification failed." in run.text()


def test_skips_in_a_check_run_are_not_predicted_unless_their_condition_says_so() -> None:
    events = (
        task(
            "runner_on_skipped", "cmd", 'skipping: [web1] => {"msg": "Command would have run if not in check mode"}'
        ),
        task("runner_on_skipped", "when", 'skipping: [web1] => {"skip_reason": "Conditional result was False"}'),
        task("runner_on_skipped", "empty", 'skipping: [web1] => {"skipped_reason": "No items in the list"}'),
        task("runner_on_skipped", "hidden", "skipping: [web1]"),
    )
    assert [line.task for line in told(*events, check=True).not_predicted] == ["cmd", "hidden"]
    assert "Not predicted" in told(*events, check=True).text()
    assert told(*events, check=False).not_predicted == ()


def test_no_log_hides_everything_but_the_change() -> None:
    censored = {"censored": "the output has been hidden due to the fact that 'no_log: true' was specified"}
    run = told(
        task("runner_on_ok", "secret", "changed: [web1]", res=censored),
        task("runner_on_ok", "quiet", "ok: [web1]", res=censored),
        task("runner_on_failed", "broken", res=censored),
    )
    assert [line.task for line in run.changed] == ["secret"]
    assert run.failed[0].message == "hidden by no_log"


def test_a_run_cut_short_names_its_task() -> None:
    run = told(event("playbook_on_task_start", task="first"), event("playbook_on_task_start", task="hangs"))
    assert run.headline() == "did not finish: it was in task 'hangs'"
    assert told().headline() == "did not start"


def test_parse_errors_come_with_their_line_and_the_name_agents_know() -> None:
    run = told(
        event("verbose", "\x1b[0;31m[ERROR]: YAML parsing failed\x1b[0m"),
        event("verbose", "Origin: /host/infra/site.yml:5:14"),
        event("verbose", "No config file found; using defaults"),
        event("verbose", "Using /x/ansible.cfg as config file"),
        event("verbose", "  "),
        event("runner_on_start", "nothing to tell"),
    )
    assert run.complaints == "[ERROR]: YAML parsing failed\nOrigin: infra/site.yml:5:14"
    assert "did not start" in run.text()
    assert "Origin: infra/site.yml:5:14" in run.text()


def test_no_host_matched() -> None:
    run = told(recap())
    assert run.no_hosts
    assert "no host matched" in run.text()


def test_long_lists_messages_and_diffs_are_cut() -> None:
    big = {"before": "", "after": "".join(f"line {n}\n" for n in range(2000))}
    tasks = [task("runner_on_ok", f"t{n}", res={"changed": True, "diff": big}) for n in range(60)]
    text = told(*tasks, task("runner_on_failed", "long", res={"msg": "m" * 5000})).text()
    assert "… 20 more" in text
    assert "more characters of this diff" in text
    assert "more diffs" in text
    assert "4400 characters left out" in text
    assert len(text) < 30_000


def test_diffs_of_every_shape() -> None:
    run = told(
        task("runner_on_ok", "prepared", res={"changed": True, "diff": {"prepared": "+added"}}),
        task(
            "runner_on_ok", "state", res={"changed": True, "diff": {"before": {"mode": "1"}, "after": {"mode": "2"}}}
        ),
        task("runner_on_ok", "new", res={"changed": True, "diff": {"after": "x", "after_header": "/f"}}),
        task("runner_on_ok", "odd", res={"changed": True, "diff": ["text", {"before": "s", "after": "s"}]}),
    )
    assert len(run.diffs) == 3
    assert '-{\n- "mode": "1"' in "\n".join(run.diffs) or '"mode": "1"' in run.diffs[1]
