"""The `minilab` script: warm starts, ways to call it, and what it says where it can't help itself."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.client.conftest import REPOSITORY

BASICS = ("sh", "readlink", "cksum", "cat", "tail", "mkdir", "rm", "mv", "env", "sed")


class Copy:
    """A copy of the script with a lockfile, and a .venv whose Python only says how it was called."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(parents=True)
        shutil.copy(REPOSITORY / "minilab", home)
        (home / "uv.lock").write_text("locked\n")
        (home / "pyproject.toml").write_text("project\n")
        self.tools = home.parent / "bin"
        self.tools.mkdir(exist_ok=True)
        for name in BASICS:
            found = shutil.which(name)
            assert found
            (self.tools / name).symlink_to(found)

    def program(self, path: Path, script: str) -> None:
        """A shell script that can be executed."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def warm(self, mode: str = "user") -> None:
        """A .venv in step with the lockfile."""
        self.program(self.home / ".venv" / "bin" / "python", 'echo "$PWD|$*"')
        sums = [
            subprocess.run(["cksum"], input=(self.home / name).read_bytes(), capture_output=True, check=True).stdout
            for name in ("uv.lock", "pyproject.toml")
        ]
        stamp = f"{mode}\n{self.home}\n".encode() + b"".join(sums)
        (self.home / ".venv" / "minilab.stamp").write_bytes(stamp)

    def run(
        self, *argv: str, script: str | None = None, cwd: Path | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """The script, with nothing on PATH but the basics and what the test put there."""
        env = {"PATH": str(self.tools), "HOME": str(self.home.parent)}
        command = script or str(self.home / "minilab")
        return subprocess.run(
            [command, *argv], env=env, cwd=cwd or self.home.parent, capture_output=True, text=True, timeout=60
        )


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """A copy in a directory with a space in its name."""
    return Copy(tmp_path.resolve() / "My Lab")


@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
def test_it_is_valid_shell(shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} isn't installed")
    subprocess.run([program, "-n", str(REPOSITORY / "minilab")], check=True)


def test_a_warm_start_only_runs_the_command_line(copy: Copy) -> None:
    copy.warm()
    ran = copy.run("up", "two words", "")
    assert (ran.stdout, ran.stderr) == (f"{copy.home.parent}|-P -m client.cli up two words \n", "")
    assert ran.returncode == 0


def test_a_warm_start_is_quick(copy: Copy) -> None:
    copy.warm()
    started = time.monotonic()
    for _ in range(5):
        copy.run("up")
    assert (time.monotonic() - started) / 5 < 0.3  # seconds; about 0.01 on an idle machine


def test_it_works_through_links_and_from_anywhere(copy: Copy, tmp_path: Path) -> None:
    copy.warm()
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "absolute").symlink_to(copy.home / "minilab")
    (tmp_path / "links" / "relative").symlink_to("absolute")
    for script in (tmp_path / "links" / "relative", Path("links/absolute"), Path("My Lab/minilab")):
        ran = copy.run("who", script=str(tmp_path / script))
        assert ran.stdout.endswith("-m client.cli who\n"), ran.stderr
    shell = copy.run("minilab", "who", script="sh", cwd=copy.home)
    assert shell.stdout == f"{copy.home}|-P -m client.cli who\n", shell.stderr


@pytest.mark.parametrize(
    ("stamped", "command", "in_step"),
    [
        ("user", ("up",), True),
        ("dev", ("up",), True),
        ("dev", ("test",), True),
        ("dev", ("setup", "--dev"), True),
        ("user", ("test",), False),
        ("user", ("setup", "--dev"), False),
    ],
)
def test_the_test_tools_are_installed_for_the_tests_only(
    copy: Copy, stamped: str, command: tuple[str, ...], in_step: bool
) -> None:
    copy.warm(stamped)
    ran = copy.run(*command)  # no python on PATH: a preparation would have to fail
    assert (ran.returncode == 0) is in_step
    assert ("Python 3.11 or newer is needed" in ran.stderr) is not in_step


@pytest.mark.parametrize("change", ["lock", "project", "moved", "no stamp", "no python"])
def test_what_makes_it_prepare_again(copy: Copy, tmp_path: Path, change: str) -> None:
    copy.warm()
    home = copy.home
    if change == "lock":
        (home / "uv.lock").write_text("locked differently\n")
    elif change == "project":
        (home / "pyproject.toml").write_text("another project\n")
    elif change == "moved":
        home = home.rename(tmp_path / "elsewhere")
    elif change == "no stamp":
        (home / ".venv" / "minilab.stamp").unlink()
    else:
        (home / ".venv" / "bin" / "python").unlink()
    ran = copy.run("up", script=str(home / "minilab"))
    assert ran.returncode == 1
    assert "Python 3.11 or newer is needed" in ran.stderr


def test_an_old_python_is_named(copy: Copy) -> None:
    copy.program(copy.tools / "python3", '[ "$1" = -V ] && echo Python 3.9.2 && exit 0; exit 1')
    ran = copy.run("up")
    assert ran.returncode == 1
    assert "found: Python 3.9.2" in ran.stderr
    assert "apt install python3" in ran.stderr


def _python(copy: Copy, answers: str) -> None:
    """A Python that is real for the lock, and answers questions about modules as told."""
    copy.program(
        copy.tools / "python3",
        f"""case "$*" in
{answers}
    *) exec {sys.executable} "$@" ;;
