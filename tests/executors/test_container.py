"""Commands where a container is the boundary: attacked for real, each attack beside what must go on working."""

import asyncio
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.executors import container, landlock_rules
from agents.executors.levels import Level, Limits
from agents.executors.process import Finished, Processes
from agents.executors.sandbox import Sandbox
from agents.executors.workspace import Workspace

needs_landlock = pytest.mark.skipif(container.offer().abi == 0, reason="Landlock isn't offered here")


class Home:
    """An installation in a container: a workspace, state of its own, secrets beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.secret, self.key = path / "run" / "secrets" / "Coder.key", path / ".minilab" / "keys" / "User.key"
        iac = path / "generated_iac"
        self.roots = {"infra": iac / "infra", "config": iac / "config", "docs": path / "docs", "tmp": path / "tmp"}
        self.workspace = Workspace(self.roots)
        for file in (self.secret, self.key, iac / ".git" / "config"):
            file.parent.mkdir(parents=True)
            file.write_text("hunter2")
        self.sandbox = self.made()

    def made(self, limits: Limits | None = None) -> Sandbox:
        return Sandbox(Processes(), self.workspace, self.path / ".minilab", mode="container", limits=limits)

    async def sh(
        self, script: str, *, cwd: str = "config", network: bool = False, read_only: bool = False
    ) -> Finished:
        argv = ["bash", "-c", script]
        return await self.sandbox.run(argv, cwd=cwd, timeout=30, network=network, read_only=read_only)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    (tmp_path / "passing").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "passing"))
    return Home(tmp_path)


def left(home: Home) -> list[Path]:
    """What calls left behind."""
    return list((home.path / "passing").iterdir())


@pytest.mark.real
@needs_landlock
class TestUnderLandlock:
    async def test_the_level_says_what_confines_and_what_does_not(self, home: Home) -> None:
        level = await home.sandbox.probe()
        assert (level.name, level.runs, level.fix) == ("container", True, "")
        assert "each is under Landlock (ABI " in level.detail
        assert "not covered are UDP" in level.detail
        assert left(home) == []

    @pytest.mark.parametrize("attack", ["cat {0}", "cp {0} x && cat x", "ln {0} x && cat x", "ln -s {0} y; cat y"])
    async def test_what_is_ours_stays_ours(self, home: Home, attack: str) -> None:
        for file in (home.secret, home.key, home.path / "generated_iac/.git/config"):
            done = await home.sh(attack.format(file))
            assert (done.exit_code != 0, "hunter2" in done.stdout) == (True, False), file
        (home.roots["config"] / "own").write_text("hunter2")
        assert (await home.sh("cat own; cp own z; ln own w; cat w")).stdout == "hunter2" * 2

    async def test_what_a_command_starts_is_confined_as_well(self, home: Home) -> None:
        nested = f"cat {home.secret}"
        scripts = [
            f"bash -c '{nested}'",
            f"setsid -w {nested}",
            f"({nested} &) ; sleep 0.3",
            f"find . -exec {nested} ';'",
        ]
        scripts.append(f"python3 -c 'import os; os.system(\"{nested}\")'")
        for script in scripts:
            done = await home.sh(script)
            assert ("hunter2" in done.stdout, "denied" in done.stderr) == (False, True), script
        assert (await home.sh("bash -c 'setsid -w echo works'")).stdout == "works\n"

    async def test_writing(self, home: Home) -> None:
        places = (home.path, home.path / ".minilab", home.path / "generated_iac", home.roots["docs"], Path("/usr"))
        for place in (*places, Path("/etc"), Path(tempfile.gettempdir())):
            assert (await home.sh(f"touch {place}/probe")).exit_code != 0, place
            assert not (place / "probe").exists()
        script = "mkdir -p a/b; echo one > a/b/c; mv a/b/c d; sed -i s/one/two/ d; rm -r a; cat d; touch ../infra/x"
        done = await home.sh(script)
        assert (done.exit_code, done.stdout, done.stderr) == (0, "two\n", "")

    async def test_a_read_only_call(self, home: Home) -> None:
        (home.roots["config"] / "own").write_text("own")
        script = "cat own; echo x > own; touch new; rm own; echo y > $TMPDIR/y && cat $TMPDIR/y"
        done = await home.sh(script, read_only=True)
        assert (done.stdout, done.stderr.count("denied")) == ("owny\n", 3)
        assert (await home.sh(script)).stderr == ""

    async def test_a_state_is_neither_read_nor_changed(self, home: Home) -> None:
        module = home.roots["infra"] / "site"
        (module / "terraform.tfstate.d/prod").mkdir(parents=True)
        names = ("terraform.tfstate", "terraform.tfstate.d/prod/terraform.tfstate")
        for file in (*(module / name for name in names), module / "main.tf"):
            file.write_text("hunter2")
        for name in names:
            attack = f"cat {name}; echo forged > {name}; rm -f {name}; mv {name} x; cat x; ln {name} ../../config/y"
            done = await home.sh(f"{attack}; cat ../../config/y", cwd="infra/site")
            assert "hunter2" not in done.stdout
        assert [(module / name).read_text() for name in names] == ["hunter2", "hunter2"]
        done = await home.sh("cat main.tf; echo new > main.tf; ls", cwd="infra/site")
        assert (done.stdout.split(), done.stderr) == (["hunter2main.tf", "terraform.tfstate", f"{names[1][:19]}"], "")
        assert (module / "main.tf").read_text() == "new\n"

    @pytest.mark.parametrize(
        "script",
        [
            "python3 -c 'import json, ssl, sqlite3, subprocess; subprocess.run([\"true\"], check=True)'",
            "python3 -c 'import yaml, tempfile; tempfile.NamedTemporaryFile().write(b\"x\")'",
            "python3 -c 'import multiprocessing as m; m.Lock().acquire()'",
            "git init -q r && cd r && git -c user.name=a -c user.email=b commit -q --allow-empty -m c && git log -1",
            "cat <<END | sort | head -1 > x && diff x <(echo a)\nb\na\nEND",
            "test -d $HOME && touch $HOME/x && d=$(mktemp -d) && touch $d/x && [[ $d == $TMPDIR/* ]]",
            "head -c 4 /dev/urandom > /dev/null && tr -d x < /dev/null && echo y > /dev/stderr",
            "printf '#!/bin/sh\\necho ran\\n' > s; chmod +x s; ./s && cp /usr/bin/true t && ./t",
            "id; date; uname -a; nproc; df . ; ps ax; env; ls -la; find . | wc -l; stat .; tar cf a .; gzip a",
            "sleep 30 & kill -0 $! && kill $!",
        ],
    )
    async def test_programs_work(self, home: Home, script: str) -> None:
        done = await home.sh(f"set -e; {script}")
        assert done.exit_code == 0, done.stderr

    async def test_a_git_above_the_workspace_is_not_looked_for(self, home: Home) -> None:
        done = await home.sh("git status", cwd="config")
        assert "not a git repository" in done.stderr

    async def test_where_it_starts_it_sees_the_workspaces_names(self, home: Home) -> None:
        assert (await home.sh("ls", cwd="")).stdout.split() == ["config", "infra"]
        assert (await home.sh(f"ls {home.path}", cwd="")).exit_code != 0

    async def test_tcp_only_with_the_network(self, home: Home, listener: int) -> None:
        if container.offer().abi < 4:
            pytest.skip("this Landlock knows no TCP")
        connect = f"exec 3<>/dev/tcp/127.0.0.1/{listener}"
        serve = "python3 -c 'import socket; socket.create_server((\"127.0.0.1\", 0))'"
        for script in (connect, serve):
            assert (await home.sh(script)).exit_code == 1, script
            assert (await home.sh(script, network=True)).exit_code == 0, script

    async def test_the_agent_is_out_of_reach(self, home: Home) -> None:
        mine = os.getpid()
        for script in (f"cat /proc/{mine}/environ", f"cat /proc/{mine}/maps", f"readlink /proc/{mine}/fd/0"):
            assert (await home.sh(script)).exit_code != 0, script
        if container.offer().abi >= 6:
            assert (await home.sh(f"kill -0 {mine}")).exit_code != 0
        assert (await home.sh("cat /proc/self/environ && readlink /proc/self/fd/0")).exit_code == 0

    async def test_calls_do_not_see_each_others_folders_and_leave_none(self, home: Home) -> None:
        script = "echo $TMPDIR; echo mine > $TMPDIR/f; mkdir $TMPDIR/d; touch $TMPDIR/d/x; chmod 0 $TMPDIR/d"
        script += "; sleep 0.3"
        first = asyncio.create_task(home.sh(script))
        while not list((home.path / "passing").glob("*/tmp/f")):
            await asyncio.sleep(0.01)
        (theirs,) = (home.path / "passing").glob("*/tmp")
        assert (await home.sh(f"cat {theirs}/f")).exit_code != 0
        assert (await first).stdout.strip() == str(theirs)
        assert left(home) == []

    async def test_a_server_leaves_none_either(self, home: Home) -> None:
        running = await home.sandbox.start(["bash", "-c", "echo $TMPDIR; sleep 30"])
        assert len(left(home)) == 1
        await running.end()
        async with asyncio.timeout(10):
            while left(home):
                await asyncio.sleep(0.02)

    async def test_what_does_not_start_leaves_none(self, home: Home) -> None:
        with pytest.raises(Exception, match="isn't installed"):
            await home.sandbox.run(["no-such-program"], timeout=5)
        assert left(home) == []

    async def test_its_own_folder_is_bounded(self, home: Home) -> None:
        sandbox = home.made(Limits(tmp_bytes=4 << 20))
        fill = "for i in $(seq 200); do head -c 1M /dev/zero > $TMPDIR/$i; sleep 0.02; done"
        done = await sandbox.run(["bash", "-c", fill], timeout=30)
        assert (done.over, done.exit_code) == ("disk", None)
        assert (await sandbox.run(["bash", "-c", "head -c 1M /dev/zero > $TMPDIR/x"], timeout=30)).exit_code == 0

    @pytest.mark.parametrize(
        ("leak", "said"),
        [
            ("/", "a secret beside the workspace can be read"),
            ("/nowhere", "the workspace cannot be read"),
        ],
    )
    async def test_a_ruleset_that_does_not_hold_means_no_commands(
        self, home: Home, monkeypatch: pytest.MonkeyPatch, leak: str, said: str
    ) -> None:
        everything = landlock_rules.Rule(Path(leak), (1 << 15) - 1)
        system = [landlock_rules.Rule(Path(place), 0b1101) for place in ("/usr", "/bin", "/lib", "/lib64", "/etc")]
        monkeypatch.setattr(landlock_rules, "_rules", lambda reach: iter([everything, *system]))
        level = await home.sandbox.probe()
        assert (level.name, said in level.detail, level.fix != "") == ("none", True, True)
        with pytest.raises(Exception, match="commands don't run on this machine: Landlock"):
            await home.sh("true")


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def test_without_landlock_commands_run_and_the_level_says_what_they_can(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "offer", lambda: container.Offer(0, "this kernel has no Landlock"))
    level = await home.sandbox.probe()
    assert (level.name, level.runs) == ("container", True)
    assert "this kernel has no Landlock, so they can read this container's secrets" in level.detail
    assert "kernel ≥ 5.13" in level.fix
    assert (await home.sh(f"cat {home.secret}")).stdout == "hunter2"  # and so it is
    assert left(home) == []


@pytest.mark.parametrize(("abi", "gaps"), [(1, "TCP isn't refused"), (5, "can be signalled")])
def test_an_older_landlock_says_what_it_leaves_open(abi: int, gaps: str) -> None:
    done = Finished((), 0, "", "", 0.1, timed_out=False, truncated=False)
    assert gaps in container.judged(done, abi).detail
    assert gaps not in container.judged(done, 7).detail


@pytest.mark.parametrize(
    ("done", "said"),
    [
        (Finished((), 1, "the agent shows\n", "", 0.1, timed_out=False, truncated=False), "the agent shows"),
        (Finished((), None, "", "", 0.1, timed_out=True, truncated=False), "no answer"),
    ],
)
def test_a_probe_that_got_through(done: Finished, said: str) -> None:
    level = container.judged(done, 7)
    assert (level.name, said in level.detail) == ("none", True)
    assert isinstance(level, Level)
