"""The command grammar against its tables, and against what tries to slip through it."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.domain.turn import Effect
from agents.tools.command_grammar import TYPES
from agents.tools.commands import MAX_SCRIPT, classify, classify_argv, classify_kubectl, worst

CASES = Path(__file__).parents[1] / "cases"
READS, CAUTIOUS, MUTATES, WRITES, DESTROYS = (
    yaml.safe_load((CASES / f"commands_{name}.yaml").read_text())
    for name in ("read", "cautious", "mutate", "write", "destroy")
)
ALL = [*READS, *CAUTIOUS, *MUTATES, *WRITES, *DESTROYS]


def ids(cases: list[dict[str, Any]]) -> Iterator[str]:
    return (case["command"][:50].encode("ascii", "replace").decode() for case in cases)


@pytest.mark.parametrize("case", ALL, ids=ids(ALL))
def test_the_table(case: dict[str, Any]) -> None:
    verdict = classify(case["command"])
    assert verdict.effect == case["effect"], verdict.reasons
    assert bool(verdict.reasons) == (verdict.effect is not Effect.READ)


def test_the_table_is_large_and_honest() -> None:
    assert len(ALL) >= 300
    assert len(MUTATES) + len(DESTROYS) >= 120
    benign = [*READS, *CAUTIOUS]
    assert len(READS) >= 90
    assert len(READS) / len(benign) >= 0.8  # the cautious ones were collected because they are refused
    commands = [case["command"] for case in ALL]
    assert len(set(commands)) == len(commands)


# everyday reads, written down before they were tried against the grammar
EVERYDAY = """
cat docs/implementation_plan.md
ls -R infra
ls -l /etc/nginx/sites-enabled
systemctl status ssh --no-pager -l
journalctl -u docker --since today --no-pager
ss -ltn
curl -sf http://localhost:8080/healthz
curl -v http://10.0.0.5:3000
ps aux | grep nginx
ps aux | grep -v grep | grep python
df -h /var/lib/docker
du -sh * 2>/dev/null | sort -h
free -h
cat /proc/cpuinfo | grep "model name" | uniq
cat /proc/meminfo | head -3
uname -r
docker ps --filter name=web --format '{{.Status}}'
docker logs web --tail 50
docker inspect -f '{{.State.Health.Status}}' web
kubectl get nodes -o wide
kubectl -n kube-system get pods
kubectl get events -A --sort-by=.lastTimestamp
kubectl logs -n web web-123 --previous
terraform -version
find . -maxdepth 3 -name "*.yml" -not -path "./.git/*"
grep -rn --include="*.yml" "hosts:" config
head -c 200 docs/x.md; echo
test -d infra && ls infra || echo missing
id deploy
getent passwd deploy
ip -o -4 addr show
ip neigh
cat /etc/resolv.conf
dig +short A web.lan @10.0.0.1
nproc && free -m && df -h /
last -n 3
lsblk -o NAME,SIZE,TYPE,MOUNTPOINT
zpool list
qm config 101
pvesh get /nodes/pve/status --output-format json
cat /etc/fstab | grep -v '^#'
awk -F: '$3 >= 1000 {print $1}' /etc/passwd
sed -n '10,30p' config/site.yml
sort -k2 -n x.txt | tail -1
wc -l config/site.yml infra/main.tf
md5sum config/site.yml
stat config/site.yml
which ansible-playbook
python3 --version; ansible --version
echo "exit: $?"
""".strip().splitlines()


def test_nine_everyday_reads_in_ten_are_accepted() -> None:
    refused = [command for command in EVERYDAY if classify(command).effect is not Effect.READ]
    assert len(refused) <= len(EVERYDAY) * 0.1, refused


@pytest.mark.parametrize("wrapped", [f"{{}}{sep}touch /etc/x" for sep in (";", "\n", "&&", "||", "|", "&", " |& ")])
@pytest.mark.parametrize("read", ["ls -la /tmp", "echo hi", "grep -c x y"])
def test_a_change_behind_a_read_is_seen(read: str, wrapped: str) -> None:
    assert classify(read).effect is Effect.READ
    assert classify(wrapped.format(read)).effect is Effect.MUTATE


@given(
    st.sampled_from([case["command"] for case in READS if '"' not in case["command"]]),
    st.sampled_from(["$(touch /x)", "`touch /x`", "${x:=$(id)}", ">(tee /x)", "<(id >/x)", "$'\\x41'", "\\\n", "é"]),
    st.integers(0, 80),
)
@settings(max_examples=300, deadline=None)
def test_nothing_injected_into_a_read_stays_a_read(command: str, poison: str, at: int) -> None:
    at = min(at, len(command))
    before = command[:at]
    quoted = before.count("'") % 2 == 1 or "#" in before
    verdict = classify(before + poison + command[at:])
    if poison == "\\\n" or quoted:
        return  # a joined line and a quoted text are just text
    assert verdict.effect is not Effect.READ


@given(st.text(alphabet="ls -rm\"'$(){}[]<>|&;\\`*?~!#=%/ \nx0", max_size=60))
@settings(max_examples=500, deadline=None)
def test_any_text_gets_a_verdict(text: str) -> None:
    verdict = classify(text)
    assert bool(verdict.reasons) == (verdict.effect is not Effect.READ)


def test_control_characters_are_refused() -> None:
    for letter in "\x00\x07\x1b\r\x7f\u200b\u202e":
        assert classify(f"ls {letter}").effect is Effect.MUTATE
    assert classify("ls\t-l").effect is Effect.READ


def test_an_empty_script_does_nothing_and_a_huge_one_is_feared() -> None:
    assert classify("").effect is Effect.READ
    assert classify("# only a comment").effect is Effect.READ
    assert classify("ls " * MAX_SCRIPT).effect is Effect.DESTROY


@pytest.mark.parametrize(
    "text",
    [
        "rm " * 5000, "dd " * 5000, "git push " * 1500, "( " * 5000, "{ " * 5000, "$(" * 5000, '"$(' * 4000,
        "if " * 4000, "a=" * 5000, "touch " + "a" * 15000 + "!", "awk '{print " + "$1 " * 4000 + "!}'",
        "sed 's/" + "\\a" * 6000 + "' x",
    ],
    ids=lambda text: text[:8],
)  # fmt: skip
def test_hostile_scripts_take_no_time(text: str) -> None:
    began = time.monotonic()
    assert classify(text).effect is not Effect.READ
    assert time.monotonic() - began < 20  # hang protection


def test_deep_nesting_is_refused_and_shallow_is_read() -> None:
    assert classify("(" * 5 + "ls" + ")" * 5).effect in (Effect.READ, Effect.MUTATE)
    assert classify("( " * 3 + "ls" + " )" * 3).effect is Effect.READ
    assert classify("( " * 60 + "ls" + " )" * 60).effect is Effect.MUTATE


def test_programs_are_named() -> None:
    assert classify("ls -l | grep x; echo $(date)").programs == ("ls", "grep", "date", "echo")


def test_reasons_say_what_stopped() -> None:
    assert classify("ls --nope").reasons == ("ls: flag '--nope' is not known to only read",)
    assert classify("git stash").reasons == ("`git stash` is not in the table of reads",)
    assert "can't be undone" in classify("rm -rf x").reasons[-1]


@pytest.mark.parametrize(
    ("argv", "effect"),
    [
        (("ls", "*"), Effect.READ),  # without a shell a star is a star
        (("cat", "a b.txt"), Effect.READ),
        (("cat", "$HOME; rm -rf /"), Effect.READ),  # no shell: one strange file name
        (("systemctl", "is-active", "nginx"), Effect.READ),
        (("systemctl", "restart", "nginx"), Effect.MUTATE),
        (("rm", "-rf", "x"), Effect.DESTROY),
        (("./ls",), Effect.MUTATE),
        (("ls", "\x1b"), Effect.MUTATE),
        (("",), Effect.MUTATE),
        ((), Effect.MUTATE),
    ],
)
def test_argv_needs_no_shell(argv: tuple[str, ...], effect: Effect) -> None:
    assert classify_argv(argv).effect is effect


@pytest.mark.parametrize(
    ("args", "effect"),
    [
        ("get pods -A -o wide", Effect.READ),
        ("-n web get pods", Effect.READ),
        ("--namespace=web describe pod x", Effect.READ),
        ("rollout status deploy/web", Effect.READ),
        ("rollout restart deploy/web", Effect.MUTATE),
        ("apply -f x.yaml", Effect.MUTATE),
        ("exec web -- ls", Effect.MUTATE),
        ("get pods --kubeconfig=/tmp/x", Effect.MUTATE),
        ("frobnicate", Effect.MUTATE),
        ("delete pod x", Effect.DESTROY),
        ("-n web delete pod x", Effect.DESTROY),
        ("drain n1", Effect.DESTROY),
        ("", Effect.MUTATE),
    ],
)
def test_kubectl_verbs(args: str, effect: Effect) -> None:
    assert classify_kubectl(args.split()).effect is effect


def test_worst() -> None:
    assert worst(()) is Effect.READ
    assert worst((Effect.WRITE, Effect.DESTROY, Effect.MUTATE)) is Effect.DESTROY


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("AWK", "{print $1, $NF}", "{print $1 > x}"),
        ("AWK", "/x/ {print}", '/x/ {system("id")}'),
        ("SED", "s|a|b|g", "s|a|b|w x"),
        ("SED", "$p", "$w x"),
        ("FORMAT", "%5.2f%%\\n", "%ld%n"),
        ("U", "https://web.lan:8443/api/v1/status?x=1", "https://web.lan/api/v1/vm/100/reset"),
        ("P", "/dev/null", "/dev/watchdog"),
        ("P", "/etc/hosts", "//dev/tcp/1.2.3.4/80"),
        ("DATEFORMAT", "+%F", "010100002020"),
    ],
)
def test_types(kind: str, good: str, bad: str) -> None:
    assert re.fullmatch(TYPES[kind], good)
    assert not re.fullmatch(TYPES[kind], bad)
