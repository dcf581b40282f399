"""First come, first served, whatever the priority."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.domain.placement import Placement, ShareRule
from llm_scheduler.ports.strategy import NO_OPTIONS
from llm_scheduler.scheduling.bottleneck import cost_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.task import WaitingTask
    from llm_scheduler.ports.strategy import Option, PlacementContext


class Fifo:
    """One band; the task that has been eligible longest goes first, across tenants."""

    name = "fifo"
    share_rule = ShareRule.HEAD_ORDER
    options: Mapping[str, Option] = NO_OPTIONS
    reads_backlog = False

    def place(self, task: WaitingTask, context: PlacementContext) -> Placement:
        """Everything stands in one band, by the time it became eligible."""
        return Placement(0, task.tenant_id, context.weight, cost_ms(task, context), task.queued_at)
