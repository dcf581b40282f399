"""How much longer running calls will take, from how long others took and how long these have run.

Most of what is wrong with an estimate that counts what waits only is in what runs: after a row of long calls the
slots come free late, after a row of short ones early.

Source: the mean residual life of a sample, and that of a renewal process met at a random moment, E[d²] / 2 E[d]
(Cox, "Renewal Theory", 1962).
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

LEAST_SAMPLE: Final = 20
"""Fewer calls tell nothing."""
MOST_SAMPLE: Final = 500
"""The latest are enough: on trace F 200, 500 and 2 000 give the same error within a point."""
_TRUST: Final = 0.5
"""How much of the difference counts. By the end of the wait other calls run, and of these nothing is known.

Of 0, .25, .5, .75 and 1 on trace F this gives the least error (.153, .141, .141, .146, .153).
"""


class Durations:
    """A sample of seconds that calls took; empty is allowed."""

    def __init__(self, seconds: Iterable[float] = ()) -> None:
        self._sorted = sorted(seconds)
        self._sums = list(accumulate(self._sorted, initial=0.0))
        whole = self._sums[-1]
        self.mean_left_s = sum(one * one for one in self._sorted) / (2 * whole) if whole > 0 else 0.0
        """What is left of a call that is met at a random moment, in the mean."""

    def left_s(self, age_s: float) -> float:
        """What is left of a call that has run for so long, in the mean; of one that outran all, `mean_left_s`."""
        shorter = bisect_right(self._sorted, age_s)
        longer = len(self._sorted) - shorter
        if not longer:
            return self.mean_left_s
        return (self._sums[-1] - self._sums[shorter]) / longer - age_s

    def surplus_s(self, ages_s: Iterable[float]) -> float:
        """By how much calls of these ages take longer than if met at random moments; negative if less."""
        if len(self._sorted) < LEAST_SAMPLE:
            return 0.0
        return _TRUST * sum(self.left_s(age_s) - self.mean_left_s for age_s in ages_s)
