"""Tokens of the calls that started within the last minute, so that no true 60 s window exceeds TPM.

GCRA alone cannot promise that for tokens. One request may be a large part of the limit, and a
reservation that is given back late (the call began a minute ago, its refund arrives now) would pay for
new calls although its own place in the window is long gone. So a call is counted in the slice of time
in which it started, a settled one is corrected in that same slice, and a start must fit into what the
slices hold. A slice is forgotten only when its latest possible start is more than 60.5 s ago; the half
second is for jitter between a claim and the provider's clock.
"""

from __future__ import annotations

from typing import Final

SLICE_US: Final = 100_000
SLICES: Final = 606
"""60.5 s, and one slice more because a start may stand at a slice's end."""


class TokenWindow:
    """A ring of slices and their sum."""

    __slots__ = ("_newest", "_tokens", "_total")

    def __init__(self) -> None:
        self._tokens = [0] * SLICES
        self._newest = 0
        self._total = 0

    def wait_us(self, now_us: int, tokens: int, per_minute: int) -> int:
        """How long until a start with so many tokens fits; 0 = now.

        A request larger than the whole limit fits when nothing else is left in the window.
        """
        self._advance(now_us)
        left = self._total
        if left == 0 or left + tokens <= per_minute:
            return 0
        for slice_ in range(self._newest - SLICES + 1, self._newest + 1):
            left -= self._tokens[slice_ % SLICES]
            if left == 0 or left + tokens <= per_minute:
                return (slice_ + SLICES) * SLICE_US - now_us
        raise AssertionError("the sum of the slices is their total")

    def add(self, now_us: int, tokens: int) -> int:
        """Count a start; the answer names its slice, for `correct`."""
        self._advance(now_us)
        self._tokens[self._newest % SLICES] += tokens
        self._total += tokens
        return self._newest

    def correct(self, now_us: int, slice_: int, difference: int) -> None:
        """A start used more or fewer tokens than were counted; too late is as good as never."""
        self._advance(now_us)
        if slice_ > self._newest - SLICES:
            self._tokens[slice_ % SLICES] += difference
            self._total += difference

    def _advance(self, now_us: int) -> None:
        newest = now_us // SLICE_US
        first_stale = max(self._newest + 1, newest - SLICES + 1)
        for slice_ in range(first_stale, newest + 1):
            self._total -= self._tokens[slice_ % SLICES]
            self._tokens[slice_ % SLICES] = 0
        self._newest = max(self._newest, newest)
