"""Strict priority, and fairness between tenants among equals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.domain.placement import Placement, ShareRule

if TYPE_CHECKING:
    from llm_scheduler.domain.task import WaitingTask
    from llm_scheduler.ports.strategy import PlacementContext


class Fair:
    """A band for each priority; inside it tenants get tokens in proportion to their weights.

    With one tenant it is the order of `priority`.

    Source: Goyal, Vin, Cheng, "Start-time Fair Queueing" (1996); the tags are kept by the broker.
    """

    name = "fair"
    share_rule = ShareRule.VIRTUAL_TIME

    def place(self, task: WaitingTask, context: PlacementContext) -> Placement:
        """The band is the priority; a claim costs the tenant its estimated tokens, at least one."""
        return Placement(task.priority, task.tenant_id, context.weight, max(1, task.est_tokens), task.queued_at)
