"""Tasks that go to another model: at the end of an attempt, or while they wait. See `ports.diverting`."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from llm_scheduler.domain.ids import Millis, ModelId, TaskId, TenantId
from llm_scheduler.ports.diverting import Divertible
from llm_scheduler.stores import fallback_statements as texts
from llm_scheduler.stores import lines, statements
from llm_scheduler.stores.portable import answers
from llm_scheduler.stores.rows import WAITING_COLUMNS, packed_options, unpacked_options, waiting_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llm_scheduler.domain.outcome import Ended
    from llm_scheduler.domain.task import WaitingTask
    from llm_scheduler.ports.diverting import Diversion
    from llm_scheduler.stores.portable.access import Reader, Transaction


def known_models(transaction: Transaction, model_ids: Iterable[ModelId]) -> set[int]:
    """Those of them that exist, and will until the commit."""
    wanted = sorted(set(model_ids))
    if not wanted:
        return set()
    transaction.guard("models")
    return {row[0] for row in transaction.rows_in(("id",), statements.SELECT_MODELS, wanted)}


def move_on(transaction: Transaction, ends: Sequence[Ended]) -> list[WaitingTask]:
    """Queue these at their next models; followers that are freed by that.

    Another model, another key for the cache: the wish goes, and whoever waits for this answer asked for the
    other model's.
    """
    groups: defaultdict[tuple[int, int], dict[int, tuple[object, ...]]] = defaultdict(dict)
    for end in ends:
        options = None if end.next_options is None else packed_options(end.next_options)
        groups[end.attempt, end.session_id][end.task_id] = (end.next_model_id, options)
    for fence, values in groups.items():
        transaction.do_cases(texts.MOVE_ON, values, (transaction.now,), fence)
    return _waiting(transaction, answers.edited(transaction, sorted(end.task_id for end in ends)))


def divertible(
    reader: Reader, model_id: ModelId, tenant_id: TenantId, after: tuple[Millis, TaskId] | None, limit: int
) -> list[Divertible]:
    """One page by (created_at, id)."""
    at, task_id = after or (0, 0)
    rows = reader.rows(texts.DIVERTIBLE, texts.SELECT_DIVERTIBLE, (tenant_id, model_id, at, at, task_id, limit))
    return [
        Divertible(TaskId(row[0]), TenantId(row[1]), ModelId(row[2]), row[3], Millis(row[4]), unpacked_options(row[5]))
        for row in rows
    ]


def divert(transaction: Transaction, diversions: Sequence[Diversion]) -> list[WaitingTask]:
    """Queue these in other lanes, where they still wait for the model that they are taken from."""
    known = known_models(transaction, (one.next_model_id for one in diversions))
    wanted = {one.task.task_id: one for one in diversions if one.next_model_id in known}
    held = transaction.rows_in(texts.HELD, texts.HOLD_WAITING, sorted(wanted))
    able = sorted({row[0] for row in held if row[2] == wanted[row[0]].task.model_id})
    if not able:
        return []
    values: dict[int, tuple[object, ...]] = {
        task_id: (wanted[task_id].next_model_id, packed_options(wanted[task_id].options)) for task_id in able
    }
    transaction.do_cases(texts.DIVERT, values, (transaction.now,))
    said = [lines.Line(task_id, wanted[task_id].task.tenant_id, "warning", wanted[task_id].note) for task_id in able]
    lines.write(transaction, said)
    return _waiting(transaction, [*able, *answers.edited(transaction, able)])


def served_by(transaction: Transaction, completed: Iterable[tuple[int, ModelId]]) -> None:
    """A late answer of a model that the task has left meanwhile counts: the task says who gave it."""
    by_model: defaultdict[ModelId, list[int]] = defaultdict(list)
    for task_id, model_id in completed:
        by_model[model_id].append(task_id)
    for model_id, ids in by_model.items():
        transaction.do_in(texts.SERVED_BY, sorted(ids), (model_id,))


def _waiting(transaction: Transaction, ids: Sequence[int]) -> list[WaitingTask]:
    rows = transaction.rows_in(WAITING_COLUMNS, statements.SELECT_QUEUED, ids)
    return [waiting_of(row) for row in {row[0]: row for row in rows}.values()]
