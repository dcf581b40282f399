"""Recording new tasks: all submits of a batch in a few large statements."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson

from llm_scheduler.domain.errors import IdempotencyConflictError, ModelNotFoundError, SchedulerError
from llm_scheduler.domain.ids import Millis, TaskId
from llm_scheduler.domain.status import Status
from llm_scheduler.ports.store import Submitted
from llm_scheduler.stores import statements
from llm_scheduler.stores.portable import answers
from llm_scheduler.stores.rows import packed_options, packed_retry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_scheduler.domain.task import NewTask
    from llm_scheduler.stores.portable.access import Transaction

Keyed = dict[tuple[int, str], "_Use"]
KEY_ROW = ("tenant_id", "key", "fingerprint", "task_id", "created_at")


# What is answered at once is inserted as if it followed, and completed in the same transaction.
_INSERTED = {
    Status.QUEUED: "queued",
    Status.SCHEDULED: "scheduled",
    Status.BLOCKED: "blocked",
    Status.COMPLETED: "blocked",
}


class _Use(NamedTuple):
    """What an idempotency key stands for. `task` None: not for a task that still exists."""

    fingerprint: str
    task: Submitted | None
    is_dangling: bool = False


def submit_all(transaction: Transaction, lists: list[Sequence[NewTask]]) -> list[Sequence[Submitted] | SchedulerError]:
    """Insert the tasks of each list, or refuse the list as a whole."""
    used = _used_keys(transaction, lists)
    dangling = {key for key, use in used.items() if use.is_dangling}
    known = _known_models(transaction, lists)
    outcomes: list[Sequence[Submitted] | SchedulerError] = []
    fresh: list[tuple[NewTask, Submitted]] = []
    for tasks in lists:
        refused = _refusal(tasks, known, used)
        outcomes.append(refused or _submitted(transaction, tasks, used, fresh))
    if not fresh:
        return outcomes
    _take_keys(transaction, fresh, dangling)
    wishes = [
        (answers.Wanted(new.task_id, task.tenant_id, task.cache.key), task.cache.ttl_s)
        for task, new in fresh
        if task.cache is not None
    ]
    if not wishes:
        _insert(transaction, fresh)
        return outcomes
    for_later = {new.task_id for _, new in fresh if new.status is Status.SCHEDULED}
    leads = answers.place(transaction, [one for one, _ in wishes if one.task_id not in for_later])
    _insert(transaction, [(task, _placed(new, leads)) for task, new in fresh])
    answers.note(transaction, wishes, leads)
    return [each if isinstance(each, SchedulerError) else [_placed(new, leads) for new in each] for each in outcomes]


def _placed(new: Submitted, leads: Mapping[int, answers.Lead]) -> Submitted:
    lead = leads.get(new.task_id)
    if lead is None:
        return new
    return new._replace(status=Status.COMPLETED if lead.has_answer else Status.BLOCKED)


def _known_models(transaction: Transaction, lists: list[Sequence[NewTask]]) -> set[int]:
    wanted = {task.model_id for tasks in lists for task in tasks}
    transaction.guard("models")
    found = transaction.rows_in(("id",), statements.SELECT_MODELS, sorted(wanted))
    return {row[0] for row in found}


def _used_keys(transaction: Transaction, lists: list[Sequence[NewTask]]) -> Keyed:
    keys = {
        (task.tenant_id, task.idempotency_key) for tasks in lists for task in tasks if task.idempotency_key is not None
    }
    used: Keyed = {}
    columns = ("tenant_id", "key", "fingerprint", "task_id", "status", "eligible_at", "is_reply")
    for tenant_id in {tenant_id for tenant_id, _ in keys}:
        mine = sorted(key for owner, key in keys if owner == tenant_id)
        for first in range(0, len(mine), 64):
            part = mine[first : first + 64]
            part += [part[-1]] * (64 - len(part))
            for row in transaction.rows(columns, statements.SELECT_KEYS, (tenant_id, *part)):
                used[row[0], row[1]] = _use_of(row)
    return used


def _use_of(row: list) -> _Use:
    _, _, fingerprint, task_id, status, eligible_at, is_reply = row
    if status is None:
        return _Use(fingerprint, None, is_dangling=not is_reply)
    return _Use(fingerprint, Submitted(TaskId(task_id), False, Status(status), Millis(eligible_at)))


def _refusal(tasks: Sequence[NewTask], known: set[int], used: Keyed) -> SchedulerError | None:
    own: dict[tuple[int, str], str] = {}
    for task in tasks:
        if task.model_id not in known:
            return ModelNotFoundError(str(task.model_id))
        key = task.idempotency_key
        if key is None:
            continue
        fingerprint = task.fingerprint or ""
        use = used.get((task.tenant_id, key))
        earlier = own.setdefault((task.tenant_id, key), fingerprint)
        if earlier != fingerprint or (use is not None and not _fits(use, fingerprint)):
            return IdempotencyConflictError(key)
    return None


def _fits(use: _Use, fingerprint: str) -> bool:
    return use.is_dangling or (use.task is not None and use.fingerprint == fingerprint)


def _submitted(
    transaction: Transaction, tasks: Sequence[NewTask], used: Keyed, fresh: list[tuple[NewTask, Submitted]]
) -> list[Submitted]:
    now = transaction.now
    done: list[Submitted] = []
    ids = iter(transaction.new_ids("tasks", len(tasks)))
    for task in tasks:
        key = task.idempotency_key
        use = used.get((task.tenant_id, key)) if key is not None else None
        if use is not None and use.task is not None:
            done.append(use.task)
            continue
        run_at = task.run_at
        if run_at is not None and run_at > now:
            new = Submitted(TaskId(next(ids)), True, Status.SCHEDULED, run_at)
        else:
            new = Submitted(TaskId(next(ids)), True, Status.QUEUED, now)
        done.append(new)
        fresh.append((task, new))
        if key is not None:
            used[task.tenant_id, key] = _Use(task.fingerprint or "", new._replace(is_new=False))
    return done


def _take_keys(
    transaction: Transaction, fresh: list[tuple[NewTask, Submitted]], dangling: set[tuple[int, str]]
) -> None:
    """An INSERT, in order: of two processes that use a key at once the second is told by the primary key."""
    keys = sorted(
        (task.tenant_id, task.idempotency_key, task.fingerprint or "", new.task_id, transaction.now)
        for task, new in fresh
        if task.idempotency_key is not None
    )
    for tenant_id, key, *_ in keys:
        if (tenant_id, key) in dangling:
            transaction.do(statements.DROP_KEY, (tenant_id, key))
    transaction.insert("idempotency_keys", KEY_ROW, keys)


def _insert(transaction: Transaction, fresh: list[tuple[NewTask, Submitted]]) -> None:
    now = transaction.now
    transaction.insert("tasks", statements.TASK_NEW, [_task_row(task, new, now) for task, new in fresh])
    pairs = [
        (task.tenant_id, name, value, now, new.task_id)
        for task, new in fresh
        if task.metadata
        for name, value in task.metadata.items()
    ]
    if pairs:
        transaction.insert("task_metadata", statements.METADATA_ROW, pairs)
    deadlines = [(new.task_id, task.deadline_at) for task, new in fresh if task.deadline_at is not None]
    if deadlines:
        transaction.insert("task_deadlines", ("task_id", "deadline_at"), deadlines)


def _task_row(task: NewTask, new: Submitted, now: Millis) -> tuple[object, ...]:
    is_queued = new.status is Status.QUEUED
    return (
        new.task_id,
        task.tenant_id,
        task.model_id,
        task.type,
        _INSERTED[new.status],
        task.priority,
        0,
        0,
        0,
        0,
        task.max_retries,
        1,
        0,
        task.est_tokens,
        now,
        now,
        now if is_queued else None,
        new.queued_at,
        task.run_at,
        task.deadline_at,
        task.timeout_s,
        None if task.retry is None else packed_retry(task.retry),
        orjson.dumps(dict(task.metadata)).decode() if task.metadata else None,
        task.input,
        task.est_output,
        task.key_id,
        packed_options(task.options),
    )
