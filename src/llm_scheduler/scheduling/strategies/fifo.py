"""First come, first served, whatever the priority."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.domain.placement import Placement, ShareRule

if TYPE_CHECKING:
    from llm_scheduler.domain.task import WaitingTask
    from llm_scheduler.ports.strategy import PlacementContext


class Fifo:
    """One band; the task that has been eligible longest goes first, across tenants."""

    name = "fifo"
    share_rule = ShareRule.HEAD_ORDER

    def place(self, task: WaitingTask, context: PlacementContext) -> Placement:
        """Everything stands in one band, by the time it became eligible."""
        return Placement(0, task.tenant_id, context.weight, max(1, task.est_tokens), task.queued_at)
