"""Earliest deadline first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.domain.placement import Placement, ShareRule
from llm_scheduler.scheduling.bottleneck import cost_ms
from llm_scheduler.scheduling.classes import SLO_OPTIONS, start_within_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.task import WaitingTask
    from llm_scheduler.ports.strategy import Option, PlacementContext


class Deadline:
    """One band; the task that must start soonest goes first, across tenants.

    A task without a deadline of its own has the one of its class: options `high_s`, `medium_s`, `low_s`.

    Source: Liu, Layland, "Scheduling Algorithms for Multiprogramming in a Hard-Real-Time Environment" (1973).
    """

    name = "deadline"
    share_rule = ShareRule.HEAD_ORDER
    options: Mapping[str, Option] = SLO_OPTIONS
    reads_backlog = False

    def place(self, task: WaitingTask, context: PlacementContext) -> Placement:
        """By its own deadline, else by when a task of its class should start."""
        order = task.deadline_at
        if order is None:
            order = task.queued_at + start_within_ms(task.priority, context.options)
        return Placement(0, task.tenant_id, context.weight, cost_ms(task, context), order)
