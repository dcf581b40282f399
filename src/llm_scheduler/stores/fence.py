"""Who wins when an attempt ends: the fence of `record`, as a function of the row and the end."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Any, NamedTuple

from llm_scheduler.domain.status import TERMINAL, Status

if TYPE_CHECKING:
    from llm_scheduler.domain.outcome import Ended


class FenceRow(NamedTuple):
    """The columns of a task that the fence looks at, in the order of `statements.FENCE`."""

    id: int
    status: str
    attempt: int
    owner: int | None
    generation: int
    cancel: int
    retry_count: int
    max_retries: int
    queued_at: int | None
    eligible_at: int
    deadline_at: int | None
    model_id: int = 0


class Verdict(Enum):
    """What to do with an end."""

    ACCEPT = auto()
    """It comes from the owner of the running attempt."""
    ACCEPT_AS_CANCELLED = auto()
    """So it does, but a cancel was asked meanwhile."""
    ASK = auto()
    """A replay, or late: the attempt's own row tells."""


class OldAttempt(NamedTuple):
    """What an attempt's row says, in the order of `statements.OLD_ATTEMPT`."""

    task_id: int
    attempt: int
    session_id: int
    is_accepted: int
    outcome: str | None


def judge(row: FenceRow, end: Ended) -> Verdict:
    """The quick answer, from the task's row alone."""
    is_owner = row.status == Status.RUNNING and row.attempt == end.attempt and row.owner == end.session_id
    if not is_owner:
        return Verdict.ASK
    return Verdict.ACCEPT_AS_CANCELLED if row.cancel else Verdict.ACCEPT


def is_salvage(row: FenceRow, end: Ended, old: OldAttempt) -> bool:
    """Whether a late success counts: it was paid for, and nothing better is there."""
    return (
        end.status is Status.COMPLETED
        and row.status not in TERMINAL
        and not row.cancel
        and row.generation == end.generation
        and row.attempt >= end.attempt
        and old.session_id == end.session_id
    )


def is_replay(end: Ended, old: OldAttempt) -> bool:
    """Whether this very end was accepted before."""
    return bool(old.is_accepted) and old.session_id == end.session_id and old.outcome == end.outcome


def fence_row(values: list[Any]) -> FenceRow:
    """From the columns `statements.FENCE`."""
    return FenceRow(*values)
