"""What a stub server counts: its limits by the way of counting that it is told, and who called when."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tests.stubs.quotas import MINUTE_S, Bucket, FixedWindow, ProviderQuota, SlidingWindow

WINDOW_S = 60.0


WINDOW_S = MINUTE_S
COUNTINGS: dict[str, Callable[[int, float], ProviderQuota]] = {
    "sliding": SlidingWindow,
    "bucket": Bucket,
    "window": FixedWindow,
}
"""Ways of counting, by the limit per minute and the seconds of the window or of the bucket's depth."""
STYLES = ("", "openai", "azure", "anthropic")
"""Whose rate-limit headers are written."""


@dataclass
class Accounts:
    """Limits (None: no limit) and counts of one server."""

    rpm: int | None = None
    tpm: int | None = None
    span_s: float = WINDOW_S
    counting: str = "sliding"
    style: str = ""

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        count = COUNTINGS[self.counting]
        self.quotas: dict[str, ProviderQuota] = {
            unit: count(limit, self.span_s)
            for unit, limit in (("requests", self.rpm), ("tokens", self.tpm))
            if limit is not None
        }
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
        amounts = {unit: tokens if unit == "tokens" else 1 for unit in self.quotas}
        waits = [
            quota.wait_s(now_s - self.started_s, amounts[unit])
            for unit, quota in self.quotas.items()
            if not quota.has_room(now_s - self.started_s, amounts[unit])
        ]
        if waits:
            self.over_limit += 1
            return max(waits)
        for unit, quota in self.quotas.items():
            quota.add(now_s - self.started_s, amounts[unit])
        self.tokens += tokens
        return None

    def headers(self) -> dict[str, str]:
        """What is left, in the words of `style`."""
        told: dict[str, str] = {}
        for unit, quota in self.quotas.items() if self.style else ():
            said = quota.said(time.monotonic() - self.started_s)
            if self.style == "anthropic":
                at = datetime.now(UTC) + timedelta(seconds=said.reset_s)  # noqa: TID251 - a server's own clock
                values = {"limit": said.limit, "remaining": said.remaining, "reset": f"{at:%Y-%m-%dT%H:%M:%SZ}"}
                told |= {f"anthropic-ratelimit-{unit}-{name}": str(value) for name, value in values.items()}
                continue
            told[f"x-ratelimit-remaining-{unit}"] = str(said.remaining)
            if self.style == "openai":
                told[f"x-ratelimit-limit-{unit}"] = str(said.limit)
                told[f"x-ratelimit-reset-{unit}"] = f"{said.reset_s * 1000:.0f}ms"
        return told

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
