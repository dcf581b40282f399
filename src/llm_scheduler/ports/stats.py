"""Figures of what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from llm_scheduler.ports.history import HistoryReads
from llm_scheduler.ports.series import SeriesReads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.figures import DayStats, Recent, UsageRow
    from llm_scheduler.domain.ids import Millis, TenantId
    from llm_scheduler.ports.broker import LaneDepth


class StatsReads(HistoryReads, SeriesReads, Protocol):
    """Figures."""

    async def recent(self, window_s: int, tenant_id: TenantId | None = None) -> Recent:
        """The last `window_s` seconds, of one tenant or of all."""
        ...

    async def usage(
        self, group_by: str, since: Millis | None, until: Millis | None, tenant_id: TenantId | None = None
    ) -> Sequence[UsageRow]:
        """Tokens and cost by `model`, `tenant`, `day` or `key`, of one tenant or of all.

        A key's group is its name and id; '' = tasks that came with none.
        """
        ...

    async def queues(self, tenant_id: TenantId) -> Sequence[LaneDepth]:
        """What waits and runs of one tenant by model, without costs; bands are priorities here."""
        ...

    async def days(self, first: str, last: str) -> Sequence[DayStats]:
        """`system_stats` between two dates (YYYY-MM-DD, inclusive)."""
        ...

    async def roll_up(self, day: str) -> None:
        """Compute and store one day's row of `system_stats`."""
        ...
