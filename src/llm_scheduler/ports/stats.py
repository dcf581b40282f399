"""Figures of what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from llm_scheduler.ports.history import HistoryReads
from llm_scheduler.ports.series import SeriesReads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.figures import DayStats, Recent, UsageRow
    from llm_scheduler.domain.ids import Millis


class StatsReads(HistoryReads, SeriesReads, Protocol):
    """Figures."""

    async def recent(self, window_s: int) -> Recent:
        """The last `window_s` seconds."""
        ...

    async def usage(self, group_by: str, since: Millis | None, until: Millis | None) -> Sequence[UsageRow]:
        """Tokens and cost by `model`, `tenant` or `day`."""
        ...

    async def days(self, first: str, last: str) -> Sequence[DayStats]:
        """`system_stats` between two dates (YYYY-MM-DD, inclusive)."""
        ...

    async def roll_up(self, day: str) -> None:
        """Compute and store one day's row of `system_stats`."""
        ...
