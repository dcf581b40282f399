"""How many of a model's calls may be retries, so that an outage is not multiplied by those who try again.

Within the last minute at most a share of the calls, and in any case so many that one a second is never refused.
Source: Twitter Finagle, `RetryBudget` (a share of recent requests plus a minimum per second, over a window).
"""

from __future__ import annotations

from typing import Final

WINDOW_S: Final = 60
FLOOR_PER_S: Final = 1


class RetryBudget:
    """One model's, as one process sees it: counts in buckets of a second.

    Times are monotonic seconds; one that lies before an earlier one counts as that.
    """

    __slots__ = ("_calls", "_retries", "_second")

    def __init__(self) -> None:
        self._second = 0
        self._calls = [0] * WINDOW_S
        self._retries = [0] * WINDOW_S

    def called(self, now_s: float) -> None:
        """A call begins, be it the first of its task or a retry."""
        self._calls[self._place(now_s)] += 1

    def takes(self, now_s: float, share: float | None) -> bool:
        """Whether there is room for one more retry; if so, it is counted.

        Args:
            now_s: monotonic seconds.
            share: of the calls of the last minute, 0 to 1; None = no bound.
        """
        place = self._place(now_s)
        if share is not None and sum(self._retries) + 1 > share * sum(self._calls) + WINDOW_S * FLOOR_PER_S:
            return False
        self._retries[place] += 1
        return True

    def _place(self, now_s: float) -> int:
        """The bucket of this second; those that have passed since the last look are emptied."""
        second = max(self._second, int(now_s))
        for passed in range(max(self._second + 1, second - WINDOW_S + 1), second + 1):
            self._calls[passed % WINDOW_S] = self._retries[passed % WINDOW_S] = 0
        self._second = second
        return second % WINDOW_S
