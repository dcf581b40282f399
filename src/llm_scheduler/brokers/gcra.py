"""Pacing by the generic cell rate algorithm: one number says when a limit is idle again.

All arithmetic is in whole microseconds, so that every implementation and every machine decides alike.

Why no 60 s window ever holds more calls than the limit L: let T be the time one call takes of the
pace, 60 s / (0.98 L). A call starts when `idle_at` is at most TOLERANCE ahead of now. If n calls
start in [s, s + 60 s], `idle_at` is at least s + (n - 1) T before the last one, so
(n - 1) T <= 60 s + TOLERANCE, that is n <= 0.98 L * 60.6 / 60 + 1 = 0.9898 L + 1 < L + 1.
The 612 ms that are left of the bound absorb the jitter between a claim and the provider's clock;
the tolerance (1 % of the limit, at least one call) lets a claim that came late catch up.
"""

from __future__ import annotations

from typing import Final

MINUTE_US: Final = 60_000_000
PACE_PERCENT: Final = 98
"""How much of a limit is handed out."""
TOLERANCE_US: Final = 600_000
"""How far ahead of the pace a start may be: 1 % of a minute."""


def share_of_minute_us(units: int, per_minute: int) -> int:
    """How long so many units occupy a limit of `per_minute`, rounded up."""
    return -(-units * MINUTE_US * 100 // (PACE_PERCENT * per_minute))


class Pace:
    """One limit's theoretical arrival time."""

    __slots__ = ("idle_at_us",)

    def __init__(self) -> None:
        self.idle_at_us = 0

    def wait_us(self, now_us: int) -> int:
        """How long until a start fits; 0 or less = now."""
        return self.idle_at_us - TOLERANCE_US - now_us

    def charge(self, now_us: int, cost_us: int) -> None:
        """Count a start. Time that passed unused is lost, so that no credit gathers."""
        self.idle_at_us = max(now_us, self.idle_at_us) + cost_us

    def cap(self, at_us: int) -> None:
        """Be idle again by then at the latest."""
        self.idle_at_us = min(self.idle_at_us, at_us)

    def correct(self, difference_us: int) -> None:
        """A start cost more (a debt) or less (the next ones come sooner) than it was charged."""
        self.idle_at_us += difference_us
