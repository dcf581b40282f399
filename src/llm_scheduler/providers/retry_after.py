"""How long a server asks us to wait, in the many ways that servers say it."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_WAIT_S: Final = 3600.0
_FIRST_EPOCH_S: Final = 1e9
"""A number from here on is an instant, not a duration."""
_DURATION: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|us|µs|ns|s|m|h|d))+")
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|s|m|h|d)")
_UNIT_S: Final[Mapping[str, float]] = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86_400.0,
}
_LIMITS: Final = (
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ("x-ratelimit-remaining", "x-ratelimit-reset"),
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
    ("anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"),
    ("anthropic-ratelimit-output-tokens-remaining", "anthropic-ratelimit-output-tokens-reset"),
)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, at most an hour; None if the server does not say, or not intelligibly.

    Instants are measured against the answer's own `Date`, so that no clock but the server's counts.

    Args:
        headers: of the answer, case-insensitive.
    """
    now = instant_of(headers.get("date", ""))
    wait_s = number_of(headers.get("retry-after-ms", ""))
    if wait_s is not None:
        return _capped(wait_s / 1000)
    wait_s = wait_of(headers.get("retry-after", ""), now)
    if wait_s is not None:
        return _capped(wait_s)
    return _until_reset_s(headers, now)


def wait_of(said: str, now: datetime | None) -> float | None:
    """Seconds that one header value means: a number, a Go duration (`6m0s`), or an instant.

    Args:
        said: the value.
        now: the server's time, without which an instant means nothing.
    """
    said = said.strip()
    value = number_of(said)
    if value is not None:
        if value < _FIRST_EPOCH_S:
            return value
        # Some count the epoch in milliseconds.
        epoch_s = value / 1000 if value >= _FIRST_EPOCH_S * 100 else value
        return epoch_s - now.timestamp() if now else None
    if _DURATION.fullmatch(said):
        return sum(float(amount) * _UNIT_S[unit] for amount, unit in _PART.findall(said))
    instant = instant_of(said)
    return (instant - now).total_seconds() if instant and now else None


def _until_reset_s(headers: Mapping[str, str], now: datetime | None) -> float | None:
    """The longest reset among limits that are used up; if none says so, the shortest of all."""
    used_up: list[float] = []
    others: list[float] = []
    for remaining, reset in _LIMITS:
        wait_s = wait_of(headers.get(reset, ""), now)
        if wait_s is not None:
            (used_up if headers.get(remaining, "").strip() == "0" else others).append(wait_s)
    if used_up:
        return _capped(max(used_up))
    return _capped(min(others)) if others else None


def number_of(said: str) -> float | None:
    """The finite number that the text is; None if it is none."""
    try:
        value = float(said)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def instant_of(said: str) -> datetime | None:
    """The instant that an HTTP or ISO date names, in UTC unless it says otherwise; None if it names none."""
    if not said:
        return None
    try:
        instant = parsedate_to_datetime(said) if said[0].isalpha() else datetime.fromisoformat(said)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _capped(wait_s: float) -> float:
    return min(max(wait_s, 0.0), MAX_WAIT_S)
