"""What the installation has done: calls of the past, to be replayed under other settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.figures import PastCall
    from llm_scheduler.domain.ids import Millis, TaskId, TenantId


class Mark(NamedTuple):
    """Where a page of history ended: the last call's end, task and attempt."""

    ended_at: Millis
    task_id: TaskId
    attempt: int


class HistoryReads(Protocol):
    """Part of `ports.store.Store`."""

    async def history(
        self, since: Mark, until: Millis, limit: int, tenant_id: TenantId | None = None
    ) -> Sequence[PastCall]:
        """Calls that ended after `since` and before `until`, by (end, task, attempt); of one tenant or of all."""
        ...
