"""Strict priority, and fairness between tenants among equals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.domain.placement import Placement, ShareRule
from llm_scheduler.ports.strategy import NO_OPTIONS
from llm_scheduler.scheduling.bottleneck import cost_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.task import WaitingTask
    from llm_scheduler.ports.strategy import Option, PlacementContext


class Fair:
    """A band for each priority; inside it tenants get capacity in proportion to their weights.

    What a tenant gets by urgency counts: while it also has less urgent work, it gets less of what is left for that.
    With one tenant it is the order of `priority`.

    Source: Goyal, Vin, Cheng, "Start-time Fair Queueing" (1996); the tags are kept by the broker.
    """

    name = "fair"
    share_rule = ShareRule.VIRTUAL_TIME
    options: Mapping[str, Option] = NO_OPTIONS
    reads_backlog = False

    def place(self, task: WaitingTask, context: PlacementContext) -> Placement:
        """The band is the priority; a claim costs the tenant what it strains the lane (see `scheduling.bottleneck`)."""
        return Placement(task.priority, task.tenant_id, context.weight, cost_ms(task, context), task.queued_at)
