"""START: all claims of a batch become attempts, where the fence holds."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from llm_scheduler.ports.money import HeldTask
from llm_scheduler.ports.store import StartedTask
from llm_scheduler.stores import lines, statements
from llm_scheduler.stores.portable import money
from llm_scheduler.stores.rows import unpacked_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.budget import Tariff
    from llm_scheduler.domain.ids import SessionId
    from llm_scheduler.ports.store import StartOrder
    from llm_scheduler.stores.portable.access import Row, Transaction

Wanted = tuple["SessionId", "Sequence[StartOrder]"]


Answer = list[StartedTask | HeldTask | None]


def start_all(transaction: Transaction, wanted: list[Wanted]) -> list[Answer]:
    """Start what may be started; of two orders for one task the first wins."""
    alive = _alive_sessions(transaction, wanted)
    ids = {order.task_id for _, orders in wanted for order in orders}
    found = transaction.rows_in(statements.STARTABLE, statements.SELECT_STARTABLE, sorted(ids))
    startable: dict[int, Row] = {row[0]: row for row in found}
    groups: defaultdict[tuple[int, int], list[StartedTask]] = defaultdict(list)
    covered: list[tuple[StartedTask, Tariff]] = []
    answers: list[Answer] = []
    for session_id, orders in wanted:
        answer: Answer = []
        for order in orders:
            row = startable.get(order.task_id)
            is_elsewhere = row is not None and order.model_id not in (None, row[2])
            if row is None or is_elsewhere or row[5] != order.expected_attempt or session_id not in alive:
                answer.append(None)
                continue
            del startable[order.task_id]
            started = _started(row, transaction, order.endpoint)
            if order.tariff is not None:
                covered.append((started, order.tariff))
            groups[session_id, order.expected_attempt].append(started)
            answer.append(started)
        answers.append(answer)
    if covered:
        answers, groups = _reserved(transaction, covered, answers, groups)
    if groups:
        _write(transaction, groups)
    return answers


def _reserved(
    transaction: Transaction,
    covered: list[tuple[StartedTask, Tariff]],
    answers: list[Answer],
    groups: defaultdict[tuple[int, int], list[StartedTask]],
) -> tuple[list[Answer], defaultdict[tuple[int, int], list[StartedTask]]]:
    """The same with money put aside, and without those that are held."""
    running, holds = money.reserve(transaction, covered)
    left: defaultdict[tuple[int, int], list[StartedTask]] = defaultdict(list)
    for key, group in groups.items():
        if kept := [running.get(task.task_id, task) for task in group if task.task_id not in holds]:
            left[key] = kept
    return [[_answer(one, running, holds) for one in answer] for answer in answers], left


def _answer(
    one: StartedTask | HeldTask | None, running: dict[int, StartedTask], holds: dict[int, money.Hold]
) -> StartedTask | HeldTask | None:
    if one is None:
        return None
    hold = holds.get(one.task_id)
    if hold is not None:
        task = hold.task
        return HeldTask(task.task_id, task.tenant_id, task.model_id, task.attempt - 1, hold.told)
    return running.get(one.task_id, one) if isinstance(one, StartedTask) else one


def _alive_sessions(transaction: Transaction, wanted: list[Wanted]) -> set[int]:
    sessions = sorted({session_id for session_id, _ in wanted})
    return {row[0] for row in transaction.rows_in(("id",), statements.ALIVE_SESSIONS, sessions)}


def _started(row: Row, transaction: Transaction, endpoint: str | None) -> StartedTask:
    return StartedTask(
        task_id=row[0],
        tenant_id=row[1],
        model_id=row[2],
        type=row[3],
        priority=row[4],
        attempt=row[5] + 1,
        generation=row[6],
        failures=row[7],
        max_retries=row[8],
        est_tokens=row[9],
        queued_at=row[10],
        started_at=transaction.now,
        deadline_at=row[11],
        timeout_s=row[12],
        retry=row[13],
        input=row[14],
        est_output=row[15],
        key_id=row[16],
        options=unpacked_options(row[17]),
        endpoint=endpoint,
    )


def _write(transaction: Transaction, groups: dict[tuple[int, int], list[StartedTask]]) -> None:
    now = transaction.now
    attempts: list[tuple[object, ...]] = []
    requests: Counter[int] = Counter()
    for (session_id, expected), started in groups.items():
        ids = [task.task_id for task in started]
        transaction.do_in(statements.START, ids, (session_id, now, now), (expected, session_id))
        for task in started:
            requests[task.model_id] += 1
            attempts.append(
                (
                    task.task_id,
                    task.attempt,
                    task.tenant_id,
                    task.model_id,
                    session_id,
                    task.queued_at,
                    now,
                    0,
                    0,
                    0,
                    0,
                    task.endpoint,
                )
            )
    transaction.insert("attempts", statements.ATTEMPT_NEW, attempts)
    for model_id, count in requests.items():
        transaction.add_up(statements.COUNT_REQUESTS, (count, 0), model_id)
    lines.write(
        transaction,
        [
            lines.Line(task.task_id, task.tenant_id, "info", lines.started(task.attempt))
            for started in groups.values()
            for task in started
        ],
    )
