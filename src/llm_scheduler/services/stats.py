"""Figures for people: the overview, the days, what was used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from llm_scheduler.domain.status import Status
from llm_scheduler.ports.store import TaskFilter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_scheduler.domain.figures import DayStats, Recent, UsageRow
    from llm_scheduler.domain.ids import Millis, TenantId
    from llm_scheduler.domain.session import Session
    from llm_scheduler.ports.broker import Broker, LaneDepth
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.store import Store

WINDOW_S: Final = 300
_LEAST_AGE_S: Final = 1.0
_AGE_PER_COST: Final = 20
"""A cached figure lives this many times as long as it took to compute, so that figures cost at most 5 % of a reader."""


class Overview(NamedTuple):
    """Everything at a glance."""

    counts: Mapping[Status, int]
    recent: Recent
    depths: Sequence[LaneDepth]
    workers: Sequence[Session]
    at: Millis


class Stats:
    """Reads, each kept for a moment so that many watchers cost one query."""

    def __init__(self, store: Store, broker: Broker, clock: Clock) -> None:
        self._store, self._broker, self._clock = store, broker, clock
        self._kept: dict[TenantId | None, tuple[float, Overview]] = {}

    async def overview(self, tenant_id: TenantId | None = None) -> Overview:
        """Counts, throughput, latencies, queues and workers."""
        began = self._clock.monotonic_s()
        kept = self._kept.get(tenant_id)
        if kept is not None and began < kept[0]:
            return kept[1]
        counts = await self._store.counts(TaskFilter(tenant_id=tenant_id))
        overview = Overview(
            {status: counts.get(status, 0) for status in Status},
            await self._store.recent(WINDOW_S),
            await self._broker.depths(),
            await self.workers(),
            self._clock.now(),
        )
        ended = self._clock.monotonic_s()
        self._kept[tenant_id] = (ended + max(_LEAST_AGE_S, _AGE_PER_COST * (ended - began)), overview)
        return overview

    async def days(self, first: str, last: str, today: str) -> Sequence[DayStats]:
        """`system_stats` rows between two dates; today's is brought up to date."""
        if first <= today <= last:
            await self._store.roll_up(today)
        return await self._store.days(first, last)

    async def usage(self, group_by: str, since: Millis | None, until: Millis | None) -> Sequence[UsageRow]:
        """Tokens and cost by `model`, `tenant` or `day`."""
        return await self._store.usage(group_by, since, until)

    async def workers(self) -> Sequence[Session]:
        """Sessions that are alive: those that run tasks first, newest first among each kind."""
        return sorted(await self._store.sessions(), key=lambda session: session.role == "api")
