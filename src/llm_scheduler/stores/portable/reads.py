"""Queries about tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from llm_scheduler.domain.status import Status
from llm_scheduler.domain.task import LogLevel, TaskLog
from llm_scheduler.ports.broker import PastStart, Slot
from llm_scheduler.ports.store import Page
from llm_scheduler.stores import cache_statements, filters, statements
from llm_scheduler.stores.rows import (
    ATTEMPT_COLUMNS,
    CACHE_COLUMNS,
    LOG_COLUMNS,
    RESULT_COLUMNS,
    TASK_COLUMNS,
    WAITING_COLUMNS,
    attempt_of,
    log_of,
    named,
    task_of,
    waiting_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_scheduler.domain.ids import Millis, TaskId, TenantId
    from llm_scheduler.domain.task import Attempt, Task, WaitingTask
    from llm_scheduler.ports.store import TaskFilter
    from llm_scheduler.stores.portable.access import Reader

LARGEST_LIST = 2**31
ONE_TASK = (
    f"SELECT {named(TASK_COLUMNS, 't')}, {named(RESULT_COLUMNS, 'r')}, {named(CACHE_COLUMNS, 'c')} "  # noqa: S608 - names of our own, values are bound
    "FROM tasks t LEFT JOIN results r ON r.task_id = t.id LEFT JOIN task_cache c ON c.task_id = t.id WHERE t.id = ?"
)
SELECT_ATTEMPTS = f"SELECT {named(ATTEMPT_COLUMNS)} FROM attempts WHERE task_id = ? ORDER BY attempt LIMIT ?"  # noqa: S608 - names of our own, values are bound
SELECT_LOGS = f"SELECT {named(LOG_COLUMNS)} FROM task_logs WHERE task_id = ? ORDER BY id LIMIT ?"  # noqa: S608 - names of our own, values are bound
NEXT_TYPE = "SELECT MIN(type) FROM tasks WHERE tenant_id = ? AND type > ?"


def task(reader: Reader, task_id: TaskId, tenant_id: TenantId | None) -> Task | None:
    """One task."""
    found = reader.rows((*TASK_COLUMNS, *RESULT_COLUMNS, *CACHE_COLUMNS), ONE_TASK, (task_id,))
    if not found or (tenant_id is not None and found[0][1] != tenant_id):
        return None
    return task_of(found[0])


def tasks(reader: Reader, where: TaskFilter, order: filters.PageOrder) -> Page:
    """One page; asks for one row more to know whether there is a next one."""
    query = filters.page(where, order._replace(limit=order.limit + 1), known(reader, where))
    found = [task_of(row) for row in reader.select((*TASK_COLUMNS, *RESULT_COLUMNS, *CACHE_COLUMNS), query)]
    items = tuple(found[: order.limit])
    more = len(found) > order.limit and items
    return Page(items, filters.packed_cursor(items[-1].created_at, items[-1].id) if more else None)


def known(reader: Reader, where: TaskFilter) -> filters.Known:
    """The values that the filter leaves open."""
    tenants = tuple(row[0] for row in reader.rows(("id",), "SELECT id FROM tenants"))
    models = tuple(row[0] for row in reader.rows(("id",), "SELECT id FROM models"))
    types: set[str] = set()
    if where.priority is not None and where.type is None:
        for tenant_id in tenants:
            types.update(_types(reader, tenant_id))
    return filters.Known(tenants, models, tuple(sorted(types)))


def _types(reader: Reader, tenant_id: int) -> set[str]:
    """By hopping along the index from one type to the next."""
    found: set[str] = set()
    kind = reader.value(NEXT_TYPE, (tenant_id, ""))
    while kind is not None and len(found) < filters.MOST_ARMS:
        found.add(kind)
        kind = reader.value(NEXT_TYPE, (tenant_id, kind))
    return found


def counts(reader: Reader, where: TaskFilter) -> Mapping[Status, int]:
    """By status."""
    rows = reader.select(("status", "tasks"), filters.counts(where, known(reader, where)))
    return {Status(status): count for status, count in rows}


def attempts(reader: Reader, task_id: TaskId) -> list[Attempt]:
    """Oldest first."""
    return [attempt_of(row) for row in reader.rows(ATTEMPT_COLUMNS, SELECT_ATTEMPTS, (task_id, LARGEST_LIST))]


def logs(reader: Reader, task_id: TaskId, limit: int) -> list[TaskLog]:
    """Oldest first. The first line is made from the task itself: a submit writes none."""
    query = "SELECT created_at, run_at FROM tasks WHERE id = ?"
    found = reader.rows(("created_at", "run_at"), query, (task_id,))
    if not found:
        return []
    rest = reader.rows(LOG_COLUMNS, SELECT_LOGS, (task_id, max(limit - 1, 0)))
    return [first_line(task_id, *found[0]), *(log_of(row) for row in rest)][:limit]


def first_line(task_id: TaskId, created_at: Millis, run_at: Millis | None) -> TaskLog:
    """What the log of a task begins with."""
    said = "submitted" if run_at is None or run_at <= created_at else "submitted, to run later"
    return TaskLog(task_id, LogLevel.INFO, said, created_at)


def waiting_page(reader: Reader, after: tuple[Millis, TaskId] | None, limit: int) -> list[WaitingTask]:
    """Queued tasks in order; `eligible_at`, which the index has, equals `queued_at` for them."""
    if after is None:
        rows = reader.rows(WAITING_COLUMNS, statements.WAITING_FIRST, (limit,))
    else:
        queued_at, task_id = after
        rows = reader.rows(WAITING_COLUMNS, statements.WAITING_AFTER, (queued_at, queued_at, task_id, limit))
    return [waiting_of(row) for row in rows]


def still_waiting(reader: Reader, task_ids: Sequence[TaskId]) -> list[WaitingTask]:
    """Those of them that are queued."""
    found: list[WaitingTask] = []
    for part in statements.padded(sorted(set(task_ids)), statements.LIST_SIZES):
        query = statements.with_ids(statements.SELECT_QUEUED, len(part))
        found += [waiting_of(row) for row in reader.rows(WAITING_COLUMNS, query, part)]
    return found


def running(reader: Reader) -> list[Slot]:
    """Running tasks as slots."""
    columns = ("id", "model_id", "tenant_id", "owner", "attempt", "started_at", "endpoint")
    rows = reader.rows(columns, statements.SELECT_RUNNING, (LARGEST_LIST,))
    # A slot carries the attempt that its claim expected: one less than the one that runs.
    return [Slot(row[0], row[1], row[2], row[3], row[4] - 1, row[5], row[6]) for row in rows]


def recent_starts(reader: Reader, since: int) -> list[PastStart]:
    """What started since, oldest first."""
    ended = reader.rows(statements.RECENT_START, statements.RECENT_STARTS, (since, since, LARGEST_LIST))
    still_open = reader.rows(statements.RECENT_START, statements.OPEN_STARTS, (since, LARGEST_LIST))
    return sorted((PastStart(*row) for row in (*ended, *still_open)), key=lambda one: one.started_at)


def next_due_at(reader: Reader) -> Millis | None:
    """When `promote`, `expire` or `regroup` will next find something."""
    return cast("Millis | None", reader.value(cache_statements.NEXT_DUE))
