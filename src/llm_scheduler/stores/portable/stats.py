"""Figures over attempts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, case, func, select

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.domain.figures import DayStats, Recent, UsageRow
from llm_scheduler.domain.ids import ModelId
from llm_scheduler.domain.status import Status
from llm_scheduler.domain.task import Usage
from llm_scheduler.ports.broker import LaneDepth
from llm_scheduler.stores import statements
from llm_scheduler.stores.rows import DAY_COLUMNS, day_of, named
from llm_scheduler.stores.tables import ATTEMPTS, TASKS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_scheduler.domain.ids import Millis, TenantId
    from llm_scheduler.stores.portable.access import Reader, Transaction

SAMPLE: Final = 10_000
"""Percentiles are those of the newest so many attempts of the window."""
DAY_MS: Final = 86_400_000
QUEUE: Final = ("model_id", "status", "priority", "tasks", "oldest")
QUEUES_OF: Final = (
    "SELECT model_id, status, priority, COUNT(*) AS tasks, MIN(queued_at) AS oldest FROM tasks "
    "WHERE tenant_id = ? AND status IN ('queued', 'running') GROUP BY model_id, status, priority "
    "ORDER BY model_id, status, priority LIMIT 100000"
)
GROUPS: Final = {
    "model": ATTEMPTS.c.model_id,
    "tenant": ATTEMPTS.c.tenant_id,
    "day": ATTEMPTS.c.ended_at // DAY_MS,
    "key": func.coalesce(TASKS.c.key_id, 0),
}
_NAMED: Final = {
    "model": "SELECT id, name FROM models",
    "tenant": "SELECT id, name FROM tenants",
    "key": "SELECT id, name FROM api_keys",
}


def recent(reader: Reader, since: int, window_s: int, tenant_id: TenantId | None) -> Recent:
    """Counts and sums of the window, percentiles of its newest attempts."""
    is_in = ATTEMPTS.c.ended_at >= since
    if tenant_id is not None:
        is_in = and_(is_in, ATTEMPTS.c.tenant_id == tenant_id)
    columns = ("completed", "failed", "cost", "prompt", "completion")
    completed, failed, cost, prompt, completion = reader.select(columns, select(*sums()).where(is_in))[0]
    newest = (
        select(
            (ATTEMPTS.c.ended_at - ATTEMPTS.c.started_at).label("ran"),
            (ATTEMPTS.c.started_at - ATTEMPTS.c.queued_at).label("waited"),
        )
        .where(is_in, ATTEMPTS.c.outcome == "completed")
        .order_by(ATTEMPTS.c.ended_at.desc())
        .limit(SAMPLE)
    )
    rows = reader.select(("ran", "waited"), newest)
    ran = sorted(row[0] for row in rows)
    waited = sorted(row[1] for row in rows)
    return Recent(
        completed=completed or 0,
        failed=failed or 0,
        window_s=window_s,
        p50_ms=percentile(ran, 50),
        p95_ms=percentile(ran, 95),
        p99_ms=percentile(ran, 99),
        wait_p50_ms=percentile(waited, 50),
        wait_p95_ms=percentile(waited, 95),
        wait_p99_ms=percentile(waited, 99),
        cost_microusd=cost or 0,
        usage=Usage(prompt or 0, completion or 0),
    )


def sums() -> tuple[Any, ...]:
    """Counts and sums over attempts: completed, failed, cost, prompt, completion."""
    return (
        func.sum(case((ATTEMPTS.c.outcome == "completed", 1), else_=0)).label("completed"),
        func.sum(case((ATTEMPTS.c.outcome.in_(("failed", "crashed")), 1), else_=0)).label("failed"),
        func.sum(ATTEMPTS.c.cost_microusd).label("cost"),
        func.sum(ATTEMPTS.c.prompt_tokens).label("prompt"),
        func.sum(ATTEMPTS.c.completion_tokens).label("completion"),
    )


def percentile(ordered: Sequence[int], percent: int) -> int | None:
    """The smallest value that at least so many percent do not exceed."""
    return ordered[max(-(-len(ordered) * percent // 100) - 1, 0)] if ordered else None


def usage(
    reader: Reader, group_by: str, span: tuple[Millis | None, Millis | None], tenant_id: TenantId | None
) -> list[UsageRow]:
    """Sums over ended attempts, by the moment of their end."""
    since, until = span
    if group_by not in GROUPS:
        raise InvalidInputError(f"group_by must be one of {', '.join(GROUPS)}.", "group_by")
    group = GROUPS[group_by].label("grp")
    ended = ATTEMPTS.c.ended_at
    query = select(group, func.count().label("attempts"), *sums()).where(ended >= (since or 0))
    if group_by == "key":
        query = query.select_from(ATTEMPTS.outerjoin(TASKS, TASKS.c.id == ATTEMPTS.c.task_id))
    if until is not None:
        query = query.where(ended < until)
    if tenant_id is not None:
        query = query.where(ATTEMPTS.c.tenant_id == tenant_id)
    columns = ("grp", "attempts", "completed", "failed", "cost", "prompt", "completion")
    rows = reader.select(columns, query.group_by(group).order_by(group).limit(100_000))
    names = _names(reader, group_by)
    return [
        UsageRow(
            group=_label(group_by, row[0], names),
            attempts=row[1],
            completed=row[2],
            failed=row[3],
            usage=Usage(row[5], row[6]),
            cost_microusd=row[4],
        )
        for row in rows
    ]


def _names(reader: Reader, group_by: str) -> dict[int, str]:
    named = _NAMED.get(group_by)
    return {} if named is None else {number: name for number, name in reader.rows(("id", "name"), named)}


def _label(group_by: str, number: int, names: Mapping[int, str]) -> str:
    if group_by == "day":
        return _day(number)
    if group_by == "key":
        # Names of keys are for people: two may have the same.
        return f"{names.get(number, '')} #{number}".strip() if number else ""
    return names.get(number, str(number))


def queues(reader: Reader, tenant_id: TenantId) -> list[LaneDepth]:
    """Depths by model, of one tenant."""
    depths: dict[int, LaneDepth] = {}
    for model_id, status, priority, tasks, oldest in reader.rows(QUEUE, QUEUES_OF, (tenant_id,)):
        before = depths.get(model_id, LaneDepth(ModelId(model_id), 0, 0, (), None))
        if status == Status.RUNNING.value:
            depths[model_id] = before._replace(running=before.running + tasks)
            continue
        first = oldest if before.oldest_queued_at is None else min(before.oldest_queued_at, oldest)
        depths[model_id] = before._replace(
            waiting=before.waiting + tasks,
            by_band=(*before.by_band, (priority, tasks)),
            oldest_queued_at=first,
        )
    return list(depths.values())


def _day(number: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=number)).isoformat()


def days(reader: Reader, first: str, last: str) -> list[DayStats]:
    """Stored days."""
    query = f"SELECT {named(DAY_COLUMNS)} FROM system_stats WHERE stat_date BETWEEN ? AND ? ORDER BY stat_date LIMIT ?"  # noqa: S608 - names of our own, values are bound
    return [day_of(row) for row in reader.rows(DAY_COLUMNS, query, (first, last, 100_000))]


def measure_day(reader: Reader, day: str) -> DayStats:
    """One day (UTC) as it looks now.

    Raises:
        InvalidInputError: not a date.
    """
    begin, end = _bounds(day)
    attempt = ATTEMPTS.c
    in_day = (attempt.ended_at >= begin, attempt.ended_at < end)
    ran = func.avg(attempt.ended_at - attempt.started_at)
    completed = select(func.count().label("tasks"), ran.label("ran")).where(*in_day, attempt.outcome == "completed")
    with_tasks = ATTEMPTS.join(TASKS, TASKS.c.id == attempt.task_id)
    # An answer that came after a cancel is its attempt's accepted end, and the task is cancelled all the same.
    completed = completed.where(attempt.is_accepted == 1, TASKS.c.status == "completed").select_from(with_tasks)
    done, ran_ms = reader.select(("tasks", "ran"), completed)[0]
    failed = (
        select(func.count().label("tasks"))
        .select_from(with_tasks)
        .where(*in_day, TASKS.c.status == "failed", TASKS.c.attempt == attempt.attempt)
    )
    total = "SELECT COUNT(*) FROM tasks WHERE tenant_id = t.id AND created_at >= ? AND created_at < ?"
    return DayStats(
        stat_date=day,
        total_tasks=reader.value(f"SELECT SUM(({total})) FROM tenants t", (begin, end)) or 0,  # noqa: S608 - names of our own, values are bound
        completed_tasks=done,
        failed_tasks=reader.select(("tasks",), failed)[0][0],
        avg_processing_time_ms=round(ran_ms or 0),
        queue_length=reader.value(statements.COUNT_QUEUED),
        active_models=reader.value("SELECT COUNT(*) FROM models WHERE status = 'active'"),
    )


def _bounds(day: str) -> tuple[int, int]:
    try:
        begin = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
    except ValueError as error:
        raise InvalidInputError("A day is written YYYY-MM-DD.", "day") from error
    begin_ms = round(begin.timestamp() * 1000)
    return begin_ms, begin_ms + DAY_MS


def save_day(transaction: Transaction, day: DayStats) -> None:
    """Insert, or write the figures anew."""
    query = "SELECT id FROM system_stats WHERE stat_date = ?"
    row_id = transaction.value(query, (day.stat_date,)) or transaction.new_id("system_stats")
    row = (row_id, *day, transaction.now)
    transaction.upsert("system_stats", ("id", *DAY_COLUMNS, "created_at"), DAY_COLUMNS[1:], [row])
