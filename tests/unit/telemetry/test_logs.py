"""Secrets and forged lines do not reach a log."""

from __future__ import annotations

import re
import subprocess
import sys

import orjson
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


FORGED = "m\n2026-01-01T00:00:00Z [error    ] all is lost\r\x1b[2J\x9b31m\u2028\u202ex"
_PROGRAM = """
import logging, sys, structlog
from llm_scheduler.telemetry.logs import configure
configure(sys.argv[1], "info")
text = sys.argv[2]
log = structlog.get_logger("x")
log.info(text, model=text, more=[text], nested={"a": text})
logging.getLogger("other").error("%s", text)
try:
    raise ValueError(text)
except ValueError as error:
    log.error("failed", exc_info=error)
    logging.getLogger("other").exception("failed")
"""


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_text_of_users_is_shown_and_never_obeyed(log_format: str) -> None:
    """In messages, values and tracebacks, of ours and of libraries: no control character, no line of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, log_format, FORGED], capture_output=True, check=True, timeout=60
    )
    written = done.stderr.decode()

    assert "all is lost" in written
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202e]", written)
    lines = [line for line in written.split("\n") if line]
    if log_format == "json":
        entries = [orjson.loads(line) for line in lines]
        assert [entry["level"] for entry in entries] == ["info", "error", "error", "error"]
    else:
        began = [line for line in lines if not line.startswith("    ")]
        assert len(began) == 4
        assert not [line for line in lines if line.startswith("2026-01-01T00:00:00Z")]
