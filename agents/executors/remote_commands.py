"""What is run on a host, as text for its shell: the command in its wrapping, and the search for what it left. Pure.

The command runs as `env MINILAB_CALL=<marker> setsid -w … timeout -k 2 <seconds> bash -c -- <command>`, with
whatever of that the host has. Its processes are found again by the marker in their environment, by the sessions
those belong to, and by descent: `sudo` clears the environment, and `setsid` leaves the session.
"""

import re
import shlex
from dataclasses import dataclass

MARK = "MINILAB_CALL"
KILL_AFTER = 2  # seconds between the host's own TERM and KILL
TIMED_OUT = (124, 137)  # how `timeout` says it ended the command, by TERM and by KILL
NOT_FOUND = 127
NOT_EXECUTABLE = 126

_PROBE = """
for name in bash setsid timeout; do command -v $name >/dev/null 2>&1 && echo has $name; done
setsid -w true 2>/dev/null && echo can setsid
timeout -k 1 5 true 2>/dev/null && echo can timeout
test -r /proc/self/environ && echo can look
exit 0
"""

# $1 is the marker, $2 how often to look again where nothing is found yet. The marker stays out of this script's own
# environment, so the search never finds itself.
_REAP = r"""
marker=$1; again_left=$2; pids=" "; sids=" "
test -r /proc/self/environ || { echo blind; exit 0; }
look() {
  for file in $(grep -l "MINILAB_CALL=$marker" /proc/[0-9]*/environ 2>/dev/null); do
    file=${file#/proc/}; file=${file%/environ}
    case "$pids" in *" $file "*) ;; *) pids="$pids$file " ;; esac
  done
  test "$pids" = " " && return
  again=1
  while test $again = 1; do
    again=0
    for folder in /proc/[0-9]*; do
      pid=${folder#/proc/}
      read -r line 2>/dev/null < "$folder/stat" || continue
      set -- ${line##*) }
      known=0
      case "$pids" in *" $pid "*) known=1 ;; esac
      if test $known = 0; then
        case "$pids" in *" $2 "*) known=2 ;; esac
        case "$sids" in *" $4 "*) known=2 ;; esac
        test $known = 2 && { pids="$pids$pid "; again=1; }
      fi
      test $known = 0 && continue
      # a session counts if its leader is one of ours, or has ended: the SSH server's own leader lives
      case "$pids" in *" $4 "*) ;; *) test -d "/proc/$4" && continue ;; esac
      case "$sids" in *" $4 "*) ;; *) sids="$sids$4 "; again=1 ;; esac
    done
  done 2>/dev/null
}
alive() {
  left=
  for pid in $pids; do
    read -r line 2>/dev/null < "/proc/$pid/stat" || continue
    set -- ${line##*) }
    test "$1" = Z || test "$1" = X || left="$left $pid"
  done 2>/dev/null
  test -n "$left"
}
round=0
look
while test "$pids" = " " && test "$again_left" -gt 0; do
  sleep 0.1 2>/dev/null || sleep 1
  again_left=$((again_left - 1)); look
done
while alive && test $round -lt 6; do
  signal=KILL; test $round = 0 && signal=TERM
  for pid in $left; do kill -$signal "$pid" 2>/dev/null || sudo -n kill -$signal "$pid" 2>/dev/null; done
  wait=0
  while alive && test $wait -lt 4; do sleep 0.05 2>/dev/null || sleep 1; wait=$((wait + 1)); done
  look
  round=$((round + 1))
done
for pid in $left; do echo "left $pid $(tr '\0\n' '  ' 2>/dev/null < "/proc/$pid/cmdline" | cut -c 1-100)"; done
echo done
"""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What of the wrapping a host has. `look`: processes can be found in its /proc."""

    shell: str = "sh"
    setsid: bool = False
    timeout: bool = False
    look: bool = False


def probe() -> str:
    """The command that tells a host's abilities."""
    return shlex.join(["exec", "sh", "-c", _PROBE])


def abilities(answer: str) -> Abilities:
    """What the probe's answer says."""
    lines = set(answer.split("\n"))
    return Abilities(
        "bash" if "has bash" in lines else "sh", "can setsid" in lines, "can timeout" in lines, "can look" in lines
    )


def wrapped(command: str, marker: str, seconds: float, has: Abilities) -> str:
    """The command as the host is to run it. It ends by the host's own hand after `seconds`, where it can."""
    # a bash that is the first under sshd runs ~/.bashrc: the login shell has done that
    words = ["exec", "env", f"{MARK}={marker}", "SHLVL=2"]
    if has.setsid:
        # the shell between turns a death by signal into 128 + its number, which `setsid -w` does not
        words += ["setsid", "-w", "sh", "-c", '"$@"; exit $?', "sh"]
    if has.timeout:
        words += ["timeout", "-k", str(KILL_AFTER), f"{seconds:g}"]
    return shlex.join([*words, has.shell, "-c", "--", command])


def reaping(marker: str, *, young: bool = False) -> str:
    """The command that ends everything of the marked call and says what it could not end.

    Of a `young` call the host may not have started anything yet: then it looks a few times.
    """
    if not re.fullmatch(r"[0-9a-f]{32}", marker):
        raise ValueError("a marker has 32 hexadecimal digits")
    return shlex.join(["exec", "sh", "-c", _REAP, "reap", marker, "4" if young else "0"])


def unreaped(answer: str) -> tuple[str, ...]:
    """What the search could not end, in words; empty: everything has ended."""
    lines = answer.splitlines()
    if "blind" in lines:
        return ("the host has no /proc to find processes in: what the command started may still run",)
    if "done" not in lines:
        return ("the search for its processes broke off: what it started may still run",)
    return tuple(f"process {line[5:]}".strip()[:200] for line in lines if line.startswith("left "))[:20]
