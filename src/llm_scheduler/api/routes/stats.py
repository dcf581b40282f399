"""Figures for people and dashboards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.answers import Answer, json_answer
from llm_scheduler.api.errors import invalid
from llm_scheduler.api.fields import millis
from llm_scheduler.api.operations import DirectRoute, Tag, operation
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.permissions import check
from llm_scheduler.api.reading import no_query, query_of
from llm_scheduler.api.schemas.stats import (
    DayList,
    DaysQuery,
    OverviewShown,
    UsageList,
    UsageQuery,
    WorkerList,
    day_json,
    overview_json,
    usage_row_json,
    worker_json,
)
from llm_scheduler.domain.access import Permission

if TYPE_CHECKING:
    from llm_scheduler.api.parts import Caller

router: Final = APIRouter(route_class=DirectRoute)
_DEFAULT_DAYS: Final = timedelta(days=30)
_MOST_DAYS: Final = timedelta(days=731)


@router.get(
    "/api/v1/stats/overview",
    **operation(Tag.STATS, "Overview", answers={200: OverviewShown}, problems=(503,)),
)
async def overview(request: Request) -> Answer:
    """Counts, throughput, latencies, queues and workers; at most a few seconds old.

    Of your tenant only. An administrator in the installation's own tenant sees throughput and queues of all.
    """
    caller = caller_of(request)
    no_query(request)
    found = await caller.parts.stats.overview(caller.tenant_id, is_whole=caller.sees_all)
    return json_answer(overview_json(found, caller.parts.catalogue.name_of, shows_place=_shows_place(caller)))


@router.get(
    "/api/v1/stats/daily",
    **operation(Tag.STATS, "Days", query=DaysQuery, answers={200: DayList}, problems=(503,)),
)
async def daily(request: Request) -> Answer:
    """A row for each day between two dates, today's brought up to date; at most two years. Days are UTC."""
    caller = caller_of(request)
    query = query_of(request, DaysQuery)
    today = datetime.fromtimestamp(caller.parts.clock.now() / 1000, UTC).date()
    last = query.last or today
    first = query.first or max(last - _DEFAULT_DAYS, last.min + _DEFAULT_DAYS)
    if not timedelta(0) <= last - first <= _MOST_DAYS:
        raise invalid("'from' must not be after 'to', and at most two years before it.", "query", "from")
    days = await caller.parts.stats.days(first.isoformat(), last.isoformat(), today.isoformat())
    return json_answer({"items": [day_json(day) for day in days]})


@router.get(
    "/api/v1/stats/usage",
    **operation(Tag.STATS, "Usage and cost", query=UsageQuery, answers={200: UsageList}, problems=(503,)),
)
async def usage(request: Request) -> Answer:
    """Attempts, tokens and cost by model or day, of your tenant. Owners also group by key, administrators by tenant.

    A key is told as its name and id, '' stands for tasks that came with none. An administrator in the installation's
    own tenant sees all tenants together.
    """
    caller = caller_of(request)
    query = query_of(request, UsageQuery)
    if query.group_by == "tenant":
        check(caller.principal, Permission.SYSTEM_READ)
    elif query.group_by == "key":
        check(caller.principal, Permission.KEYS_MANAGE)
    own = None if caller.sees_all else caller.tenant_id
    rows = await caller.parts.stats.usage(query.group_by, millis(query.first), millis(query.last), own)
    return json_answer({"group_by": query.group_by, "items": [usage_row_json(row) for row in rows]})


@router.get("/api/v1/workers", **operation(Tag.STATS, "List workers", answers={200: WorkerList}, problems=(503,)))
async def workers(request: Request) -> Answer:
    """Processes that are alive, those that run tasks first. On which machine only administrators see."""
    caller = caller_of(request)
    no_query(request)
    sessions = await caller.parts.stats.workers()
    items = [worker_json(session, shows_place=_shows_place(caller)) for session in sessions]
    return json_answer({"items": items, "next_cursor": None})


def _shows_place(caller: Caller) -> bool:
    """Whether they see machines and process ids: those are the installation's."""
    return caller.principal.may(Permission.SYSTEM_READ)
