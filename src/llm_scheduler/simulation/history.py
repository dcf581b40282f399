"""An installation's own history as a load: the lines of `GET /api/v1/stats/history`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.domain.task import FIRST_PRIORITY, LAST_PRIORITY
from llm_scheduler.simulation.load import Request, ordered

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from llm_scheduler.simulation.load import Load

_NEEDED: Final = (
    "queued_at",
    "started_at",
    "ended_at",
    "model",
    "tenant",
    "priority",
    "type",
    "prompt_tokens",
    "completion_tokens",
    "cost_microusd",
    "deadline_at",
)
_MILLIS: Final = 1000.0
_CHECK: Final = "Check that LLMS_URL names an LLM Scheduler server of this version."


def load_of(lines: Iterable[bytes | str]) -> Load:
    """The load of such an answer; it begins with the first arrival. Empty when nothing has run.

    Raises:
        InvalidInputError: not such an answer, or one that was cut off.
    """
    found = _parsed(lines)
    head = next(found, None)
    if not isinstance(head, dict) or not set(_NEEDED) <= set(head.get("columns", ())):
        raise InvalidInputError(f"This is no history. {_CHECK}", "history")
    place = {name: head["columns"].index(name) for name in _NEEDED}
    rows: list[list[Any]] = []
    end: object = None
    for line in found:
        if isinstance(line, dict):
            end = line.get("rows")
            break
        rows.append(line)
    if end != len(rows):
        raise InvalidInputError("The history was cut off on its way; try again.", "history")
    try:
        first_ms = min((row[place["queued_at"]] for row in rows), default=0)
        weights = {str(name): float(weight) for name, weight in head.get("tenants", {}).items()}
        load = ordered((_request(row, place, first_ms) for row in rows), weights)
        return load._replace(strategy=head.get("strategy"))
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        raise InvalidInputError(f"The history has a malformed row: {error}", "history") from error


def _parsed(lines: Iterable[bytes | str]) -> Iterator[Any]:
    try:
        yield from (orjson.loads(line) for line in lines if line.strip())
    except orjson.JSONDecodeError as error:
        raise InvalidInputError(f"The history is not in JSON lines. {_CHECK}", "history") from error


def _request(row: list[Any], place: Mapping[str, int], first_ms: int) -> Request:
    queued_at, deadline_at = row[place["queued_at"]], row[place["deadline_at"]]
    return Request(
        at_s=(queued_at - first_ms) / _MILLIS,
        input_tokens=max(0, int(row[place["prompt_tokens"]])),
        output_tokens=max(0, int(row[place["completion_tokens"]])),
        model=str(row[place["model"]]),
        tenant=str(row[place["tenant"]]),
        type=str(row[place["type"]]),
        priority=min(max(int(row[place["priority"]]), FIRST_PRIORITY), LAST_PRIORITY),
        service_s=max(0.0, (row[place["ended_at"]] - row[place["started_at"]]) / _MILLIS),
        cost_microusd=int(row[place["cost_microusd"]]),
        waited_s=max(0.0, (row[place["started_at"]] - queued_at) / _MILLIS),
        deadline_s=None if deadline_at is None else max(0.0, (deadline_at - queued_at) / _MILLIS),
    )
