"""Token buckets that several processes share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from llm_scheduler.domain.rate import Grant, Rule


class SharedRates(Protocol):
    """Each key is one bucket (see `domain.rate`); the first take makes it, full. What is full is forgotten."""

    async def take(self, key: str, rule: Rule, *, spent: int = 0, want: int = 1) -> Grant:
        """Take up to `want` tokens.

        Args:
            key: short, printable.
            rule: may differ from last time.
            spent: tokens that are gone already, whether there are any or not; negative gives some back.
            want: 0 only looks.

        Raises:
            BrokerUnavailableError: who keeps the buckets does not answer; perhaps the tokens are gone.
        """
        ...
