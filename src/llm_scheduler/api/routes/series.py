"""Figures over time, and why attempts failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.answers import Answer, json_answer, stamp
from llm_scheduler.api.errors import invalid
from llm_scheduler.api.fields import millis
from llm_scheduler.api.operations import DirectRoute, Tag, operation
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reading import query_of
from llm_scheduler.api.schemas.series import (
    ErrorGroupList,
    SeriesShown,
    SpanQuery,
    error_group_json,
    point_json,
)
from llm_scheduler.api.showing import HIDDEN_WORDS, sees_payloads
from llm_scheduler.domain.ids import Millis
from llm_scheduler.ports.series import Span

if TYPE_CHECKING:
    from llm_scheduler.api.parts import Caller

router: Final = APIRouter(route_class=DirectRoute)
_HOUR_MS: Final = 3_600_000
_MOST_MS: Final = 92 * 86_400_000


@router.get(
    "/api/v1/stats/series",
    **operation(Tag.STATS, "Figures over time", query=SpanQuery, answers={200: SeriesShown}, problems=(404, 503)),
)
async def series(request: Request) -> Answer:
    """Throughput, latencies, waits, tokens and cost of a span of at most 92 days, in at most 121 steps.

    Counts and sums are exact; percentiles are of an even sample where there are many attempts.
    """
    caller = caller_of(request)
    span = _span(caller, query_of(request, SpanQuery))
    step_ms, points = await caller.parts.series.points(span)
    return json_answer(
        {
            "since": stamp(span.since),
            "until": stamp(span.until),
            "step_s": step_ms // 1000,
            "items": [point_json(point) for point in points],
        }
    )


@router.get(
    "/api/v1/stats/errors",
    **operation(Tag.STATS, "Errors by cause", query=SpanQuery, answers={200: ErrorGroupList}, problems=(404, 503)),
)
async def errors(request: Request) -> Answer:
    """Failed attempts of a span of at most 92 days by model, code and HTTP status, most frequent first.

    The message is that of one of them; it may quote the payload, so it takes `payloads:read`.
    """
    caller = caller_of(request)
    found = await caller.parts.series.errors(_span(caller, query_of(request, SpanQuery)))
    name_of = caller.parts.catalogue.name_of
    words = None if sees_payloads(caller) else HIDDEN_WORDS
    return json_answer({"items": [error_group_json(group, name_of, hidden_words=words) for group in found]})


def _span(caller: Caller, query: SpanQuery) -> Span:
    last = millis(query.last) or caller.parts.clock.now()
    first = millis(query.first) or Millis(last - _HOUR_MS)
    if not 0 < last - first <= _MOST_MS:
        raise invalid("'from' must lie before 'to', by at most 92 days.", "query", "from")
    model = None if query.model is None else caller.parts.catalogue.named(query.model, caller.tenant_id)
    return Span(first, last, caller.tenant_id, None if model is None else model.id)
