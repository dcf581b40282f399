"""Time that passes only when the simulation says so."""

from __future__ import annotations

from typing import Final

from llm_scheduler.domain.ids import Millis

_START: Final = 1_700_000_000_000


class VirtualClock:
    """Implements `ports.clock.Clock`; counts whole microseconds from the beginning of the load."""

    def __init__(self) -> None:
        self.us = 0

    def now(self) -> Millis:
        """Epoch milliseconds; where the count begins does not matter."""
        return Millis(_START + self.us // 1000)

    def monotonic_s(self) -> float:
        """Seconds since the beginning."""
        return self.us / 1_000_000
