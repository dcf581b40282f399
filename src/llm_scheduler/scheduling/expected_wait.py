"""How long a task that is submitted now will wait: what stands before it, and what will push in.

What waits in its own band and in those before takes the lane so many bottleneck seconds (see `bottleneck`). Meanwhile
more comes into the bands before it: if that takes the share rho of the lane, only 1 - rho is left for what is there.
It is exact for one band under a steady limit, a guess for strict bands, and for fair strategies only a rank.

Source: Cobham, "Priority Assignment in Waiting Line Problems" (1954), without the variance of what runs.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

MEMORY_S: Final = 180.0
"""Arrivals fade with this time constant: long enough to be a mean, short enough to follow the hour."""
MOST_SHARE: Final = 0.98
"""Bands before it that take everything: it would wait for ever, which is no answer."""


class ArrivalLoad:
    """What share of the lane the arrivals of each band take, as an exponentially fading mean."""

    def __init__(self) -> None:
        self._loads: dict[int, tuple[float, float]] = {}
        self._since_s: float | None = None

    def note(self, band: int, cost_ms: float, now_s: float) -> None:
        """A task has come that takes the lane so long."""
        if self._since_s is None:
            self._since_s = now_s
        self._loads[band] = (self._faded(band, now_s) + cost_ms / 1000, now_s)

    def share_before(self, band: int, now_s: float) -> float:
        """The share of the lane, from 0 to MOST_SHARE, that bands before this one will take."""
        if self._since_s is None:
            return 0.0
        total_s = sum(self._faded(one, now_s) for one in self._loads if one < band)
        # While there is less history than the memory, the mean is over what there is.
        known_s = MEMORY_S * (1 - math.exp(-(now_s - self._since_s) / MEMORY_S))
        return min(MOST_SHARE, total_s / known_s) if known_s > 1 else 0.0

    def _faded(self, band: int, now_s: float) -> float:
        total_s, at_s = self._loads.get(band, (0.0, now_s))
        return total_s * math.exp(-(now_s - at_s) / MEMORY_S)


def expected_wait_s(cost_by_band: Iterable[tuple[int, float]], band: int, share_before: float = 0.0) -> float:
    """Seconds until a task of this band that is submitted now starts, if all waiting costs are as predicted.

    Args:
        cost_by_band: milliseconds that what waits in each band takes the lane (`LaneDepth.cost_by_band`).
        band: of the task.
        share_before: of the lane, what comes into the bands before it will take (`ArrivalLoad.share_before`).
    """
    ahead_ms = sum(cost for number, cost in cost_by_band if number <= band)
    return ahead_ms / 1000 / (1 - min(MOST_SHARE, max(0.0, share_before)))
