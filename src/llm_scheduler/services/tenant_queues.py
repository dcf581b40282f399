"""How many unfinished tasks a tenant has, for those whose number is bounded.

Counted in the record now and then, and kept in between by what is submitted here. In one process no task too many is
taken. Of several each knows what the others took as of its last count: together they take at most what the others took
within a count's life (`FRESH_S`, or twenty times as long as counting took) too many. A refusal goes by a count that is
at most `RECOUNT_S` old. A task that is retried is not refused, and counts from the next count on.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.errors import TenantQueueFullError
from llm_scheduler.domain.status import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from llm_scheduler.domain.ids import TenantId
    from llm_scheduler.domain.task import NewTask
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.people import PeopleMoves
    from llm_scheduler.ports.store import Submitted
    from llm_scheduler.services.catalogue import Catalogue

    Record = Callable[[Sequence[NewTask]], Awaitable[Sequence[Submitted]]]

FRESH_S: Final = 1.0
RECOUNT_S: Final = 0.25
_AGE_PER_COST: Final = 20
"""A count lives this many times as long as it took, so that counting costs at most 5 % of a reader."""
_RETRY_AFTER_S: Final = 5


class _Known:
    """`counted` by the record; `since` taken here after that count began, or under way then."""

    __slots__ = ("carried", "counted", "counted_at_s", "counting", "lives_s", "since", "under_way")

    def __init__(self) -> None:
        self.counted = self.since = self.under_way = 0
        self.carried = 0
        """What becomes `since` when the count under way is there."""
        self.counted_at_s, self.lives_s = float("-inf"), FRESH_S
        self.counting = asyncio.Lock()

    @property
    def total(self) -> int:
        return self.counted + self.since

    def took(self, count: int) -> None:
        self.since += count
        self.carried += count


class TenantQueues:
    """Room for a tenant's tasks: taken before they are recorded, given back for those that were not."""

    def __init__(self, store: PeopleMoves, catalogue: Catalogue, clock: Clock) -> None:
        self._store, self._catalogue, self._clock = store, catalogue, clock
        self._known: dict[TenantId, _Known] = {}

    async def within(self, tasks: Sequence[NewTask], record: Record) -> Sequence[Submitted]:
        """Record them if their tenants may have so many.

        Raises:
            TenantQueueFullError: they may not; nothing was recorded.
        """
        wanted = Counter(task.tenant_id for task in tasks)
        taken: list[TenantId] = []
        added: Counter[TenantId] = Counter()
        try:
            for tenant_id, count in wanted.items():
                if await self.take(tenant_id, count):
                    taken.append(tenant_id)
            stored = await record(tasks)
            if taken:
                pairs = zip(tasks, stored, strict=True)
                added.update(task.tenant_id for task, done in pairs if done.is_new and done.status not in TERMINAL)
            return stored
        finally:
            for tenant_id in taken:
                self.settle(tenant_id, wanted[tenant_id], added[tenant_id])

    async def take(self, tenant_id: TenantId, count: int) -> bool:
        """Room for so many tasks; whether `settle` is to be told of them.

        Raises:
            TenantQueueFullError: they do not fit; nothing was taken.
        """
        tenant = self._catalogue.tenants_by_id.get(tenant_id)
        limit = None if tenant is None else tenant.quotas.max_queued
        if limit is None:
            return False
        known = self._known.setdefault(tenant_id, _Known())
        if self._age_s(known) >= known.lives_s:
            await self._count(tenant_id, known, known.lives_s)
        if known.total + count > limit:
            await self._count(tenant_id, known, RECOUNT_S)
        # From here on nobody else has a turn: who comes next sees these.
        if known.total + count > limit:
            raise TenantQueueFullError(known.total, limit, count, _RETRY_AFTER_S)
        known.took(count)
        known.under_way += count
        return True

    def settle(self, tenant_id: TenantId, count: int, added: int) -> None:
        """So many of those that room was taken for are recorded and not over; the others need none."""
        known = self._known[tenant_id]
        known.under_way -= count
        known.took(added - count)

    async def _count(self, tenant_id: TenantId, known: _Known, oldest_s: float) -> None:
        """Ask the record, unless somebody just did."""
        async with known.counting:
            if self._age_s(known) < oldest_s:
                return
            began_s = self._clock.monotonic_s()
            known.carried = known.under_way
            counted = await self._store.unfinished(tenant_id)
            known.counted, known.since = counted, known.carried
            cost_s = self._clock.monotonic_s() - began_s
            known.counted_at_s, known.lives_s = began_s, max(FRESH_S, _AGE_PER_COST * cost_s)

    def _age_s(self, known: _Known) -> float:
        return self._clock.monotonic_s() - known.counted_at_s
