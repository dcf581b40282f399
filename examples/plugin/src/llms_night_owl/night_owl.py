"""Work that is in no hurry waits for the night, unless nobody else wants the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.placement import Placement, ShareRule
from llm_scheduler.ports.strategy import Option
from llm_scheduler.scheduling.bottleneck import cost_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.task import WaitingTask
    from llm_scheduler.ports.strategy import PlacementContext

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
_OPTIONS: Final[Mapping[str, Option]] = {
    "from_h": Option(20.0, 0.0, 24.0),
    "to_h": Option(6.0, 0.0, 24.0),
    "priority": Option(7.0, 0.0, 9.0),
}


class NightOwl:
    """First come, first served; but low priority that comes by day stands as if it came in the evening.

    Options: the night lasts `from_h` to `to_h` (hours, UTC); `priority` and all after it are low.
    """

    name = "night_owl"
    share_rule = ShareRule.HEAD_ORDER
    options = _OPTIONS
    reads_backlog = False

    def place(self, task: WaitingTask, context: PlacementContext) -> Placement:
        """One band, by the time from which the task should go."""
        from_h, to_h, priority = (context.options.get(name, option.default) for name, option in _OPTIONS.items())
        order = task.queued_at
        if task.priority >= priority:
            order = _next_night(order, round(from_h * _HOUR_MS), round(to_h * _HOUR_MS))
        return Placement(0, task.tenant_id, context.weight, cost_ms(task, context), order)


def _next_night(at_ms: int, from_ms: int, to_ms: int) -> int:
    """The same instant, if it lies in a night, else the beginning of the next one."""
    since_midnight = at_ms % _DAY_MS
    is_night = from_ms <= since_midnight < to_ms if from_ms <= to_ms else not to_ms <= since_midnight < from_ms
    if is_night:
        return at_ms
    return at_ms + (from_ms - since_midnight) % _DAY_MS
