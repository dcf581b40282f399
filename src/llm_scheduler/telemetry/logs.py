"""Structured logs: readable on a console, JSON for machines. Secrets never pass."""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Any, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping

_SECRET_KEYS: Final = re.compile(r"(api_?key|authorization|secret|password|token$)", re.IGNORECASE)
_SECRET_TEXT: Final = re.compile(r"(sk-[A-Za-z0-9_-]{8,}|llms_[A-Za-z0-9_-]{16,}|Bearer\s+[A-Za-z0-9._~+/=-]{8,})")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What moves a terminal's cursor, begins a line or turns text around."""


def configure(log_format: str, level: str) -> None:
    """Set up structlog and hand the standard library's loggers to it."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    if log_format == "json":
        last: Any = structlog.processors.JSONRenderer()
    else:
        last = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last], foreign_pre_chain=shared
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(logging.WARNING, getattr(logging, level.upper())))


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask what looks like a secret, and keep a value from forging lines."""
    for key, value in event.items():
        if _SECRET_KEYS.search(key):
            event[key] = "********"
        elif isinstance(value, str):
            event[key] = clean(value) if key != "exception" else clean_lines(value)
    return event


def clean(text: str) -> str:
    """The text without secrets and control characters."""
    return _CONTROL.sub("�", _SECRET_TEXT.sub("********", text).replace("\n", "\\n"))


def clean_lines(text: str) -> str:
    """The same of a traceback, whose lines stay; each is indented, so that none of them looks like an entry."""
    return "\n".join(f"    {clean(line)}" for line in text.split("\n"))
