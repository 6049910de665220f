"""The wrapping of a remote command, and what is read of the answers."""

import subprocess

import pytest

from agents.executors.remote_commands import Abilities, abilities, probe, reaping, unreaped, wrapped

MARKER = "0" * 31 + "1"


def run(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30, check=False)


def test_the_probe_tells_what_is_there() -> None:
    has = abilities(run(probe()).stdout)
    assert has.shell in ("bash", "sh")
    assert has.timeout
    assert abilities("") == Abilities("sh", False, False, False)
    assert abilities("has bash\ncan setsid\ncan timeout\ncan look\n") == Abilities("bash", True, True, True)


@pytest.mark.parametrize("setsid", [True, False])
@pytest.mark.parametrize("timeout", [True, False])
def test_the_wrapping_changes_neither_words_nor_exit_code(setsid: bool, timeout: bool) -> None:
    command = "printf '%s' \"it's $MINILAB_CALL\" '$HOME' '\n'; exit 7"
    done = run(wrapped(command, MARKER, 5, Abilities("sh", setsid, timeout, True)))
    assert (done.stdout, done.returncode) == (f"it's {MARKER}$HOME\n", 7)
    killed = run(wrapped("kill -KILL $$", MARKER, 5, Abilities("sh", setsid, timeout, True)))
    assert killed.returncode in (137, -9)


def test_the_hosts_own_timeout() -> None:
    assert run(wrapped("sleep 20", MARKER, 0.2, Abilities("sh", True, True, True))).returncode == 124


def test_nothing_to_reap() -> None:
    assert unreaped(run(reaping(MARKER)).stdout) == ()
    assert unreaped(run(reaping(MARKER, young=True)).stdout) == ()


@pytest.mark.parametrize("marker", ["", "x" * 32, MARKER + "0", "$(id)"])
def test_a_marker_is_hexadecimal(marker: str) -> None:
    with pytest.raises(ValueError, match="hexadecimal"):
        reaping(marker)


def test_what_could_not_be_ended_is_told() -> None:
    assert unreaped("left 42 sleep 100 \nleft 43\ndone\n") == ("process 42 sleep 100", "process 43")
    assert "no /proc" in unreaped("blind\n")[0]
    assert "broke off" in unreaped("")[0]
