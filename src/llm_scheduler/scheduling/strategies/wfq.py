"""Weighted fair queueing: every class of every tenant has a share of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.placement import Placement, ShareRule
from llm_scheduler.ports.strategy import Option
from llm_scheduler.scheduling.bottleneck import cost_ms
from llm_scheduler.scheduling.classes import classes_below_high

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.task import WaitingTask
    from llm_scheduler.ports.strategy import PlacementContext

_PRIORITIES: Final = 16
"""Room for priorities in the number of a share; there are ten."""
_RATIO: Final = Option(8.0, 1.0, 1_000.0)


class WeightedFair:
    """One band. While all have work, high : medium : low get ratio² : ratio : 1 of a tenant's capacity.

    The shares of tenants stand in proportion to their weights only as far as they submit the same classes. With
    `ratio` 1 every (tenant, priority) gets the same.

    Source: Demers, Keshav, Shenker, "Analysis and Simulation of a Fair Queueing Algorithm" (1989); virtual time
    as in `fair`.
    """

    name = "wfq"
    share_rule = ShareRule.VIRTUAL_TIME
    options: Mapping[str, Option] = {"ratio": _RATIO}
    reads_backlog = False

    def place(self, task: WaitingTask, context: PlacementContext) -> Placement:
        """The share is (tenant, priority), its weight the tenant's times the class's."""
        ratio = context.options.get("ratio", _RATIO.default)
        weight = context.weight * ratio ** (2 - classes_below_high(task.priority))
        share = task.tenant_id * _PRIORITIES + task.priority
        return Placement(0, share, weight, cost_ms(task, context), task.queued_at)
