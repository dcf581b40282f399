"""What has run, as rows for a simulation: no prompts, no answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson
from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.answers import stamp
from llm_scheduler.api.errors import invalid
from llm_scheduler.api.fields import millis
from llm_scheduler.api.operations import DirectRoute, Tag, operation
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reading import query_of
from llm_scheduler.api.schemas.stats import HistoryQuery
from llm_scheduler.api.streams import RowStream
from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis, TaskId
from llm_scheduler.ports.history import Mark

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from llm_scheduler.api.parts import Caller
    from llm_scheduler.domain.figures import PastCall

router: Final = APIRouter(route_class=DirectRoute)
PAGE: Final = 5_000
_NDJSON: Final = "application/x-ndjson"
_DAY_MS: Final = 86_400_000
_MOST_MS: Final = 31 * _DAY_MS
COLUMNS: Final = (
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


@router.get(
    "/api/v1/stats/history",
    **operation(Tag.STATS, "History", query=HistoryQuery, answers={200: "Lines."}, media=_NDJSON, problems=(503,)),
)
async def history(request: Request) -> RowStream:
    """Every call that ended in a span of at most 31 days, for replaying it: when, whose, how large, how long.

    The first line is an object: `columns` names the values of the rows, `tenants` gives each tenant's weight by its
    number, `strategy` is what models have that name none, `since` and `until` the span. Then comes an array for each
    call, by the moment of its end; times are epoch milliseconds. The last line is `{"rows": N}`: without it the answer
    was cut off. A call that was answered with 429 or given back is not in it; a retry is a call of its own.
    """
    caller = caller_of(request)
    query = query_of(request, HistoryQuery)
    now = caller.parts.clock.now()
    until = millis(query.until) or now
    since = millis(query.since) or Millis(until - _DAY_MS)
    if not 0 <= until - since <= _MOST_MS:
        raise invalid("'since' must not be after 'until', and at most 31 days before it.", "query", "since")
    # The first page before the answer begins: a record that is away is a problem, not a broken stream.
    start = Mark(since, TaskId(-1), 0)
    return RowStream(_lines(caller, await _page(caller, start, until), since, until))


async def _page(caller: Caller, after: Mark, until: Millis) -> Sequence[PastCall]:
    """The installation's own tenant sees every tenant's calls, as numbers; others only theirs."""
    own = None if caller.tenant_id == DEFAULT_TENANT else caller.tenant_id
    return await caller.parts.store.history(after, until, PAGE, own)


async def _lines(caller: Caller, page: Sequence[PastCall], since: Millis, until: Millis) -> AsyncGenerator[bytes, None]:
    weights = {str(tenant.id): tenant.weight for tenant in caller.parts.catalogue.tenants()}
    if caller.tenant_id != DEFAULT_TENANT:
        weights = {name: weight for name, weight in weights.items() if name == str(caller.tenant_id)}
    head = {
        "columns": COLUMNS,
        "tenants": weights,
        "strategy": caller.parts.catalogue.default_strategy.name,
        "since": stamp(since),
        "until": stamp(until),
    }
    yield orjson.dumps(head, option=orjson.OPT_APPEND_NEWLINE)
    rows = 0
    while page:
        yield b"".join(_row(caller, call) for call in page)
        rows += len(page)
        last = page[-1]
        page = await _page(caller, Mark(last.ended_at, last.task_id, last.attempt), until) if len(page) == PAGE else ()
    yield orjson.dumps({"rows": rows}, option=orjson.OPT_APPEND_NEWLINE)


def _row(caller: Caller, call: PastCall) -> bytes:
    row = (
        call.queued_at,
        call.started_at,
        call.ended_at,
        caller.parts.catalogue.name_of(call.model_id),
        call.tenant_id,
        call.priority,
        call.type,
        call.prompt_tokens,
        call.completion_tokens,
        call.cost_microusd,
        call.deadline_at,
    )
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
