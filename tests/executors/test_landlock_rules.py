"""What a command may reach under Landlock, as data."""

from pathlib import Path

import pytest

from agents.executors import landlock, landlock_rules
from agents.executors.bubblewrap import Bind
from agents.executors.landlock_rules import Reach, Rule


@pytest.mark.parametrize(
    ("abi", "fs_bits", "net", "scoped", "gaps"),
    [(1, 13, 0, 0, 3), (2, 14, 0, 0, 3), (3, 15, 0, 0, 2), (4, 15, 3, 0, 1), (5, 16, 3, 0, 1), (7, 16, 3, 3, 0)],
)
def test_rights_by_version(tmp_path: Path, abi: int, fs_bits: int, net: int, scoped: int, gaps: int) -> None:
    rules = landlock_rules.ruleset(abi, Reach([], tmp_path))
    assert (rules.fs, rules.net, rules.scoped) == ((1 << fs_bits) - 1, net, scoped)
    assert all(rule.allowed & ~rules.fs == 0 for rule in rules.rules)
    assert len(landlock_rules.gaps(abi)) == gaps
    assert landlock_rules.ruleset(abi, Reach([], tmp_path, network=True)).net == 0


@pytest.mark.parametrize("path", ["/", "/etc", "/home", "/root", "/var", "/run", "/tmp", "/sys", "/dev", "/etc/ssl"])
def test_no_telling_folder_is_granted(tmp_path: Path, path: str) -> None:
    reach = Reach([Bind(tmp_path, "/app/infra", True)], tmp_path, python=())
    granted = {str(rule.path) for rule in landlock_rules.ruleset(7, reach).rules}
    assert path not in granted
    assert "/usr" in granted


def test_folders_around_what_is_hidden_are_split(tmp_path: Path) -> None:
    for name in ("a/b/state", "a/b/file", "a/c/file", "d/file"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    binds = [Bind(tmp_path, "/app/infra", True), Bind(Path("/dev/null"), "/app/infra/a/b/state")]
    rules = landlock_rules.ruleset(7, Reach(binds, Path("/nowhere"), python=())).rules
    here: list[Rule] = [rule for rule in rules if rule.path == tmp_path]
    listed = {rule.below for rule in here if rule.allowed == landlock.ACCESS_FS_READ_DIR}
    assert listed == {"", "a", "a/b"}
    assert {rule.below for rule in here} - listed == {"a/b/file", "a/c", "d"}
