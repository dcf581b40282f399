"""Settings: sources, refusals, what is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llm_scheduler.settings import SettingsError, load

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
