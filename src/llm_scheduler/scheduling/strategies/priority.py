"""Strict priority, first come, first served among equals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.domain.placement import Placement, ShareRule

if TYPE_CHECKING:
    from llm_scheduler.domain.task import WaitingTask
    from llm_scheduler.ports.strategy import PlacementContext


class Priority:
    """A band for each priority; inside it the longest eligible goes first, across tenants."""

    name = "priority"
    share_rule = ShareRule.HEAD_ORDER

    def place(self, task: WaitingTask, context: PlacementContext) -> Placement:
        """The band is the priority, 0 before 9."""
        return Placement(task.priority, task.tenant_id, context.weight, max(1, task.est_tokens), task.queued_at)
