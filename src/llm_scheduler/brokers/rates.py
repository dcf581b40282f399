"""Token buckets of one process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.domain.rate import Buckets

if TYPE_CHECKING:
    from llm_scheduler.domain.rate import Grant, Rule
    from llm_scheduler.ports.clock import Clock


class MemoryRates:
    """A `ports.rates.SharedRates` for whoever is in the same process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets = Buckets()

    async def take(self, key: str, rule: Rule, *, spent: int = 0, want: int = 1) -> Grant:
        """See `ports.rates.SharedRates`."""
        return self._buckets.take(key, rule, self._clock.monotonic_s(), spent, want)
