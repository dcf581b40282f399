"""The life of a task: its statuses, and which may follow which."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class Status(StrEnum):
    """Where a task stands."""

    BLOCKED = "blocked"
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    HELD = "held"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class DeadReason(StrEnum):
    """Why a failed task is a dead letter."""

    RETRIES_EXHAUSTED = "retries_exhausted"
    NOT_RETRYABLE = "not_retryable"
    WORKER_CRASHES = "worker_crashes"
    RETRY_BUDGET = "retry_budget"
    """Its last retry found no room among those of its model."""


WAITING: Final = frozenset({Status.BLOCKED, Status.SCHEDULED, Status.QUEUED, Status.HELD})
TERMINAL: Final = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.EXPIRED})

MOVES: Final[Mapping[Status, frozenset[Status]]] = {
    Status.BLOCKED: frozenset({Status.SCHEDULED, Status.QUEUED, Status.CANCELLED, Status.EXPIRED}),
    Status.SCHEDULED: frozenset({Status.QUEUED, Status.COMPLETED, Status.CANCELLED, Status.EXPIRED}),
    Status.QUEUED: frozenset({Status.RUNNING, Status.HELD, Status.COMPLETED, Status.CANCELLED, Status.EXPIRED}),
    Status.HELD: frozenset({Status.QUEUED, Status.COMPLETED, Status.CANCELLED, Status.EXPIRED}),
    Status.RUNNING: frozenset(
        {
            Status.COMPLETED,
            Status.QUEUED,
            Status.SCHEDULED,
            Status.FAILED,
            Status.CANCELLED,
            Status.EXPIRED,
        }
    ),
    Status.COMPLETED: frozenset(),
    # Only a person revives a dead letter or a cancelled task.
    Status.FAILED: frozenset({Status.QUEUED}),
    Status.CANCELLED: frozenset({Status.QUEUED}),
    Status.EXPIRED: frozenset(),
}


def may_move(here: Status, there: Status) -> bool:
    """Whether a task may go from one status to the other."""
    return there in MOVES[here]
