"""Strict priority, first come, first served among equals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.domain.placement import Placement, ShareRule
from llm_scheduler.ports.strategy import NO_OPTIONS
from llm_scheduler.scheduling.bottleneck import cost_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.task import WaitingTask
    from llm_scheduler.ports.strategy import Option, PlacementContext


class Priority:
    """A band for each priority; inside it the longest eligible goes first, across tenants."""

    name = "priority"
    share_rule = ShareRule.HEAD_ORDER
    options: Mapping[str, Option] = NO_OPTIONS
    reads_backlog = False

    def place(self, task: WaitingTask, context: PlacementContext) -> Placement:
        """The band is the priority, 0 before 9."""
        return Placement(task.priority, task.tenant_id, context.weight, cost_ms(task, context), task.queued_at)
