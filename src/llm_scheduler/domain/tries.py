"""How long to wait after failed attempts: a count that fades, and a delay that doubles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from llm_scheduler.domain.ids import Millis

FREE_TRIES: Final = 5
"""Failures that cost nothing."""
LONGEST_WAIT_S: Final = 300
FADE_MS: Final = 300_000
"""After so long without an attempt, the wait aside, one failure is forgotten."""
KEPT_MS: Final = 24 * FADE_MS
"""After this long nothing is left of any count that can be reached."""
_MOST: Final = FREE_TRIES + 10


class Tries(NamedTuple):
    """Attempts of a name or an address. `failures` is as of `at`; nothing may be tried before `until`."""

    failures: float = 0.0
    at: int = 0
    until: int = 0

    def left_at(self, now: Millis) -> float:
        """What is not forgotten yet."""
        return max(0.0, self.failures - max(0, now - max(self.at, self.until)) / FADE_MS)

    def wait_ms(self, now: Millis) -> int:
        """How long until the next attempt may be made."""
        return max(0, self.until - now)

    def failed(self, now: Millis) -> Tries:
        """One more attempt, which counts as a failure until it turns out well."""
        failures = min(_MOST, self.left_at(now) + 1)
        # Half a failure is what fades while a person types: it must not buy a whole step.
        over = int(failures + 0.5) - FREE_TRIES
        wait_s = 0 if over < 0 else min(LONGEST_WAIT_S, 2**over)
        return Tries(failures, now, now + wait_s * 1000)

    def forgiven(self, now: Millis, failures: float = 1.0) -> Tries:
        """That many of them were none."""
        left = max(0.0, self.left_at(now) - failures)
        return Tries(left, now, self.until if left >= FREE_TRIES else 0)
