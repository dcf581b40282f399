"""Secrets and forged lines do not reach a log."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from llm_scheduler.telemetry.logs import Lines
from llm_scheduler.telemetry.redaction import Redactor

PLANTED = "the planted horse battery"
LINES = Lines(Redactor())
PROGRAM = f"""
import logging, sys, threading, structlog
from llm_scheduler.telemetry import logs
from llm_scheduler.telemetry.redaction import Redactor

planted = {PLANTED!r}
redactor = Redactor()
redactor.know(planted)
logs.configure(sys.argv[1], "debug", redactor)
log = structlog.get_logger("test")
log.info("plain", said=f"it was {{planted}}")
log.info(f"event {{planted}}")
log.info("nested", facts={{"deep": [planted, {{"er": f"x {{planted}}"}}]}})
log.info("an error", error=ValueError(planted))
try:
    raise ValueError(f"cannot open {{planted}}")
except ValueError as error:
    log.exception("broke")
    log.error("broke", exc_info=error)
    logging.getLogger("other").exception("theirs %s", planted)
logging.getLogger("other").error("theirs %s", {{"deep": planted}})

def fail():
    raise ValueError(f"cannot open {{planted}}")

thread = threading.Thread(target=fail)
thread.start()
thread.join()
fail()
"""
"""In a process of its own: who logs first decides where all logs of a process go."""


def test_named_secrets_are_masked_whatever_they_look_like() -> None:
    """The key's name is enough."""
    assert LINES.redact(None, "info", {"api_key": "plain", "event": "x"})["api_key"] == "********"


@pytest.mark.parametrize("text", ["sk-abcdefgh12345678", "llms_abcdefghijklmnopqrst", "Bearer abcdefghijk.lmn"])
def test_what_looks_like_a_secret_is_masked(text: str) -> None:
    """Wherever it stands in a value."""
    assert text not in LINES.redact(None, "info", {"event": f"failed with {text} at once"})["event"]


def test_a_value_cannot_forge_a_line() -> None:
    """Line breaks and control characters are shown, not obeyed."""
    assert LINES.redact(None, "info", {"event": "a\nb\x1b[31m"})["event"] == "a\\nb�[31m"


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_no_way_into_a_log_shows_a_secret(log_format: str) -> None:
    """Values, nested values, exceptions, tracebacks, other libraries' loggers, a thread's and the program's end."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM, log_format], capture_output=True, text=True, check=False)
    said = ended.stderr.replace("\\u2026", "…")

    assert ended.returncode == 1
    assert said.count("cannot open …tery") == 5, said
    assert PLANTED not in said
    assert "battery" not in said
    if log_format == "json":
        assert json.loads(said.splitlines()[0])["said"] == "it was …tery"
