"""Requests a minute, counted as tokens of a bucket: each bucket is the one number at which it is full (GCRA).

A bucket holds `burst` tokens and gets `per_minute` of them a minute. In any stretch of t seconds at most
`burst + per_minute * t / 60` tokens leave it.
"""

from __future__ import annotations

from math import floor
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable

MOST_BUCKETS: Final = 100_000
LEAST_BURST: Final = 10
_BURST_SHARE: Final = 6
MOST_DEBT_S: Final = 60.0
"""Tokens that were spent before they were asked for hold a bucket shut for at most so long."""
_ROUNDING: Final = 1e-6


class Rule(NamedTuple):
    """How a bucket fills: tokens a minute, and how many it holds."""

    per_minute: int
    burst: int

    @property
    def each_s(self) -> float:
        """Seconds for one token."""
        return 60 / self.per_minute

    @property
    def burst_s(self) -> float:
        """Seconds from empty to full."""
        return self.burst * 60 / self.per_minute

    def shared_by(self, count: int) -> Rule:
        """What each of so many may use if they do not know of each other."""
        return Rule(max(1, self.per_minute // count), max(1, self.burst // count))


def rule_of(per_minute: int) -> Rule:
    """The bucket of a limit: ten seconds of it may come at once, or ten requests, but never more than the limit."""
    return Rule(per_minute, max(min(per_minute, LEAST_BURST), -(-per_minute // _BURST_SHARE)))


class Grant(NamedTuple):
    """What a bucket gave, and how it is now.

    `remaining` tokens are left; `wait_s` until there is one (0 = there is); `reset_s` until it is full.
    """

    granted: int
    remaining: int
    wait_s: float
    reset_s: float


class Buckets:
    """Buckets by key, as many as are in use, up to a bound.

    Beyond it full ones go first, then the longest known: they begin anew, full.
    """

    def __init__(self, most: int = MOST_BUCKETS) -> None:
        self._most = most
        self._full_at_s: dict[Hashable, float] = {}

    def __len__(self) -> int:
        return len(self._full_at_s)

    def take(self, key: Hashable, rule: Rule, now_s: float, spent: int = 0, want: int = 1) -> Grant:
        """Take up to `want` tokens.

        Args:
            key: of the bucket.
            rule: may differ from last time; then what is missing takes as long as it did.
            now_s: never runs backwards.
            spent: tokens that are gone already, whether there are any or not; negative gives some back.
            want: 0 only looks.
        """
        each_s, burst_s = 60 / rule.per_minute, rule.burst_s
        full_at_s = min(max(now_s, self._full_at_s.get(key, now_s)) + spent * each_s, now_s + burst_s + MOST_DEBT_S)
        full_at_s = max(now_s, full_at_s)
        left = floor((now_s + burst_s - full_at_s) / each_s + _ROUNDING)
        granted = min(want, left) if left > 0 else 0
        full_at_s += granted * each_s
        if full_at_s > now_s:
            self._keep(key, full_at_s, now_s)
        else:
            self._full_at_s.pop(key, None)
        remaining = max(0, left - granted)
        wait_s = 0.0 if remaining else max(0.0, full_at_s + each_s - burst_s - now_s)
        return Grant(granted, remaining, wait_s, full_at_s - now_s)

    def _keep(self, key: Hashable, full_at_s: float, now_s: float) -> None:
        if key not in self._full_at_s and len(self._full_at_s) >= self._most:
            self.sweep(now_s)
            for oldest in list(self._full_at_s)[: len(self._full_at_s) - self._most * 9 // 10]:
                del self._full_at_s[oldest]
        self._full_at_s[key] = full_at_s

    def sweep(self, now_s: float) -> None:
        """Let go of what is full."""
        for key in [key for key, full_at_s in self._full_at_s.items() if full_at_s <= now_s]:
            del self._full_at_s[key]
