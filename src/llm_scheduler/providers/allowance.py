"""What an answer's headers say is left of the provider's limits, in the many ways that servers say it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llm_scheduler.ports.broker import Unit
from llm_scheduler.ports.provider import NO_ALLOWANCE, Quota
from llm_scheduler.providers.retry_after import instant_of, number_of, wait_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from llm_scheduler.ports.provider import Allowance

MAX_COUNT: Final = 2**53
MAX_RESET_S: Final = 1e6
"""A longer wait (11 days) is neither a duration nor an instant that anyone means."""

Names = tuple[str, str, str]


def _openai(unit: str) -> Names:
    return f"x-ratelimit-limit-{unit}", f"x-ratelimit-remaining-{unit}", f"x-ratelimit-reset-{unit}"


def _anthropic(unit: str) -> Names:
    start = f"anthropic-ratelimit-{unit}"
    return f"{start}-limit", f"{start}-remaining", f"{start}-reset"


HEADERS: Final[Mapping[Unit, tuple[Names, ...]]] = {
    Unit.REQUESTS: (
        _openai("requests"),
        _anthropic("requests"),
        ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"),
        ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"),
    ),
    Unit.TOKENS: (_openai("tokens"), _anthropic("tokens")),
    Unit.INPUT_TOKENS: (_openai("input-tokens"), _anthropic("input-tokens")),
    Unit.OUTPUT_TOKENS: (_openai("output-tokens"), _anthropic("output-tokens")),
}
"""Limit, remaining and reset of each unit; the first family that says what remains is taken.

Sources: OpenAI's and Anthropic's guides to rate limits; the short form is that of many gateways, with and without
the `x-` (draft-ietf-httpapi-ratelimit-headers), and counts requests.
"""


def allowance_of(headers: Mapping[str, str]) -> Allowance:
    """What is left in each unit that the answer speaks of; what cannot be understood is left out.

    Instants are measured against the answer's own `Date`. Never raises.

    Args:
        headers: of the answer, case-insensitive.
    """
    if not any("ratelimit" in name.lower() for name in headers):
        return NO_ALLOWANCE
    now = instant_of(headers.get("date", ""))
    found: dict[Unit, Quota] = {}
    for unit, families in HEADERS.items():
        for names in families:
            quota = _quota(headers, names, now)
            if quota is not None:
                found[unit] = quota
                break
    return found


def _quota(headers: Mapping[str, str], names: Names, now: datetime | None) -> Quota | None:
    """None if it is not said what remains: a limit alone says nothing about now."""
    limit, remaining, reset = (headers.get(name, "") for name in names)
    left = _count(remaining)
    if left is None:
        return None
    return Quota(_count(limit) or None, left, _reset_s(reset, now))


def _count(said: str) -> int | None:
    value = number_of(said.partition(",")[0].partition(";")[0])
    return int(value) if value is not None and 0 <= value <= MAX_COUNT else None


def _reset_s(said: str, now: datetime | None) -> float | None:
    """Seconds until all is back: a Go duration, plain seconds (below 1e6), the epoch (from 1e9) or a date."""
    wait_s = wait_of(said, now)
    if wait_s is None or wait_s >= MAX_RESET_S:
        return None
    return max(wait_s, 0.0)
