"""Fair across tenants first, priority only inside a tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.placement import Placement, ShareRule
from llm_scheduler.ports.strategy import NO_OPTIONS
from llm_scheduler.scheduling.bottleneck import cost_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.task import WaitingTask
    from llm_scheduler.ports.strategy import Option, PlacementContext

_A_PRIORITY: Final = 1 << 42
"""Milliseconds between two priorities: more than any instant until 2109."""


class TenantFirst:
    """One band; tenants get capacity in proportion to their weights, whatever priorities they ask for."""

    name = "tenant_first"
    share_rule = ShareRule.VIRTUAL_TIME
    options: Mapping[str, Option] = NO_OPTIONS
    reads_backlog = False

    def place(self, task: WaitingTask, context: PlacementContext) -> Placement:
        """The order inside the tenant's share is priority, then time."""
        order = task.priority * _A_PRIORITY + task.queued_at
        return Placement(0, task.tenant_id, context.weight, cost_ms(task, context), order)
