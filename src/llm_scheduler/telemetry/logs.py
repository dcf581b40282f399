"""Structured logs: readable on a console, JSON for machines. Secrets never pass."""

from __future__ import annotations

import logging
import re
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any, Final

import structlog

from llm_scheduler.telemetry.redaction import MASK, Redactor

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from types import TracebackType

_SECRET_KEYS: Final = re.compile(r"(api_?key|authorization|secret|password|token$)", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What moves a terminal's cursor, begins a line or turns text around."""
_TRACES: Final = frozenset({"exception", "stack"})


def configure(log_format: str, level: str, redactor: Redactor | None = None) -> None:
    """Set up structlog, hand the standard library's loggers to it, and have last words of a crash masked, too."""
    lines = Lines(redactor or Redactor())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        lines.redact,
    ]
    if log_format == "json":
        render: Any = structlog.processors.JSONRenderer()
    else:
        render = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    structlog.configure(
        processors=[*shared, render, lines.rendered],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render, lines.rendered],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(logging.WARNING, getattr(logging, level.upper())))
    sys.excepthook = lines.last_words
    threading.excepthook = lambda died: lines.last_words(
        died.exc_type, died.exc_value or died.exc_type(), died.exc_traceback
    )


class Lines:
    """What happens to each line on its way out."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def redact(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Mask what is secret by its name or by what it holds, and keep a value from forging lines."""
        for key, value in event.items():
            if _SECRET_KEYS.search(key) and value is not None:
                event[key] = MASK
            elif isinstance(value, str):
                text = self._redactor(value)
                event[key] = clean_lines(text) if key in _TRACES else clean(text)
            elif isinstance(value, BaseException):
                event[key] = clean(self._redactor(str(value) or type(value).__name__))
        return event

    def rendered(self, _logger: object, _method: str, line: Any) -> Any:
        """The whole line once more: secrets may lie inside lists, mappings and other values."""
        return self._redactor(line) if isinstance(line, str) else line

    def last_words(self, kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
        """The traceback of what nobody has caught, masked."""
        sys.stderr.write(self._redactor("".join(traceback.format_exception(kind, error, where))))


def clean(text: str) -> str:
    """The text without control characters, on one line."""
    return _CONTROL.sub("�", text.replace("\n", "\\n"))


def clean_lines(text: str) -> str:
    """The same of a traceback, whose lines stay; each is indented, so that none of them looks like an entry."""
    return "\n".join(f"    {clean(line)}" for line in text.split("\n"))
