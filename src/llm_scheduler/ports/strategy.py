"""A strategy places, a broker sorts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from llm_scheduler.domain.placement import Placement, ShareRule
    from llm_scheduler.domain.task import WaitingTask


class PlacementContext(NamedTuple):
    """What a strategy may look at besides the task."""

    weight: float
    """The tenant's weight, above 0."""


class Strategy(Protocol):
    """Pure: same task, same context, same placement. No clock, no I/O, under 50 µs."""

    name: str
    share_rule: ShareRule

    def place(self, task: WaitingTask, context: PlacementContext) -> Placement:
        """Where the task stands in its lane."""
        ...
