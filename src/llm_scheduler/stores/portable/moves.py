"""Moves by someone else's hand: cancel, requeue, priority, delete, and what time and crashes bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from llm_scheduler.domain.status import Status
from llm_scheduler.stores import lines, statements
from llm_scheduler.stores.portable import answers, money, payloads
from llm_scheduler.stores.rows import MOVED_COLUMNS, WAITING_COLUMNS, moved_of, waiting_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.ids import TaskId
    from llm_scheduler.domain.task import TaskLog, WaitingTask
    from llm_scheduler.ports.store import Moved
    from llm_scheduler.stores.portable.access import Row, Transaction


def cancel(transaction: Transaction, task_ids: Sequence[TaskId]) -> list[Moved]:
    """Waiting ones end, running ones get the mark."""
    now = transaction.now
    found = [
        moved_of(row) for row in transaction.rows_in(MOVED_COLUMNS, statements.SELECT_UNFINISHED, _sorted(task_ids))
    ]
    running = [task for task in found if task.status is Status.RUNNING]
    waiting = [task for task in found if task.status is not Status.RUNNING]
    if running:
        transaction.do_in(statements.MARK_RUNNING, [task.task_id for task in running], (now,))
    if waiting:
        ids = [task.task_id for task in waiting]
        transaction.do_in(statements.CANCEL_WAITING, ids, (now, now))
        transaction.do_in(statements.DROP_DEADLINES, ids)
        payloads.ended_by_hand(transaction, ids)
    said = [lines.Line(task.task_id, task.tenant_id, "info", "cancelled") for task in waiting]
    said += [lines.Line(task.task_id, task.tenant_id, "info", "cancel asked while it runs") for task in running]
    lines.write(transaction, said)
    return running + [task._replace(status=Status.CANCELLED) for task in waiting]


def requeue(
    transaction: Transaction,
    task_ids: Sequence[TaskId],
    statuses: Sequence[Status],
    edited_input: str | None,
    estimate: tuple[int, int] | None,
) -> list[WaitingTask]:
    """Dead letters and cancelled tasks wait again, as if new; a deadline that has passed is dropped.

    Those whose inputs are gone only with another one.
    """
    now = transaction.now
    columns = ("id", "tenant_id", "status", "deadline_at")
    found = transaction.rows_in(columns, statements.SELECT_REVIVABLE, _sorted(task_ids))
    chosen = {row[0]: row for row in found if row[2] in statuses}
    fading = payloads.fading(transaction, sorted(chosen))
    if edited_input is None:
        chosen = {task_id: row for task_id, row in chosen.items() if not fading.get(task_id, False)}
    if not chosen:
        return []
    ids = sorted(chosen)
    payloads.revived(transaction, sorted(fading.keys() & chosen.keys()))
    transaction.do_in(statements.REVIVE, ids, (now, now, now))
    if edited_input is not None:
        transaction.do_in(statements.EDIT_INPUT, ids, (edited_input,))
    if estimate is not None:
        transaction.do_in(statements.EDIT_TOKENS, ids, estimate)
    _renew_deadlines(transaction, list(chosen.values()))
    freed: list[int] = []
    if edited_input is None:
        answers.requeued(transaction, ids)
    else:
        freed = answers.edited(transaction, ids)
    said = "requeued" if edited_input is None else "requeued with another input"
    lines.write(transaction, [lines.Line(row[0], row[1], "info", said) for row in chosen.values()])
    return _queued(transaction, [*ids, *freed])


def _renew_deadlines(transaction: Transaction, rows: list[Row]) -> None:
    passed = [row[0] for row in rows if row[3] is not None and row[3] <= transaction.now]
    if passed:
        transaction.do_in(statements.CLEAR_DEADLINE, passed)
    ahead = [(row[0], row[3]) for row in rows if row[3] is not None and row[3] > transaction.now]
    transaction.upsert("task_deadlines", ("task_id", "deadline_at"), ("deadline_at",), ahead)


def set_priority(transaction: Transaction, task_ids: Sequence[TaskId], priority: int) -> list[WaitingTask]:
    """Waiting tasks get another priority."""
    ids = _sorted(task_ids)
    transaction.do_in(statements.SET_PRIORITY, ids, (priority, transaction.now))
    return _queued(transaction, ids)


REMOVABLE = ("id", "tenant_id", "created_at", "metadata")


def delete(transaction: Transaction, task_ids: Sequence[int]) -> int:
    """Terminal tasks go, with everything that hangs on them."""
    return remove(transaction, transaction.rows_in(REMOVABLE, statements.SELECT_TERMINAL, _sorted(task_ids)))


def remove(transaction: Transaction, found: list[Row]) -> int:
    """Delete tasks, given as `REMOVABLE` columns of rows that are locked; how many."""
    gone = {row[0]: row for row in found}
    pairs = [
        (tenant_id, key, value, created_at, task_id)
        for task_id, tenant_id, created_at, metadata in gone.values()
        for key, value in orjson.loads(metadata or "{}").items()
    ]
    first = 0
    for size in statements.PAIR_SIZES:
        while len(pairs) - first >= size:
            params = [value for pair in pairs[first : first + size] for value in pair]
            transaction.do(statements.delete_pairs(size), params)
            first += size
    for statement in statements.DELETE_TASKS:
        transaction.do_in(statement, sorted(gone))
    return len(gone)


def promote(transaction: Transaction, limit: int) -> list[WaitingTask]:
    """Scheduled tasks whose time has come join the queue."""
    due = transaction.rows(("id", "tenant_id"), statements.SELECT_DUE, (transaction.now, limit))
    if not due:
        return []
    blocked = answers.promoted(transaction, [row[0] for row in due])
    ids = [row[0] for row in due if row[0] not in blocked]
    transaction.do_in(statements.PROMOTE, ids, (transaction.now,))
    said = [lines.Line(row[0], row[1], "info", "queued: its time has come") for row in due if row[0] not in blocked]
    lines.write(transaction, said)
    return _queued(transaction, ids)


def expire(transaction: Transaction, limit: int) -> list[Moved]:
    """Waiting tasks past their deadline end."""
    now = transaction.now
    found = [moved_of(row) for row in transaction.rows(MOVED_COLUMNS, statements.SELECT_OVERDUE, (now, limit))]
    ids = [task.task_id for task in found]
    transaction.do_in(statements.EXPIRE, ids, (now, now))
    transaction.do_in(statements.DROP_DEADLINES, ids)
    payloads.ended_by_hand(transaction, ids)
    said = "expired: its deadline passed before it could run"
    lines.write(transaction, [lines.Line(task.task_id, task.tenant_id, "warning", said) for task in found])
    return [task._replace(status=Status.EXPIRED) for task in found]


def rescue(transaction: Transaction, max_crashes: int, limit: int) -> tuple[list[WaitingTask], list[Moved]]:
    """Running tasks without a live owner: back into the queue, or to an end."""
    now = transaction.now
    columns = ("id", "tenant_id", "attempt", "crashes", "cancel", "deadline_at")
    found = transaction.rows(columns, statements.SELECT_ABANDONED, (limit,))
    if not found:
        return [], []
    transaction.do_in(statements.CRASH_ATTEMPTS, [row[0] for row in found], (now,))
    money.crashed(transaction, [(row[0], row[2], row[1]) for row in found])
    cancelled = [row for row in found if row[4]]
    dead = [row for row in found if not row[4] and row[3] + 1 >= max_crashes]
    back = [row for row in found if not row[4] and row[3] + 1 < max_crashes]
    transaction.do_in(statements.RESCUE_CANCELLED, _ids(cancelled), (now, now))
    transaction.do_in(statements.RESCUE_DEAD, _ids(dead), (now, now))
    transaction.do_in(statements.RESCUE, _ids(back), (now,))
    transaction.do_in(statements.DROP_DEADLINES, _ids(cancelled + dead))
    payloads.ended_by_hand(transaction, _ids(cancelled + dead))
    said = [_rescue_line(row, "warning", "worker lost; queued again") for row in back]
    said += [_rescue_line(row, "error", f"failed: worker lost {row[3] + 1} times") for row in dead]
    said += [_rescue_line(row, "info", "cancelled: its worker was lost") for row in cancelled]
    lines.write(transaction, said)
    ended = transaction.rows_in(MOVED_COLUMNS, statements.SELECT_MOVED, _ids(cancelled + dead))
    return _queued(transaction, _ids(back)), [moved_of(row) for row in {row[0]: row for row in ended}.values()]


def _rescue_line(row: Row, level: str, message: str) -> lines.Line:
    return lines.Line(row[0], row[1], level, f"{message} (attempt {row[2]})")


def log(transaction: Transaction, said: Sequence[TaskLog]) -> None:
    """Append lines that others wrote; those of tasks that are gone are dropped."""
    ids = _sorted([line.task_id for line in said])
    found = transaction.rows_in(("id", "tenant_id"), statements.SELECT_TENANTS, ids)
    tenants: dict[int, int] = {row[0]: row[1] for row in found}
    log_ids = transaction.new_ids("task_logs", len(said))
    rows = [
        (
            log_id,
            line.task_id,
            tenants[line.task_id],
            line.level.value,
            line.created_at,
            line.message,
            None if line.data is None else orjson.dumps(line.data, default=str).decode(),
        )
        for log_id, line in zip(log_ids, said, strict=True)
        if line.task_id in tenants
    ]
    transaction.insert("task_logs", lines.LOG_ROW, rows)


def _queued(transaction: Transaction, ids: Sequence[int]) -> list[WaitingTask]:
    rows = transaction.rows_in(WAITING_COLUMNS, statements.SELECT_QUEUED, ids)
    return [waiting_of(row) for row in rows]


def _sorted(task_ids: Sequence[int]) -> list[int]:
    return sorted(set(task_ids))


def _ids(rows: list[Row]) -> list[int]:
    return [row[0] for row in rows]
