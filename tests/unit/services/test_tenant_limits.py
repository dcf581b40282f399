"""What the broker is told of tenants: all of it first, then changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from llm_scheduler.domain.ids import DEFAULT_TENANT, ModelId, TenantId
from llm_scheduler.domain.model import Model
from llm_scheduler.domain.tenant import Quotas, Tenant, TenantState
from llm_scheduler.services.catalogue import Catalogue
from llm_scheduler.services.tenant_limits import TenantLimits

if TYPE_CHECKING:
    from llm_scheduler.ports.broker import Broker

ACME = TenantId(2)
MODELS = [
    Model(ModelId(1), DEFAULT_TENANT, "m", "scripted", {}),
    Model(ModelId(2), ACME, "m", "scripted", {}),
    Model(ModelId(3), TenantId(3), "m", "scripted", {}),
]


class Heard:
    """A broker that writes down what it is told."""

    def __init__(self) -> None:
        self.said: list[Any] = []

    async def set_limits(self, limits: Any) -> None:
        self.said.append(dict(limits))

    async def set_tenant_limit(self, tenant_id: int, most: int | None) -> None:
        self.said.append((tenant_id, None, most))

    async def set_lane_limit(self, lane: int, tenant_id: int, most: int | None) -> None:
        self.said.append((tenant_id, lane, most))


async def test_all_is_said_once_and_then_only_what_changes() -> None:
    heard, catalogue = Heard(), Catalogue({}, "fair")
    limits = TenantLimits(cast("Broker", heard), catalogue)

    async def now(**fields: Any) -> Any:
        heard.said.clear()
        catalogue.replace(MODELS, [Tenant(DEFAULT_TENANT, "default"), Tenant(ACME, "acme", **fields)])
        await limits.send()
        return heard.said

    bounded = Quotas(model_workers={"m": 2, "unknown": 1})
    # Both lanes of that name: tasks may wait in the installation's, too.
    assert await now(max_workers=5, quotas=bounded) == [{(2, None): 5, (2, 1): 2, (2, 2): 2}]
    assert await now(max_workers=5, quotas=bounded) == []
    assert await now(max_workers=5, quotas=bounded, state=TenantState.SUSPENDED) == [(2, None, 0)]
    assert await now(max_workers=5) == [(2, None, 5), (2, 1, None), (2, 2, None)]
    assert await now() == [(2, None, None)]
