"""Which selects of a move lock their rows.

READ COMMITTED shows each statement its own moment, so a move must hold what it judges by. What only
informs, or is written by the same transaction before, is not locked. Locks are taken in one order: a
worker's session, tasks by ascending id, then what hangs on a task, budgets by ascending id. Sweeps look
without a lock first, for they seldom find anything, and pass over rows that others hold: two maintainers
do not wait for each other.
"""

from __future__ import annotations

from typing import Final

from llm_scheduler.stores import (
    cache_statements,
    fallback_statements,
    key_statements,
    money_statements,
    reply_statements,
    statements,
)
from llm_scheduler.stores.portable import accounts, logins, payloads, states

UPDATE: Final = " FOR UPDATE"
SHARE: Final = " LOCK IN SHARE MODE"
SKIP: Final = " FOR UPDATE SKIP LOCKED"

LOCKS: Final = {
    # START is valid while the session lives: whoever buries it waits for the starts under way.
    statements.ALIVE_SESSIONS: SHARE,
    statements.SELECT_STARTABLE: UPDATE,
    statements.SELECT_FENCE: UPDATE,
    statements.SELECT_UNFINISHED: UPDATE,
    statements.SELECT_REVIVABLE: UPDATE,
    statements.SELECT_TERMINAL: UPDATE,
    statements.MODEL_NOW: UPDATE,
    reply_statements.HOLD_REPLY: UPDATE,
    fallback_statements.HOLD_WAITING: UPDATE,
    statements.SELECT_DUE: SKIP,
    statements.SELECT_OVERDUE: SKIP,
    statements.SELECT_ABANDONED: SKIP,
    statements.SELECT_RETIRABLE: SKIP,
    # Who follows a task, or takes its answer, is to see its end, or the end is to see him.
    cache_statements.HOLD_NAMED: SHARE,
    cache_statements.HOLD_ENTRIES: UPDATE,
    cache_statements.SELECT_FOLLOWERS: UPDATE,
    cache_statements.SELECT_SOURCES: SHARE,
    money_statements.HOLD_RESERVATIONS: UPDATE,
    money_statements.HOLD_BUDGETS: UPDATE,
    money_statements.HOLD_EVERY_BUDGET: UPDATE,
    money_statements.SELECT_HELD: SKIP,
    key_statements.HOLD_KEY: UPDATE,
}
INFORMING: Final = frozenset(
    {
        statements.SELECT_KEYS,  # the primary key decides when a key is taken
        statements.SELECT_MODELS,  # under the guard `models`
        statements.COUNT_UNFINISHED,
        statements.SELECT_FINISHED,  # each is locked when it is deleted
        statements.SELECT_OLD_ATTEMPTS,  # changed only by who holds the task
        statements.SELECT_QUEUED,
        statements.SELECT_MOVED,
        statements.SELECT_TENANTS,
        statements.SELECT_STOPS,
        reply_statements.TASK_THERE,  # a task that goes now frees the key of its own a moment later
        states.SELECT_STATE,  # judged by the UPDATE before it
        payloads.SELECT_FADING,  # of tasks that are held
        payloads.SELECT_FADED,  # judged again by the UPDATE
        statements.OLD_ACTIONS,  # judged again by the DELETE
        cache_statements.SELECT_ENTRIES,  # held before they are judged by
        cache_statements.SELECT_WISHES,
        cache_statements.SELECT_LOST_LEADERS,  # their followers are held
        cache_statements.SELECT_LAPSED,  # judged again by the DELETE
        cache_statements.SELECT_LOST_LEADS,
        money_statements.BUDGETS_OF,  # those that count are held before they are judged by
        money_statements.SELECT_NEEDS,  # changed only by who holds the task
        money_statements.SELECT_LEAKED,  # held before they are settled
        money_statements.SUMS,  # under the locks of their budgets
        money_statements.SAME_PRICE,
        money_statements.IMPOSED_ON_MODEL,  # one that is imposed in this moment comes too late for the model
        key_statements.OLD,  # judged again by the DELETE
        logins.COUNTED,  # held by the upsert before it
        logins.KEYS_IN_USE,  # under the guard `sign_up`
        accounts.PERSON,
        accounts.USER_NAMED,  # the unique key decides when a name is taken
        accounts.USER_OF_SUBJECT,
        accounts.ROLES_OF,  # its user is held
    }
)

# Deadlines are few, tasks many: MySQL is told where to begin.
IN_THIS_ORDER: Final = {
    statements.SELECT_OVERDUE: statements.SELECT_OVERDUE.replace("CROSS JOIN", "STRAIGHT_JOIN"),
    cache_statements.NEXT_DUE: cache_statements.NEXT_DUE.replace("CROSS JOIN", "STRAIGHT_JOIN"),
}


def worded(query: str) -> str:
    """The query as this engine should be asked."""
    return IN_THIS_ORDER.get(query, query)


def locking(query: str) -> str | None:
    """The query with its lock; None if it takes none."""
    lock = LOCKS.get(query)
    return None if lock is None else worded(query) + lock


def is_sweep(query: str) -> bool:
    """Whether it seldom finds anything."""
    return LOCKS.get(query) == SKIP
