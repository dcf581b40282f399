"""Traces from files: CSV, also gzipped, with a header that says which column is what."""

from __future__ import annotations

import csv
import gzip
import math
import zlib
from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.domain.task import LAST_PRIORITY, MEDIUM, PRIORITY_NAMES
from llm_scheduler.simulation.load import CLASSES, Request, ordered

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from llm_scheduler.simulation.load import Load

NEEDED: Final = ("t", "in_tokens", "out_tokens")
KNOWN: Final = (*NEEDED, "model", "tenant", "type", "session", "cls", "priority", "svc", "template", "cost_microusd")
_MOST_TOKENS: Final = 100_000_000
_MOST_S: Final = 10_000_000.0
_GZIP: Final = b"\x1f\x8b"


def read(path: Path) -> Load:
    """The load of a trace file.

    Columns: `t` (seconds), `in_tokens`, `out_tokens`; optional `model`, `tenant`, `type`, `session`, `svc` (seconds
    that the call takes), `template`, `cost_microusd`, and `priority` (0 to 9) or `cls` (0, 1, 2 = high, medium, low).

    Raises:
        InvalidInputError: not such a file; names the line and what to mend.
    """
    try:
        with path.open("rb") as probe:
            is_gzip = probe.read(2) == _GZIP
        with (
            gzip.open(path, "rt", encoding="utf-8-sig", newline="")
            if is_gzip
            else path.open(encoding="utf-8-sig", newline="")
        ) as lines:
            return _load(lines, path.name)
    except (OSError, EOFError, UnicodeDecodeError, zlib.error, csv.Error) as error:
        raise InvalidInputError(f"The trace {path} cannot be read: {error}", "trace") from error


def _load(lines: Iterable[str], name: str) -> Load:
    reader = csv.DictReader(lines)
    found = tuple(reader.fieldnames or ())
    missing = [column for column in NEEDED if column not in found]
    unknown = [column for column in found if column not in KNOWN]
    if missing or unknown:
        fault = f"lacks {', '.join(missing)}" if missing else f"has unknown columns: {', '.join(unknown)[:200]}"
        raise InvalidInputError(f"The header of {name} {fault}. Columns: {', '.join(KNOWN)}.", "trace")
    requests = [_request(row, f"{name}, line {reader.line_num}") for row in reader]
    if not requests:
        raise InvalidInputError(f"The trace {name} has no requests below its header.", "trace")
    return ordered(requests)


def _request(row: Mapping[str, str | None], where: str) -> Request:
    service = (row.get("svc") or "").strip()
    return Request(
        at_s=_number(row, "t", where, _MOST_S),
        input_tokens=int(_number(row, "in_tokens", where, _MOST_TOKENS)),
        output_tokens=int(_number(row, "out_tokens", where, _MOST_TOKENS)),
        model=row.get("model") or "",
        tenant=row.get("tenant") or "",
        type=row.get("type") or "chat",
        template=row.get("template") or "",
        priority=_priority(row, where),
        service_s=_number(row, "svc", where, _MOST_S) if service else None,
        cost_microusd=int(_number(row, "cost_microusd", where, _MOST_S)) if row.get("cost_microusd") else 0,
    )


def _number(row: Mapping[str, str | None], column: str, where: str, most: float) -> float:
    text = row.get(column) or ""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= most:
        raise InvalidInputError(f"{where}: {column} should be a number from 0 to {most:g}, not '{text[:40]}'.", "trace")
    return value


def _priority(row: Mapping[str, str | None], where: str) -> int:
    if row.get("priority"):
        return int(_number(row, "priority", where, LAST_PRIORITY))
    if row.get("cls"):
        return PRIORITY_NAMES[CLASSES[int(_number(row, "cls", where, len(CLASSES) - 1))]]
    return MEDIUM
