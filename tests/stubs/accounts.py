"""What a stub server counts: true sliding windows, and who called when."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field

WINDOW_S = 60.0


@dataclass
class Window:
    """The sum of what arrived within the last `span_s` seconds, held below `limit`."""

    limit: int
    span_s: float = WINDOW_S
    total: int = 0
    entries: deque[tuple[float, int]] = field(default_factory=deque)

    def has_room(self, now_s: float, amount: int) -> bool:
        entries = self.entries
        while entries and entries[0][0] <= now_s - self.span_s:
            self.total -= entries.popleft()[1]
        return self.total + amount <= self.limit

    def add(self, now_s: float, amount: int) -> None:
        self.entries.append((now_s, amount))
        self.total += amount

    def wait_s(self, now_s: float, amount: int) -> float:
        """Seconds until `amount` fits, as far as the present entries go."""
        excess = self.total + amount - self.limit
        for at_s, size in self.entries:
            excess -= size
            if excess <= 0:
                return max(0.0, at_s + self.span_s - now_s)
        return self.span_s


@dataclass
class Accounts:
    """Limits (None: no limit) and counts of one server."""

    rpm: int | None = None
    tpm: int | None = None
    span_s: float = WINDOW_S

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.windows: list[tuple[Window, bool]] = []
        if self.rpm is not None:
            self.windows.append((Window(self.rpm, self.span_s), False))
        if self.tpm is not None:
            self.windows.append((Window(self.tpm, self.span_s), True))
        self.started_s = time.monotonic()
        self.calls = self.over_limit = self.errors = self.aborted = self.tokens = 0
        self.running = self.max_concurrency = 0
        self.times: list[float] = []
        self.connections = 0

    def arrive(self, tokens: int) -> float | None:
        """Count a call; None if it may go on, else the seconds that it should have waited."""
        now_s = time.monotonic()
        self.calls += 1
        self.times.append(round(now_s - self.started_s, 4))
        waits = [
            window.wait_s(now_s, tokens if by_tokens else 1)
            for window, by_tokens in self.windows
            if not window.has_room(now_s, tokens if by_tokens else 1)
        ]
        if waits:
            self.over_limit += 1
            return max(waits)
        for window, by_tokens in self.windows:
            window.add(now_s, tokens if by_tokens else 1)
        self.tokens += tokens
        return None

    def begin(self) -> None:
        self.running += 1
        self.max_concurrency = max(self.max_concurrency, self.running)

    def end(self) -> None:
        self.running -= 1

    def stats(self, since_s: float = 0.0) -> dict[str, object]:
        return {
            "calls": self.calls,
            "over_limit": self.over_limit,
            "errors": self.errors,
            "aborted": self.aborted,
            "tokens": self.tokens,
            "running": self.running,
            "max_concurrency": self.max_concurrency,
            "connections": self.connections,
            "uptime_s": time.monotonic() - self.started_s,
            "per_second": {str(second): count for second, count in sorted(Counter(map(int, self.times)).items())},
            "times": [at_s for at_s in self.times if at_s >= since_s],
        }
