"""By when a fair server would come to it: whoever has much waiting stands further back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.placement import Placement, ShareRule
from llm_scheduler.scheduling.bottleneck import cost_ms
from llm_scheduler.scheduling.classes import SLO_OPTIONS, start_within_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.task import WaitingTask
    from llm_scheduler.ports.strategy import Option, PlacementContext

_LAST: Final = float(1 << 52)


class Backlog:
    """One band; the deadline of the class, later by the time in which a fair server works off the tenant's backlog.

    With n tenants that have work, a tenant gets every n-th second: what it has waiting is done after n times its
    bottleneck time. Options `high_s`, `medium_s`, `low_s` as in `deadline`.
    """

    name = "backlog"
    share_rule = ShareRule.HEAD_ORDER
    options: Mapping[str, Option] = SLO_OPTIONS
    reads_backlog = True

    def place(self, task: WaitingTask, context: PlacementContext) -> Placement:
        """A task that has started before stands by its class alone: its turn had come once."""
        order = task.queued_at + start_within_ms(task.priority, context.options)
        if task.attempt == 0:
            behind_ms = max(1, context.active_tenants) * context.tenant_backlog_ms / context.weight
            order += round(min(behind_ms, _LAST))
        return Placement(0, task.tenant_id, context.weight, cost_ms(task, context), order)
