"""How providers count: buckets that refill, fixed windows, true windows. Time is handed in.

A quota says `has_room`, takes with `add`, tells how long to wait, and what it would write into headers: the limit
per minute, what remains, and the seconds until it is reset.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

MINUTE_S = 60.0


class Said(NamedTuple):
    limit: int
    remaining: int
    reset_s: float


class ProviderQuota(Protocol):
    limit: int

    def has_room(self, now_s: float, amount: float) -> bool: ...

    def add(self, now_s: float, amount: float) -> None: ...

    def wait_s(self, now_s: float, amount: float) -> float: ...

    def said(self, now_s: float) -> Said: ...


@dataclass
class Bucket:
    """Refills evenly with `limit` a minute; holds what `depth_s` seconds bring. Reset: until it is full."""

    limit: int
    depth_s: float = MINUTE_S
    _missing: float = 0.0
    _at_s: float = 0.0

    @property
    def depth(self) -> float:
        return self.limit * self.depth_s / MINUTE_S

    def has_room(self, now_s: float, amount: float) -> bool:
        self._refill(now_s)
        return self._missing + amount <= self.depth or (self._missing == 0 and amount > self.depth)

    def add(self, now_s: float, amount: float) -> None:
        self._refill(now_s)
        self._missing += amount

    def wait_s(self, now_s: float, amount: float) -> float:
        self._refill(now_s)
        return max(0.0, self._missing + amount - self.depth) / self.limit * MINUTE_S

    def said(self, now_s: float) -> Said:
        self._refill(now_s)
        return Said(self.limit, int(max(0.0, self.depth - self._missing)), self._missing / self.limit * MINUTE_S)

    def _refill(self, now_s: float) -> None:
        self._missing = max(0.0, self._missing - (now_s - self._at_s) * self.limit / MINUTE_S)
        self._at_s = now_s


@dataclass
class FixedWindow:
    """So much in each stretch of `span_s` seconds, the first of which begins at 0."""

    limit: int
    span_s: float = MINUTE_S
    _used: float = 0.0
    _window: int = 0

    @property
    def per_window(self) -> float:
        return self.limit * self.span_s / MINUTE_S

    def has_room(self, now_s: float, amount: float) -> bool:
        self._turn(now_s)
        return self._used + amount <= self.per_window

    def add(self, now_s: float, amount: float) -> None:
        self._turn(now_s)
        self._used += amount

    def wait_s(self, now_s: float, amount: float) -> float:
        return 0.0 if self.has_room(now_s, amount) else self.said(now_s).reset_s

    def said(self, now_s: float) -> Said:
        self._turn(now_s)
        left = int(self.per_window - self._used)
        return Said(self.limit, max(0, left), (self._window + 1) * self.span_s - now_s)

    def _turn(self, now_s: float) -> None:
        window = int(now_s // self.span_s)
        if window > self._window:
            self._window, self._used = window, 0.0


@dataclass
class SlidingWindow:
    """The sum of the last `span_s` seconds is held below `limit`. Reset: until the oldest part of it leaves."""

    limit: int
    span_s: float = MINUTE_S
    total: float = 0
    entries: deque[tuple[float, float]] = field(default_factory=deque)

    def has_room(self, now_s: float, amount: float) -> bool:
        self._forget(now_s)
        return self.total + amount <= self.limit

    def add(self, now_s: float, amount: float) -> None:
        self.entries.append((now_s, amount))
        self.total += amount

    def wait_s(self, now_s: float, amount: float) -> float:
        """As far as the present entries go."""
        excess = self.total + amount - self.limit
        for at_s, size in self.entries:
            excess -= size
            if excess <= 0:
                return max(0.0, at_s + self.span_s - now_s)
        return self.span_s

    def said(self, now_s: float) -> Said:
        self._forget(now_s)
        reset_s = self.entries[0][0] + self.span_s - now_s if self.entries else 0.0
        return Said(self.limit, int(max(0, self.limit - self.total)), max(0.0, reset_s))

    def _forget(self, now_s: float) -> None:
        while self.entries and self.entries[0][0] <= now_s - self.span_s:
            self.total -= self.entries.popleft()[1]
