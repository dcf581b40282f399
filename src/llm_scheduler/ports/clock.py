"""The time, as it is handed to everyone who needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from llm_scheduler.domain.ids import Millis


class Clock(Protocol):
    """Wall time for records, monotonic time for durations."""

    def now(self) -> Millis:
        """Epoch milliseconds in UTC; never runs backwards within a process."""
        ...

    def monotonic_s(self) -> float:
        """Seconds since some fixed point; unaffected by clock changes."""
        ...
