"""Settings from the environment, `.env` and secret files; the address of the room with its login."""

from pathlib import Path

import pytest

from agents import settings
from agents.settings import Settings


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of secret files, as a container engine mounts it."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    monkeypatch.setitem(Settings.model_config, "secrets_dir", folder)
    monkeypatch.setitem(Settings.model_config, "env_file", tmp_path / ".env")
    return folder


def test_secret_files_are_settings_and_are_masked(secrets: Path) -> None:
    (secrets / "openai_api_key").write_text("sk-from-a-file\n")
    (secrets / "redis_password").write_text("pa:ss/wörd@\n")
    (secrets / "infrastructure.env").write_text("PROXMOX_API_TOKEN='tok en'\nOTHER=1\n")
    loaded = settings.load()
    assert loaded.openai_api_key
    assert loaded.openai_api_key.get_secret_value() == "sk-from-a-file"
    assert not loaded.rehearsing
    assert {"sk-from-a-file", "pa:ss/wörd@", "tok en"} <= set(loaded.secrets())
    assert loaded.infrastructure()["PROXMOX_API_TOKEN"] == "tok en"
    assert "OTHER" not in loaded.infrastructure()


def test_the_environment_wins_over_env_and_that_over_files(
    secrets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (secrets / "room").write_text("of-the-file")
    assert settings.load().room == settings.load().variables()["ROOM"] == "of-the-file"
    (tmp_path / ".env").write_text("ROOM=of-env\n")
    assert settings.load().room == settings.load().variables()["ROOM"] == "of-env"
    monkeypatch.setenv("ROOM", "of-the-environment")
    assert settings.load().room == settings.load().variables()["ROOM"] == "of-the-environment"


def test_an_empty_file_is_no_secret(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("openai_api_key", "redis_password", "kubeconfig"):
        (secrets / name).write_text("")
    monkeypatch.setenv("KUBECONFIG_PATH", str(secrets / "kubeconfig"))
    loaded = settings.load()
    assert (loaded.openai_api_key, loaded.redis_password, loaded.kubeconfig_path) == (None, None, None)
    assert loaded.rehearsing
    (secrets / "kubeconfig").write_text("apiVersion: v1")
    assert settings.load().kubeconfig_path == secrets / "kubeconfig"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"REDIS_URL": "redis://h:1/0"}, "redis://h:1/0"),
        (
            {"REDIS_URL": "redis://h:1/0", "REDIS_USERNAME": "QA", "REDIS_PASSWORD": "p@ss/w:d"},
            "redis://QA:p%40ss%2Fw%3Ad@h:1/0",
        ),
        ({"REDIS_URL": "rediss://h:1/0?ssl_ca_certs=/c", "REDIS_PASSWORD": "p"}, "rediss://:p@h:1/0?ssl_ca_certs=/c"),
        ({"REDIS_URL": "redis+sentinel://a:1,b:2/m", "REDIS_USERNAME": "QA"}, "redis+sentinel://QA:@a:1,b:2/m"),
        ({"REDIS_URL": "redis://own:word@h:1/0", "REDIS_USERNAME": "QA"}, "redis://own:word@h:1/0"),
        ({"REDIS_URL": "unix:///run/redis.sock", "REDIS_USERNAME": "QA"}, "unix:///run/redis.sock"),
    ],
)
def test_the_login_is_put_into_the_address(
    secrets: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], expected: str | None
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert settings.load().room_url == expected


@pytest.mark.parametrize(
    ("key", "given", "plays"), [("k", "", False), ("", "", True), ("k", "true", True), ("", "0", False)]
)
def test_whether_the_rehearsal_plays(
    secrets: Path, monkeypatch: pytest.MonkeyPatch, key: str, given: str, plays: bool
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    monkeypatch.setenv("REHEARSAL", given)
    assert settings.load().rehearsing is plays


def test_the_folders_of_keys_and_pins(secrets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINILAB_HOME", str(tmp_path))
    assert settings.load().signing_keys == tmp_path / ".minilab" / "keys"
    assert settings.load().known_hosts == tmp_path / ".minilab" / "hosts" / "known_hosts"
    monkeypatch.setenv("KEYS_DIR", "/run/secrets/signing")
    assert settings.load().signing_keys == Path("/run/secrets/signing")
