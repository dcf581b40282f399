"""What lies between the classes: priority 0 is high, 5 medium, 9 low, and the others stand in between."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.task import FIRST_PRIORITY, LAST_PRIORITY, MEDIUM
from llm_scheduler.ports.strategy import Option

if TYPE_CHECKING:
    from collections.abc import Mapping

_A_MONTH_S: Final = 30 * 86_400.0
SLO_OPTIONS: Final[Mapping[str, Option]] = MappingProxyType(
    {
        "high_s": Option(10.0, 0.0, _A_MONTH_S),
        "medium_s": Option(60.0, 0.0, _A_MONTH_S),
        "low_s": Option(600.0, 0.0, _A_MONTH_S),
    }
)
"""Seconds within which a task of the class should start."""


def classes_below_high(priority: int) -> float:
    """0 at priority 0, 1 at 5, 2 at 9, even steps between."""
    if priority <= MEDIUM:
        return (priority - FIRST_PRIORITY) / (MEDIUM - FIRST_PRIORITY)
    return 1 + (priority - MEDIUM) / (LAST_PRIORITY - MEDIUM)


def start_within_ms(priority: int, options: Mapping[str, float]) -> int:
    """Milliseconds within which a task of that priority should start, by `SLO_OPTIONS`; even steps between classes."""
    high, medium, low = (options.get(name, option.default) for name, option in SLO_OPTIONS.items())
    below = classes_below_high(priority)
    seconds = high + (medium - high) * below if below <= 1 else medium + (low - medium) * (below - 1)
    return round(seconds * 1000)
