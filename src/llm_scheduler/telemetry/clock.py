"""The machine's clock."""

from __future__ import annotations

import time
from threading import Lock

from llm_scheduler.domain.ids import Millis


class SystemClock:
    """Wall time that never runs backwards within a process: a step back stands still until passed."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = Lock()

    def now(self) -> Millis:
        """Epoch milliseconds in UTC."""
        now = time.time_ns() // 1_000_000
        with self._lock:
            if now < self._last:
                now = self._last
            self._last = now
        return Millis(now)

    def monotonic_s(self) -> float:
        """Seconds since some fixed point."""
        return time.monotonic()
