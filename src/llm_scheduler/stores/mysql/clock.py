"""The database's clock, read from the monotonic clock of this machine."""

from __future__ import annotations

import time
from threading import Lock
from typing import Final

from llm_scheduler.domain.ids import Millis

STALE_AFTER_S: Final = 60.0
"""Between two measurements quartz drifts by some milliseconds at most."""
LONGEST_TRIP_S: Final = 1.0
"""A slower answer says too little about the time; the anchor before it stays."""


class DatabaseClock:
    """The server's time without asking it: an offset to the monotonic clock, measured now and then.

    Steps of this machine's wall clock do not show. Never runs backwards within a process: if a new
    anchor lies behind, the time stands still until it is passed. Before the first anchor it is the
    system's time.
    """

    def __init__(self) -> None:
        self._offset_ms = time.time_ns() // 1_000_000 - time.monotonic() * 1000
        self._anchored_at_s: float | None = None
        self._last = 0
        self._lock = Lock()

    def now(self) -> Millis:
        """Epoch milliseconds in UTC, by the server."""
        now = int(time.monotonic() * 1000 + self._offset_ms)
        with self._lock:
            self._last = now = max(now, self._last)
        return Millis(now)

    def monotonic_s(self) -> float:
        """Seconds since some fixed point."""
        return time.monotonic()

    @property
    def is_stale(self) -> bool:
        """Whether it should be anchored again."""
        return self._anchored_at_s is None or time.monotonic() - self._anchored_at_s > STALE_AFTER_S

    def anchor(self, server_ms: float, asked_at_s: float, answered_at_s: float) -> None:
        """Set by the server's time, taken between two moments of the monotonic clock.

        The first measurement always counts; a later one only if the answer came quickly, and it moves
        the clock only by what cannot be the answer's way.
        """
        trip_s = answered_at_s - asked_at_s
        is_first = self._anchored_at_s is None
        if not is_first and trip_s > LONGEST_TRIP_S:
            self._anchored_at_s = answered_at_s
            return
        measured = server_ms - (asked_at_s + answered_at_s) * 500
        slack = trip_s * 500
        change = measured - self._offset_ms
        if is_first:
            self._offset_ms = measured
        elif abs(change) > slack:
            self._offset_ms += change - slack if change > 0 else change + slack
        self._anchored_at_s = answered_at_s
