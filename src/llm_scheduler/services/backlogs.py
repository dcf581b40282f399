"""What each tenant has waiting, for strategies that place by it: the broker's sums, and what was placed here since."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from llm_scheduler.domain.errors import BrokerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from llm_scheduler.domain.ids import ModelId, TenantId
    from llm_scheduler.ports.broker import TenantBacklog
    from llm_scheduler.ports.clock import Clock

FRESH_FOR_S: Final = 0.25

_log = structlog.get_logger(__name__)


class Behind(NamedTuple):
    """What a new task of a tenant stands behind: the sum of costs (ms), and tenants with work, itself included."""

    tenant_ms: float
    tenants: int


class Backlogs:
    """Sums of costs by lane and tenant, up to FRESH_FOR_S old.

    Other processes' submits are missing for so long: two that submit at once for one tenant place a little
    too early. An index that is away leaves what was known last.
    """

    def __init__(self, read: Callable[[ModelId], Awaitable[Sequence[TenantBacklog]]], clock: Clock) -> None:
        self._read, self._clock = read, clock
        self._sums: dict[ModelId, dict[TenantId, float]] = {}
        self._read_at_s: dict[ModelId, float] = {}
        self._counting: set[ModelId] = set()

    async def freshen(self, lanes: Iterable[ModelId]) -> None:
        """Ask the broker about those of these lanes that were not asked about lately."""
        now_s = self._clock.monotonic_s()
        for lane in lanes:
            if lane in self._counting or now_s - self._read_at_s.get(lane, float("-inf")) < FRESH_FOR_S:
                continue
            # Before the question: who comes meanwhile goes on with what is known and does not ask, too.
            self._read_at_s[lane] = now_s
            try:
                found = await self._read(lane)
            except BrokerUnavailableError as error:
                _log.warning("backlog_unknown", lane=lane, error=str(error))
                continue
            if lane not in self._counting:
                self._sums[lane] = {one.tenant_id: one.cost for one in found}

    def behind(self, lane: ModelId, tenant_id: TenantId) -> Behind:
        """What a task of this tenant that comes now stands behind."""
        sums = self._sums.get(lane)
        if not sums:
            return Behind(0.0, 1)
        own = sums.get(tenant_id)
        return Behind(0.0, len(sums) + 1) if own is None else Behind(own, len(sums))

    def placed(self, lane: ModelId, tenant_id: TenantId, cost: float) -> None:
        """One more task waits."""
        sums = self._sums.setdefault(lane, {})
        sums[tenant_id] = sums.get(tenant_id, 0.0) + cost

    def count_anew(self, lane: ModelId) -> None:
        """The whole lane is about to be placed again, oldest first: only what is placed from now on counts."""
        self._counting.add(lane)
        self._sums[lane] = {}

    def counted(self, lane: ModelId) -> None:
        """That is done: the broker's sums hold again."""
        self._counting.discard(lane)
        self._read_at_s.pop(lane, None)
