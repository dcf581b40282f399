"""How much happened in the last minute, in buckets of a second."""

from __future__ import annotations

from typing import Final

_SECONDS: Final = 60


class Minute:
    """Calls and tokens of the last 60 seconds, exact to a second."""

    __slots__ = ("_at", "_calls", "_tokens")

    def __init__(self) -> None:
        self._calls, self._tokens = [0] * _SECONDS, [0] * _SECONDS
        self._at = 0

    def add(self, at_s: float, calls: int, tokens: int) -> None:
        """Something happened at that monotonic second."""
        place = self._turned(at_s)
        self._calls[place] += calls
        self._tokens[place] += tokens

    def sums(self, at_s: float) -> tuple[int, int]:
        """(calls, tokens) since a minute ago."""
        self._turned(at_s)
        return sum(self._calls), sum(self._tokens)

    def _turned(self, at_s: float) -> int:
        now = int(at_s)
        for second in range(max(self._at + 1, now - _SECONDS + 1), now + 1):
            self._calls[second % _SECONDS] = self._tokens[second % _SECONDS] = 0
        self._at = max(self._at, now)
        return self._at % _SECONDS
