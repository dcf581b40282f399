"""The words of a task's log, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from llm_scheduler.domain.status import Status
from llm_scheduler.domain.task import AttemptOutcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.outcome import Ended
    from llm_scheduler.stores.portable.access import Transaction

LOG_ROW: Final = ("id", "task_id", "tenant_id", "level", "created_at", "message", "data")


class Line(NamedTuple):
    """One line on its way to `task_logs`."""

    task_id: int
    tenant_id: int
    level: str
    message: str
    data: str | None = None


def write(transaction: Transaction, lines: Sequence[Line]) -> None:
    """Append lines, dated now."""
    if not lines:
        return
    now = transaction.now
    ids = transaction.new_ids("task_logs", len(lines))
    rows = [
        (log_id, task_id, tenant_id, level, now, message, data)
        for log_id, (task_id, tenant_id, level, message, data) in zip(ids, lines, strict=True)
    ]
    transaction.insert("task_logs", LOG_ROW, rows)


def started(attempt: int) -> str:
    """START won."""
    return "started" if attempt == 1 else f"started, attempt {attempt}"


def ended(end: Ended, status: Status, retries: int, max_retries: int) -> tuple[str, str]:
    """Level and words for an accepted end; `status` is where the task went, `retries` after this end."""
    why = end.error.message if end.error is not None else ""
    note = f"; {end.note}" if end.note else ""
    match status:
        case Status.COMPLETED:
            return "info", f"completed in {_seconds(end.ended_at - end.started_at)}"
        case Status.CANCELLED:
            return "info", "cancelled while it ran"
        case Status.EXPIRED:
            return "warning", f"expired: {why or 'its deadline passed while it ran'}"
        case Status.FAILED:
            reason = f" ({end.dead_reason.replace('_', ' ')})" if end.dead_reason is not None else ""
            return "error", f"failed: {why or end.outcome}{reason}{note}"
        case Status.SCHEDULED:
            wait = _seconds(max((end.eligible_at or end.ended_at) - end.ended_at, 0))
            count = f"retry {retries} of {max_retries}" if end.counts_retry else "tried again"
            return "warning", f"failed: {why or end.outcome}; {count} in {wait}{note}"
        case _:
            if end.outcome is AttemptOutcome.RATE_LIMITED:
                if end.error is not None and end.error.code == "insufficient_quota" and end.next_model_id is None:
                    return "error", f"the provider's account is used up: {why}; keeps its place until it is topped up"
                return "warning", f"rate limited; keeps its place{note}"
            if end.next_model_id is not None:
                return "warning", f"failed: {why or end.outcome}{note}"
            return "info", f"put back ({why or end.outcome}); keeps its place{note}"


def refused(end: Ended, status: str) -> tuple[str, str]:
    """Level and words for an end that came too late."""
    return "warning", f"attempt {end.attempt} ended late ({end.outcome}); the task is {status}, nothing changed"


def _seconds(ms: int) -> str:
    return f"{ms / 1000:.1f} s"
