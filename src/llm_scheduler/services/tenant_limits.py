"""What tenants may run at once, told to the broker: in each lane, in single ones, or (suspended) nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from llm_scheduler.domain.ids import DEFAULT_TENANT
from llm_scheduler.domain.tenant import TenantState

if TYPE_CHECKING:
    from llm_scheduler.domain.ids import ModelId, TenantId
    from llm_scheduler.ports.broker import Broker
    from llm_scheduler.services.catalogue import Catalogue

    Limits = dict[tuple[TenantId, ModelId | None], int]
    """By tenant and lane; None: each lane."""


class TenantLimits:
    """Sends all limits first, then what has changed since they were sent last.

    An index outlives processes: one that ended between a change and telling of it must leave nothing behind.
    """

    def __init__(self, broker: Broker, catalogue: Catalogue) -> None:
        self._broker, self._catalogue = broker, catalogue
        self._sent: Limits | None = None
        self._sending = asyncio.Lock()

    async def send(self) -> None:
        """Have the broker go by the catalogue."""
        async with self._sending:
            wanted = self._wanted()
            if self._sent is None:
                await self._broker.set_limits(wanted)
                self._sent = wanted
            for limit in sorted(self._sent.keys() | wanted.keys(), key=lambda one: (one[0], one[1] or 0)):
                most = wanted.get(limit)
                if most == self._sent.get(limit):
                    continue
                tenant_id, lane = limit
                if lane is None:
                    await self._broker.set_tenant_limit(tenant_id, most)
                else:
                    await self._broker.set_lane_limit(lane, tenant_id, most)
                if most is None:
                    del self._sent[limit]
                else:
                    self._sent[limit] = most

    def _wanted(self) -> Limits:
        lanes: dict[tuple[TenantId, str], ModelId] = {}
        for model in self._catalogue.models():
            lanes[model.tenant_id, model.name] = model.id
        wanted: Limits = {}
        for tenant in self._catalogue.tenants():
            if tenant.state is TenantState.SUSPENDED:
                wanted[tenant.id, None] = 0
            elif tenant.max_workers is not None:
                wanted[tenant.id, None] = tenant.max_workers
            for name, most in tenant.quotas.model_workers.items():
                # Its own model goes first, but tasks may still wait for the installation's of this name.
                for owner in (tenant.id, DEFAULT_TENANT):
                    if (owner, name) in lanes:
                        wanted[tenant.id, lanes[owner, name]] = most
        return wanted
