"""Settings: sources, refusals, what is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llm_scheduler.settings import SECRETS, SettingsError, load, open_files

if TYPE_CHECKING:
    from pathlib import Path


def test_later_sources_win_and_are_named(tmp_path: Path) -> None:
    """Defaults, then file, then environment, then command line."""
    (tmp_path / "llm-scheduler.toml").write_text('port = 1000\nstrategy = "fifo"\nhost = "127.0.0.2"\n')
    settings, sources = load(
        {"port": 3000, "data_dir": tmp_path, "grace_s": None}, {"LLMS_PORT": "2000", "LLMS_STRATEGY": "priority"}
    )

    assert (settings.port, settings.strategy, settings.host) == (3000, "priority", "127.0.0.2")
    assert sources["port"] == "command line"
    assert sources["strategy"] == "LLMS_STRATEGY"
    assert sources["host"].endswith("llm-scheduler.toml")


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"LLMS_STRATEGIE": "fair"}, "LLMS_STRATEGY"),
        ({"LLMS_MAX_QUEUE_LENGHT": "5"}, "LLMS_MAX_QUEUE_LENGTH"),
        ({"LLMS_PORT": "eight"}, "LLMS_PORT"),
        ({"LLMS_PORT": "70000"}, "65535"),
        ({"LLMS_STRATEGY": "random"}, "fifo"),
        ({"LLMS_BOOTSTRAP_API_KEY": "short"}, "16 characters"),
        ({"LLMS_DATABASE_URL": "postgres://x"}, "sqlite:///"),
        ({"LLMS_LOG_FORMAT": "xml"}, "console"),
        ({"LLMS_GRACE_S": "-1"}, "greater than or equal to 0"),
        ({"LLMS_TRUSTED_PROXIES": "10.0.0.0/8,10.0.0.1/8"}, "LLMS_TRUSTED_PROXIES: '10.0.0.1/8' is no network"),
        ({"LLMS_ADMIN_NETWORKS": "office"}, "'office' is no network"),
        ({"LLMS_CORS_ORIGINS": "*"}, "'*' is no site"),
        ({"LLMS_CORS_ORIGINS": "https://app.example.com/"}, "exactly, without a path"),
        ({"LLMS_OUTBOUND": "closed"}, "allowlist"),
        ({"LLMS_OUTBOUND_ALLOW": "http://x"}, "'http://x' is no network"),
        ({"LLMS_FORWARDED_HEADER": "x-real-ip"}, "forwarded"),
    ],
)
def test_a_bad_setting_is_refused_with_what_would_be_right(environ: dict[str, str], words: str, tmp_path: Path) -> None:
    """The message names the source and the way out."""
    with pytest.raises(SettingsError) as caught:
        load({"data_dir": tmp_path}, environ)

    assert words in str(caught.value)


def test_client_names_are_not_settings_of_the_server(tmp_path: Path) -> None:
    """LLMS_URL and LLMS_API_KEY belong to the command line."""
    load({"data_dir": tmp_path}, {"LLMS_URL": "http://127.0.0.1:1", "LLMS_API_KEY": "x"})


def test_secrets_are_masked_when_shown(tmp_path: Path) -> None:
    """Neither `config show` nor a repr gives them away."""
    settings, _ = load({"data_dir": tmp_path}, {"LLMS_SECRET_KEY": "very secret indeed!!"})

    assert "very secret" not in str(settings.shown())
    assert "very secret" not in repr(settings)


def test_lists_are_written_with_commas(tmp_path: Path) -> None:
    """In the environment; in the file they are lists."""
    (tmp_path / "llm-scheduler.toml").write_text('admin_networks = ["10.0.0.0/8", "2001:db8::1"]\n')
    environ = {"LLMS_TRUSTED_PROXIES": "10.0.0.1, 10.0.0.2/32,", "LLMS_CORS_ORIGINS": "https://App.example.com:8443"}
    settings, _ = load({"data_dir": tmp_path}, environ)

    assert settings.trusted_proxies == ("10.0.0.1", "10.0.0.2/32")
    assert settings.admin_networks == ("10.0.0.0/8", "2001:db8::1")
    assert settings.cors_origins == ("https://app.example.com:8443",)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    """A syntax error says which file."""
    (tmp_path / "llm-scheduler.toml").write_text("port = = 1")

    with pytest.raises(SettingsError, match=r"llm-scheduler\.toml"):
        load({"data_dir": tmp_path}, {})


def test_every_secret_may_lie_in_a_file(tmp_path: Path) -> None:
    """Without its line end; `config show` says where it came from, and shows none of it."""
    environ: dict[str, str] = {}
    given = {
        "secret_key": "the secret key of the file ",
        "secret_keys_old": "an old key of some length, another old key",
        "bootstrap_api_key": "llms_0123456789abcdef",
        "database_url": "mysql://u:hunter2hunter2@db/llms",
        "database_read_url": "mysql://u:hunter3hunter3@db/llms",
        "redis_url": "redis://:hunter4hunter4@cache",
    }
    assert {"secret_key", "bootstrap_api_key", "database_url", "redis_url"} <= set(SECRETS)
    for name, secret in given.items():
        (tmp_path / name).write_text(secret + "\n")
        environ[f"LLMS_{name.upper()}_FILE"] = str(tmp_path / name)
    settings, sources = load({"data_dir": tmp_path}, environ)

    assert {name: getattr(settings, name).get_secret_value() for name in given} == given
    assert settings.old_secret_keys == ("an old key of some length", "another old key")
    assert sources["redis_url"] == f"LLMS_REDIS_URL_FILE={tmp_path / 'redis_url'}"
    shown = str(settings.shown())
    assert not [secret for secret in ("of the file", "old key", "llms_0", "hunter") if secret in shown]


@pytest.mark.parametrize(
    ("content", "mode", "words"), [("", 0o600, "is empty"), ("\n \n", 0o600, "is empty"), (None, 0, "No such file")]
)
def test_a_file_without_a_secret_is_refused(tmp_path: Path, content: str | None, mode: int, words: str) -> None:
    """With its name and why."""
    path = tmp_path / "key"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)

    with pytest.raises(SettingsError, match=f"LLMS_SECRET_KEY_FILE: {path}.*{words}"):
        load({"data_dir": tmp_path}, {"LLMS_SECRET_KEY_FILE": str(path)})


def test_a_secret_and_its_file_at_once_are_refused(tmp_path: Path) -> None:
    """Nobody could tell which one holds."""
    (tmp_path / "key").write_text("0123456789abcdef")
    both = {"LLMS_SECRET_KEY": "another secret key", "LLMS_SECRET_KEY_FILE": str(tmp_path / "key")}

    with pytest.raises(SettingsError, match="Both LLMS_SECRET_KEY and LLMS_SECRET_KEY_FILE"):
        load({"data_dir": tmp_path}, both)


def test_only_secrets_may_lie_in_files(tmp_path: Path) -> None:
    """A file for the port is a mistake."""
    with pytest.raises(SettingsError, match="LLMS_PORT_FILE"):
        load({"data_dir": tmp_path}, {"LLMS_PORT_FILE": str(tmp_path / "port")})


def test_a_file_that_all_may_read_is_told(tmp_path: Path) -> None:
    """A secret that everybody reads is none."""
    path = tmp_path / "key"
    path.write_text("0123456789abcdef")
    _, sources = load({"data_dir": tmp_path}, {"LLMS_SECRET_KEY_FILE": str(path)})

    path.chmod(0o604)
    assert open_files(sources) == [str(path)]
    path.chmod(0o640)
    assert open_files(sources) == []
