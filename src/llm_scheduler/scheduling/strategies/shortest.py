"""Shortest predicted work first, ageing by construction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.placement import Placement, ShareRule
from llm_scheduler.ports.strategy import Option
from llm_scheduler.scheduling.bottleneck import cost_ms, exact_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.task import WaitingTask
    from llm_scheduler.ports.strategy import PlacementContext

_BETA: Final = Option(300.0, 0.0, 1e12)
_PURE: Final = 1e9
_LAST: Final = float(1 << 52)


class Shortest:
    """One band; a task goes as if it had come `beta` times its own length later than it did.

    So a long task waits at most until what comes after it is younger by that: nothing starves. `beta` 0 is `fifo`;
    from 1e9 on it is pure shortest first, where a long task may wait for ever.
    """

    name = "shortest"
    share_rule = ShareRule.HEAD_ORDER
    options: Mapping[str, Option] = {"beta": _BETA}
    reads_backlog = False

    def place(self, task: WaitingTask, context: PlacementContext) -> Placement:
        """By when it became eligible plus beta times its bottleneck time; in the pure form by that time alone."""
        beta = context.options.get("beta", _BETA.default)
        length_ms = exact_ms(task, context)
        # In the pure form microseconds: tasks of less than a millisecond must differ.
        order = round(length_ms * 1000) if beta >= _PURE else task.queued_at + round(min(beta * length_ms, _LAST))
        return Placement(0, task.tenant_id, context.weight, cost_ms(task, context), order)
