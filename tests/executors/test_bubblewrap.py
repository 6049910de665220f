"""The sandbox's command line."""

from pathlib import Path

import pytest

from agents.executors import bubblewrap
from agents.executors.bubblewrap import Bind, Layout


def words(**more: object) -> list[str]:
    given: dict[str, object] = {"cwd": "/app", "network": False, **more}
    layout = Layout([Bind(Path("/w/infra"), "/app/infra", True)], Path("/state"), 4096, (Path("/opt/py"),))
    return bubblewrap.arguments(layout, ["bash", "-c", "true"], **given)  # type: ignore[arg-type]


def pairs(argv: list[str], option: str) -> list[tuple[str, str]]:
    return [(argv[at + 1], argv[at + 2]) for at, word in enumerate(argv) if word == option]


def test_the_command_comes_last_behind_the_options() -> None:
    assert words()[-4:] == ["--", "bash", "-c", "true"]


@pytest.mark.parametrize(
    "option",
    ["--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session", "--remount-ro"],
)
def test_what_confines_is_always_there(option: str) -> None:
    assert option in words()
    assert option in words(network=True)


def test_all_capabilities_are_dropped() -> None:
    argv = words()
    assert argv[argv.index("--cap-drop") + 1] == "ALL"


def test_the_network_only_on_demand() -> None:
    assert "--share-net" not in words()
    assert "/etc/resolv.conf" not in words()
    assert "--share-net" in words(network=True)
    assert "/etc/resolv.conf" in words(network=True)


def test_the_hosts_folders_are_read_only_but_the_given_ones() -> None:
    argv = words()
    assert pairs(argv, "--bind") == [("/w/infra", "/app/infra")]
    assert ("/usr", "/usr") in pairs(argv, "--ro-bind")
    assert ("/opt/py", "/opt/py") in pairs(argv, "--ro-bind")


@pytest.mark.parametrize(
    "path", ["/", "/etc", "/home", "/root", "/var", "/run", "/etc/ssl", "/etc/ssl/private", "/sys"]
)
def test_no_telling_folder_of_the_host_is_bound(path: str) -> None:
    argv = words(network=True)
    bound = [source for option in ("--bind", "--ro-bind", "--ro-bind-try") for source, _ in pairs(argv, option)]
    assert path not in bound
    assert "/usr" in bound


def test_every_file_system_of_its_own_has_a_size() -> None:
    argv = words()
    tmpfs = [at for at, word in enumerate(argv) if word == "--tmpfs"]
    assert {argv[at + 1] for at in tmpfs} == {"/dev/shm", "/tmp", "/run", bubblewrap.HOME}
    assert all(argv[at - 2 : at] == ["--size", "4096"] for at in tmpfs)


def test_the_root_and_dev_are_closed_last() -> None:
    argv = words()
    closed = [at for at, word in enumerate(argv) if word == "--remount-ro"]
    assert [argv[at + 1] for at in closed] == ["/proc", "/dev", "/"]
    assert min(closed) > max(at for at, word in enumerate(argv) if "bind" in word or word == "--tmpfs")


ROOTS = {name: Path("/w") / name for name in ("infra", "config", "docs", "tmp")}


def test_the_workspace_lies_at_its_four_places_and_docs_is_never_writable() -> None:
    binds = bubblewrap.workspace_binds(ROOTS, read_only=False)
    assert [(bind.target, bind.writable) for bind in binds] == [
        ("/app/infra", True),
        ("/app/config", True),
        ("/app/docs", False),
        ("/tmp/app", True),
    ]


def test_a_read_only_workspace_is_read_only_everywhere() -> None:
    assert not any(bind.writable for bind in bubblewrap.workspace_binds(ROOTS, read_only=True))


@pytest.mark.parametrize(
    ("name", "path"), [("config/site", "/app/config/site"), ("tmp", "/tmp/app"), ("tmp/a/b", "/tmp/app/a/b")]
)
def test_places_inside(name: str, path: str) -> None:
    assert bubblewrap.inside(name) == path


def test_the_stubs_name_nobody_of_this_machine(tmp_path: Path) -> None:
    bubblewrap.write_stubs(tmp_path / "stubs")
    users = (tmp_path / "stubs" / "passwd").read_text()
    assert [line.split(":")[0] for line in users.splitlines()] == ["root", "agent"]


def test_python_folders_hold_the_interpreter() -> None:
    import sys

    folders = bubblewrap.python_folders()
    assert not any(folder == Path("/") for folder in folders)
    assert Path(sys.prefix).is_relative_to("/usr") or Path(sys.prefix) in folders


def test_a_python_below_tmp_is_bound_over_the_sandbox_s_own_tmp() -> None:
    folder = "/tmp/checkout/.venv"
    argv = bubblewrap.arguments(Layout([], Path("/state"), 4096, (Path(folder),)), ["true"], cwd="/", network=False)
    assert argv.index(folder) > argv.index("/tmp") > 0
