"""Figures for people: the overview, the days, what was used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from llm_scheduler.domain.status import Status
from llm_scheduler.ports.store import TaskFilter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from llm_scheduler.domain.figures import DayStats, Recent, UsageRow
    from llm_scheduler.domain.ids import Millis, ModelId, TenantId
    from llm_scheduler.domain.session import Session
    from llm_scheduler.ports.broker import Broker, LaneDepth
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.store import Store

K = TypeVar("K")
V = TypeVar("V")
WINDOW_S: Final = 300
_LEAST_AGE_S: Final = 1.0
_AGE_PER_COST: Final = 20
"""A cached figure lives this many times as long as it took to compute, so that figures cost at most 5 % of a reader."""


class Overview(NamedTuple):
    """Everything at a glance. `running`: calls that run now."""

    counts: Mapping[Status, int]
    recent: Recent
    depths: Sequence[LaneDepth]
    workers: Sequence[Session]
    running: int
    at: Millis


class Stats:
    """Reads, each kept for a moment so that many watchers cost one query.

    What a tenant is shown is of its own tasks only; administrators see the whole installation.
    """

    def __init__(self, store: Store, broker: Broker, clock: Clock) -> None:
        self._store, self._broker, self._clock = store, broker, clock
        self._overviews: dict[tuple[TenantId, bool], tuple[float, Overview]] = {}
        self._queues: dict[TenantId, tuple[float, Mapping[ModelId, LaneDepth]]] = {}

    async def overview(self, tenant_id: TenantId, *, is_whole: bool = True) -> Overview:
        """Counts of the tenant; throughput, latencies and queues: of it, or of the whole installation."""

        async def read() -> Overview:
            counts = await self._store.counts(TaskFilter(tenant_id=tenant_id))
            workers = await self.workers()
            if is_whole:
                depths, running = await self._broker.depths(), sum(session.running for session in workers)
            else:
                depths = list((await self.queues(tenant_id)).values())
                running = sum(depth.running for depth in depths)
            return Overview(
                {status: counts.get(status, 0) for status in Status},
                await self._store.recent(WINDOW_S, None if is_whole else tenant_id),
                depths,
                workers,
                running,
                self._clock.now(),
            )

        return await self._fresh(self._overviews, (tenant_id, is_whole), read)

    async def queues(self, tenant_id: TenantId) -> Mapping[ModelId, LaneDepth]:
        """What waits and runs of the tenant, by model."""

        async def read() -> Mapping[ModelId, LaneDepth]:
            return {depth.lane: depth for depth in await self._store.queues(tenant_id)}

        return await self._fresh(self._queues, tenant_id, read)

    async def _fresh(self, kept: dict[K, tuple[float, V]], key: K, read: Callable[[], Awaitable[V]]) -> V:
        began = self._clock.monotonic_s()
        known = kept.get(key)
        if known is not None and began < known[0]:
            return known[1]
        found = await read()
        ended = self._clock.monotonic_s()
        kept[key] = (ended + max(_LEAST_AGE_S, _AGE_PER_COST * (ended - began)), found)
        return found

    async def days(self, first: str, last: str, today: str) -> Sequence[DayStats]:
        """`system_stats` rows between two dates; today's is brought up to date."""
        if first <= today <= last:
            await self._store.roll_up(today)
        return await self._store.days(first, last)

    async def usage(
        self, group_by: str, since: Millis | None, until: Millis | None, tenant_id: TenantId | None
    ) -> Sequence[UsageRow]:
        """Tokens and cost by `model`, `tenant` or `day`, of one tenant or of all."""
        return await self._store.usage(group_by, since, until, tenant_id)

    async def workers(self) -> Sequence[Session]:
        """Sessions that are alive: those that run tasks first, newest first among each kind."""
        return sorted(await self._store.sessions(), key=lambda session: session.role == "api")
