"""Queries and moves that take finished tasks out of the record.

Ids grow with time, and a finished task is at least as old as its id: a walk by primary key finds what is
old without an index on the finishing time, and without a scan. What is not finished yet is passed over
and met again on the next walk.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.status import TERMINAL
from llm_scheduler.domain.task import TaskLog
from llm_scheduler.ports.retention import Candidate, Candidates, WholeTask
from llm_scheduler.stores import statements
from llm_scheduler.stores.portable import moves
from llm_scheduler.stores.portable.reads import first_line
from llm_scheduler.stores.portable.registry import KEPT_DEAD_MS
from llm_scheduler.stores.rows import (
    ATTEMPT_COLUMNS,
    CACHE_COLUMNS,
    LOG_COLUMNS,
    RESULT_COLUMNS,
    TASK_COLUMNS,
    attempt_of,
    log_of,
    named,
    task_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.ids import Millis, TaskId
    from llm_scheduler.ports.retention import Cut, IdRange
    from llm_scheduler.stores.portable.access import Reader, Row, Transaction

MOST: Final = 2**31
"""A LIMIT that is no limit: SQLite keeps the order of a query inside another only with one."""
STEP: Final = ("id", "status", "created_at", "completed_at")
WALK: Final = "SELECT id, status, created_at, completed_at FROM tasks WHERE id > ? AND id < ? ORDER BY id LIMIT ?"
SIZES: Final = (
    "SELECT t.id, LENGTH(t.input) + COALESCE(LENGTH(t.output), 0) + COALESCE(LENGTH(r.raw), 0) AS size "
    "FROM tasks t LEFT JOIN results r ON r.task_id = t.id WHERE t.id IN ({ids}) LIMIT ?"
)
WHOLE: Final = (
    f"SELECT {named(TASK_COLUMNS, 't')}, {named(RESULT_COLUMNS, 'r')}, {named(CACHE_COLUMNS, 'c')} "  # noqa: S608 - names of our own, values are bound
    "FROM tasks t LEFT JOIN results r ON r.task_id = t.id LEFT JOIN task_cache c ON c.task_id = t.id "
    "WHERE t.id IN ({ids}) ORDER BY t.id LIMIT ?"
)
ATTEMPTS_OF: Final = (
    f"SELECT {named(ATTEMPT_COLUMNS)} FROM attempts "  # noqa: S608 - our names
    "WHERE task_id IN ({ids}) ORDER BY task_id, attempt LIMIT ?"
)
LOGS_OF: Final = (
    f"SELECT {named(LOG_COLUMNS)} FROM task_logs "  # noqa: S608 - our names
    "WHERE task_id IN ({ids}) ORDER BY task_id, id LIMIT ?"
)
KEY_STEP: Final = ("tenant_id", "key", "created_at", "is_reply", "is_gone")
KEYS: Final = (
    "SELECT k.tenant_id, k.`key`, k.created_at, k.answer IS NOT NULL AS is_reply, t.id IS NULL AS is_gone "
    "FROM idempotency_keys k LEFT JOIN tasks t ON t.id = k.task_id "
    "WHERE k.tenant_id = ? AND k.`key` > ? ORDER BY k.`key` LIMIT ?"
)
NEXT_TENANT: Final = "SELECT MIN(tenant_id) FROM idempotency_keys WHERE tenant_id > ?"
DROP_REPLY: Final = (
    "DELETE FROM idempotency_keys WHERE tenant_id = ? AND `key` = ? AND created_at < ? AND answer IS NOT NULL"
)
DROP_DANGLING: Final = (
    "DELETE FROM idempotency_keys WHERE tenant_id = ? AND `key` = ? AND created_at < ? AND answer IS NULL "
    "AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.id = idempotency_keys.task_id)"
)


def candidates(reader: Reader, within: IdRange, before: Millis, after_id: int, limit: int) -> Candidates:
    """The next page of the walk."""
    after_id = max(after_id, within.first - 1)
    rows = reader.rows(STEP, WALK, (after_id, within.past, limit))
    old = [row[0] for row in rows if row[1] in TERMINAL and row[3] is not None and row[3] < before]
    sizes = {row[0]: row[1] for row in _in(reader, ("id", "size"), SIZES, old)}
    found = tuple(Candidate(task_id, sizes[task_id]) for task_id in old if task_id in sizes)
    return Candidates(
        found,
        rows[-1][0] if len(rows) == limit else None,
        is_young=bool(rows) and all(row[2] >= before for row in rows),
    )


def whole(reader: Reader, task_ids: Sequence[TaskId]) -> list[WholeTask]:
    """Everything about these tasks. The padding of a list repeats its last id, which IN does not mind."""
    ids = sorted(set(task_ids))
    tasks = [task_of(row) for row in _in(reader, (*TASK_COLUMNS, *RESULT_COLUMNS, *CACHE_COLUMNS), WHOLE, ids)]
    attempts = {
        task_id: tuple(attempt_of(row) for row in rows)
        for task_id, rows in groupby(_in(reader, ATTEMPT_COLUMNS, ATTEMPTS_OF, ids), key=lambda row: row[0])
    }
    logs: dict[int, tuple[TaskLog, ...]] = {
        task_id: tuple(log_of(row) for row in rows)
        for task_id, rows in groupby(_in(reader, LOG_COLUMNS, LOGS_OF, ids), key=lambda row: row[0])
    }
    return [
        WholeTask(
            task,
            attempts.get(task.id, ()),
            (first_line(task.id, task.created_at, task.run_at), *logs.get(task.id, ())),
        )
        for task in tasks
    ]


def _in(reader: Reader, columns: tuple[str, ...], template: str, ids: Sequence[int]) -> list[Row]:
    found: list[Row] = []
    for part in statements.padded(ids, statements.LIST_SIZES):
        found += reader.rows(columns, statements.with_ids(template, len(part)), (*part, MOST))
    return found


def retire(transaction: Transaction, task_ids: Sequence[TaskId], before: Millis) -> int:
    """Remove what is still finished and old; a task that was revived meanwhile stays, with all it has."""
    ids = sorted(set(task_ids))
    return moves.remove(
        transaction, transaction.rows_in(moves.REMOVABLE, statements.SELECT_RETIRABLE, ids, after=(before,))
    )


def key_page(reader: Reader, after: tuple[int, str], limit: int) -> tuple[list[Row], tuple[int, str] | None]:
    """`KEY_STEP` of the next keys of a tenant, and where the page after them begins."""
    page = reader.rows(KEY_STEP, KEYS, (*after, limit))
    if len(page) == limit:
        return page, (page[-1][0], page[-1][1])
    tenant_id = reader.value(NEXT_TENANT, (after[0],))
    return page, None if tenant_id is None else (tenant_id, "")


def drop_keys(transaction: Transaction, page: list[Row], cut: Cut) -> int:
    """Those of the page that nobody needs: told by the page, decided again by each statement."""
    gone = 0
    for tenant_id, key, created_at, is_reply, is_gone in page:
        if is_reply and created_at < cut.replies:
            gone += transaction.run(DROP_REPLY, (tenant_id, key, cut.replies))
        elif is_gone and not is_reply and created_at < cut.tasks:
            gone += transaction.run(DROP_DANGLING, (tenant_id, key, cut.tasks))
    return gone


def drop_small(transaction: Transaction, cut: Cut, limit: int) -> int:
    """Old bulk actions that ended, and sessions that died long ago."""
    transaction.run(statements.FORGET_SESSIONS, (transaction.now - KEPT_DEAD_MS,))
    old = [row[0] for row in transaction.rows(("id",), statements.OLD_ACTIONS, (cut.replies, limit))]
    transaction.do_in(statements.DROP_ACTIONS, old, after=(cut.replies,))
    return len(old)
