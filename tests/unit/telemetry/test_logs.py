"""Secrets and forged lines do not reach a log."""

from __future__ import annotations

import pytest

from llm_scheduler.telemetry.logs import clean, redact


@pytest.mark.parametrize("text", ["sk-abcdefgh12345678", "llms_abcdefghijklmnopqrst", "Bearer abcdefghijk.lmn"])
def test_what_looks_like_a_secret_is_masked(text: str) -> None:
    """Wherever it stands in a value."""
    assert text not in clean(f"failed with {text} at once")


def test_named_secrets_are_masked_whatever_they_look_like() -> None:
    """The key's name is enough."""
    assert redact(None, "info", {"api_key": "plain", "event": "x"})["api_key"] == "********"


def test_a_value_cannot_forge_a_line() -> None:
    """Line breaks and control characters are shown, not obeyed."""
    assert clean("a\nb\x1b[31m") == "a\\nb�[31m"