esac""",
    )


def test_no_ensurepip_and_no_pip_names_the_fix(copy: Copy) -> None:
    _python(copy, '    *"import ensurepip"*|"-m pip"*) exit 1 ;;')
    ran = copy.run("up")
    assert ran.returncode == 1
    assert "apt install python3-venv" in ran.stderr


def test_a_failed_install_says_so_and_is_tried_again(copy: Copy) -> None:
    _python(copy, "    none) ;;")
    copy.program(copy.tools / "uv", "echo 'error: no route to the index' >&2; exit 2")
    for _ in range(2):
        ran = copy.run("up")
        assert ran.returncode == 1
        assert "could not" in ran.stderr
        assert "no route to the index" in ran.stderr
        assert "setup.log" in ran.stderr
        assert not (copy.home / ".venv" / "minilab.stamp").exists()


def test_an_install_that_works_leaves_a_stamp_and_a_path_file(copy: Copy) -> None:
    _python(copy, '    *"-m venv"*) ;;')
    venv = copy.home / ".venv"
    copy.program(venv / "bin" / "python", f'case "$*" in *sysconfig*) echo "{venv}" ;; *cli*) echo "ran $*" ;; esac')
    copy.program(venv / "bin" / "uv", f'echo "$@" >>"{copy.home}/uv.calls"')
    first = copy.run("up")
    assert first.stdout == "ran -P -m client.cli up\n", first.stderr
    assert "installing" in first.stderr
    assert (venv / "minilab.pth").read_text() == f"{copy.home}\n"
    second = copy.run("up")
    assert (second.stdout, second.stderr) == (first.stdout, "")
    calls = (copy.home / "uv.calls").read_text().splitlines()
    assert len(calls) == 1
    assert "--frozen" in calls[0]
    assert "--no-dev" in calls[0]
    tests = copy.run("test")
    assert tests.returncode == 0, tests.stderr
    assert (copy.home / "uv.calls").read_text().splitlines()[1].endswith("--dev")


def test_starts_at_the_same_time_prepare_once(copy: Copy) -> None:
    _python(copy, "    none) ;;")
    venv = copy.home / ".venv"
    copy.program(venv / "bin" / "python", f'case "$*" in *sysconfig*) echo "{venv}" ;; *cli*) echo "ran $*" ;; esac')
    copy.program(venv / "bin" / "uv", f'echo call >>"{copy.home}/uv.calls"; exec {shutil.which("sleep")} 1')
    env = {"PATH": str(copy.tools), "HOME": str(copy.home)}
    starts = [
        subprocess.Popen([str(copy.home / "minilab"), "up"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    said = [start.communicate(timeout=60) for start in starts]
    assert [out for out, _ in said] == [b"ran -P -m client.cli up\n"] * 3
    assert (copy.home / "uv.calls").read_text() == "call\n"
    assert any(b"waiting for it" in error for _, error in said)


def test_a_directory_that_cannot_be_written(copy: Copy) -> None:
    _python(copy, "    none) ;;")
    (copy.home / ".minilab").write_text("a file where a directory should be")  # holds for root too
    ran = copy.run("up")
    assert ran.returncode == 1
    assert "can't write" in ran.stderr
