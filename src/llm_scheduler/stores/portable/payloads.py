"""Payloads that are kept only as long as they are needed: they fade when their task is over.

A task's options say whether its payload is to go; a row in `fading_payloads` says since when it is over. Tasks whose
payload stays cost nothing but the look at the options that are read anyway.
"""
# ruff: noqa: S608 - every name that is put into a text is one of ours

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llm_scheduler.stores.statements import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llm_scheduler.domain.ids import Millis
    from llm_scheduler.stores.portable.access import Transaction

SELECT_FADING: Final = "SELECT id, input = '' AS is_gone FROM tasks WHERE id IN ({ids}) AND options LIKE ?"
FLAG: Final = '%"drops_payload":true%'
"""Inside a text of JSON quotes are escaped, so that no name a caller gives looks like this."""
SELECT_FADED: Final = "SELECT task_id FROM fading_payloads WHERE ended_at < ? ORDER BY ended_at LIMIT ?"
BLANK_INPUT: Final = "UPDATE tasks SET input = '' WHERE id IN ({ids})"
BLANK: Final = f"UPDATE tasks SET input = '', output = NULL WHERE id IN ({{ids}}) AND status IN {TERMINAL}"
BLANK_RAW: Final = (
    "UPDATE results SET raw = NULL WHERE task_id IN ({ids}) AND EXISTS "
    f"(SELECT 1 FROM tasks WHERE tasks.id = results.task_id AND status IN {TERMINAL})"
)
DROP_FADED: Final = "DELETE FROM fading_payloads WHERE task_id IN ({ids}) AND ended_at < ?"
DROP: Final = "DELETE FROM fading_payloads WHERE task_id IN ({ids})"


def ended(transaction: Transaction, task_ids: Sequence[int]) -> None:
    """These tasks, whose payloads are to go, are over now: what is left of them is kept a while."""
    rows = [(task_id, transaction.now) for task_id in sorted(set(task_ids))]
    transaction.upsert("fading_payloads", ("task_id", "ended_at"), ("ended_at",), rows)


def completed(transaction: Transaction, task_ids: Sequence[int]) -> None:
    """They have their answer: nobody needs their input any more."""
    transaction.do_in(BLANK_INPUT, sorted(set(task_ids)))


def ended_by_hand(transaction: Transaction, task_ids: Iterable[int]) -> None:
    """Of tasks that ended without a worker's word: note those whose payloads are to go."""
    ids = sorted(set(task_ids))
    if ids and (found := fading(transaction, ids)):
        ended(transaction, list(found))


def fading(transaction: Transaction, task_ids: Sequence[int]) -> Mapping[int, bool]:
    """Of these tasks those whose payload is to go: whether it has gone, by id."""
    found = transaction.rows_in(("id", "is_gone"), SELECT_FADING, task_ids, after=(FLAG,))
    return {row[0]: bool(row[1]) for row in found}


def revived(transaction: Transaction, task_ids: Sequence[int]) -> None:
    """They are to run again, so their inputs stay."""
    transaction.do_in(DROP, sorted(task_ids))


def blank(transaction: Transaction, before: Millis, limit: int) -> int:
    """What ended before an instant loses its payload, unless it was revived; how many were looked at."""
    ids = sorted(row[0] for row in transaction.rows(("task_id",), SELECT_FADED, (before, limit)))
    if ids:
        transaction.do_in(BLANK, ids)
        transaction.do_in(BLANK_RAW, ids)
        transaction.do_in(DROP_FADED, ids, after=(before,))
    return len(ids)
