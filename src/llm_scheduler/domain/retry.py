"""How long a failed task waits before its next attempt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

# 2.0**1023 is the last power that a float holds; past it `**` raises instead of saturating.
_LARGEST_EXPONENT: Final = 1000


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Capped exponential back-off with full jitter.

    Args:
        max_retries: attempts after the first that a failing task may have, 0 to 100.
        initial_delay_s: upper bound of the first wait.
        max_delay_s: upper bound of every wait.
        backoff_factor: growth of the bound from one failure to the next, at least 1.

    Raises:
        ValueError: a number is outside its range.
    """

    max_retries: int = 3
    initial_delay_s: float = 1.0
    max_delay_s: float = 60.0
    backoff_factor: float = 2.0

    def __post_init__(self) -> None:
        if not 0 <= self.max_retries <= 100:
            raise ValueError("max_retries must be between 0 and 100")
        if not 0 <= self.initial_delay_s <= 86_400:
            raise ValueError("initial_delay_s must be between 0 and 86400")
        if not 0 <= self.max_delay_s <= 604_800:
            raise ValueError("max_delay_s must be between 0 and 604800")
        if not 1 <= self.backoff_factor <= 100:
            raise ValueError("backoff_factor must be between 1 and 100")

    def delay_s(self, failures: int, rng: Random, retry_after_s: float | None = None) -> float:
        """Seconds to wait before the next attempt.

        Drawn evenly from [0, min(max_delay_s, initial_delay_s * backoff_factor**(failures - 1))],
        but never before the provider's own Retry-After.

        Args:
            failures: attempts that have failed so far, at least 1.
            rng: source of the draw; tests pass a seeded one.
            retry_after_s: what the provider asked for, if it did.

        Raises:
            ValueError: `failures` is below 1.

        Source: Brooker, "Exponential Backoff and Jitter" (2015), "full jitter".
        """
        if failures < 1:
            raise ValueError("failures must be at least 1")
        bound = self.max_delay_s
        if failures - 1 <= _LARGEST_EXPONENT:
            try:
                bound = min(bound, self.initial_delay_s * self.backoff_factor ** (failures - 1))
            except OverflowError:
                bound = self.max_delay_s
        drawn = rng.uniform(0.0, bound)
        return drawn if retry_after_s is None else max(drawn, retry_after_s)
