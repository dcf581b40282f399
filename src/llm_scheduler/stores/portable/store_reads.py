"""`ports.store.TaskReads` and `ports.stats.StatsReads`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.stores import filters, statements
from llm_scheduler.stores.portable import reads, stats
from llm_scheduler.stores.portable.history import HistoryCalls
from llm_scheduler.stores.portable.series import SeriesCalls

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_scheduler.domain.figures import DayStats, Recent, UsageRow
    from llm_scheduler.domain.ids import Millis, TaskId, TenantId
    from llm_scheduler.domain.status import Status
    from llm_scheduler.domain.task import Attempt, Task, TaskLog, WaitingTask
    from llm_scheduler.ports.broker import LaneDepth, PastStart, Slot
    from llm_scheduler.ports.store import Page, TaskFilter


class ReadCalls(HistoryCalls, SeriesCalls):
    """Reading what happened; see the port for what each call promises."""

    async def task(self, task_id: TaskId, tenant_id: TenantId | None = None) -> Task | None:
        """One task with its result."""
        return await self._read(lambda reader: reads.task(reader, task_id, tenant_id))

    async def tasks(
        self, where: TaskFilter, *, limit: int, cursor: str | None = None, is_ascending: bool = False
    ) -> Page:
        """One page by (created_at, id)."""
        order = filters.PageOrder(limit, filters.unpacked_cursor(cursor), is_ascending)
        return await self._read(lambda reader: reads.tasks(reader, where, order), may_lag=True)

    async def counts(self, where: TaskFilter) -> Mapping[Status, int]:
        """How many of each status."""
        return await self._read(lambda reader: reads.counts(reader, where), may_lag=True)

    async def attempts(self, task_id: TaskId) -> Sequence[Attempt]:
        """Starts, oldest first."""
        return await self._read(lambda reader: reads.attempts(reader, task_id))

    async def logs(self, task_id: TaskId, *, limit: int = 500) -> Sequence[TaskLog]:
        """Log lines, oldest first."""
        return await self._read(lambda reader: reads.logs(reader, task_id, limit))

    async def waiting_page(self, after: tuple[Millis, TaskId] | None, limit: int) -> Sequence[WaitingTask]:
        """Queued tasks in order."""
        return await self._read(lambda reader: reads.waiting_page(reader, after, limit))

    async def running(self) -> Sequence[Slot]:
        """Every running task as a slot of its owner."""
        return await self._read(reads.running)

    async def queued_count(self) -> int:
        """How many tasks are QUEUED."""
        return await self._read(lambda reader: reader.value(statements.COUNT_QUEUED))

    async def still_waiting(self, task_ids: Sequence[TaskId]) -> Sequence[WaitingTask]:
        """Those of them that are QUEUED."""
        return await self._read(lambda reader: reads.still_waiting(reader, task_ids))

    async def recent_starts(self, window_s: float) -> Sequence[PastStart]:
        """Attempts that started within the window."""
        since = self._clock.now() - round(window_s * 1000)
        return await self._read(lambda reader: reads.recent_starts(reader, since), is_snapshot=True)

    async def recent(self, window_s: int, tenant_id: TenantId | None = None) -> Recent:
        """The last `window_s` seconds."""
        since = self._clock.now() - window_s * 1000
        return await self._read(
            lambda reader: stats.recent(reader, since, window_s, tenant_id), is_snapshot=True, may_lag=True
        )

    async def usage(
        self, group_by: str, since: Millis | None, until: Millis | None, tenant_id: TenantId | None = None
    ) -> Sequence[UsageRow]:
        """Tokens and cost by `model`, `tenant`, `key` or `day`."""
        return await self._read(lambda reader: stats.usage(reader, group_by, (since, until), tenant_id), may_lag=True)

    async def queues(self, tenant_id: TenantId) -> Sequence[LaneDepth]:
        """What waits and runs of one tenant."""
        return await self._read(lambda reader: stats.queues(reader, tenant_id), may_lag=True)

    async def days(self, first: str, last: str) -> Sequence[DayStats]:
        """Stored days."""
        return await self._read(lambda reader: stats.days(reader, first, last), may_lag=True)

    async def roll_up(self, day: str) -> None:
        """Compute on a reader, so that writing goes on; store the row."""
        figures = await self._read(lambda reader: stats.measure_day(reader, day), is_snapshot=True)
        await self._write(lambda transaction: stats.save_day(transaction, figures))
