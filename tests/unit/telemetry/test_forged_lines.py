"""Text of users forges no line of a log."""

from __future__ import annotations

import re
import subprocess
import sys

import orjson
import pytest

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
