"""Token buckets that the processes of an installation share: one key each, which lapses when the bucket is full."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from redis.exceptions import RedisError

from llm_scheduler.brokers.redis.scripts import RATE
from llm_scheduler.domain.errors import BrokerUnavailableError
from llm_scheduler.domain.rate import MOST_DEBT_S, Grant

if TYPE_CHECKING:
    from llm_scheduler.brokers.redis.connection import Client
    from llm_scheduler.domain.rate import Rule

TIMEOUT_S: Final = 0.5
_CALLS_AT_ONCE: Final = 16


class RedisRates:
    """A `ports.rates.SharedRates`.

    Args:
        client: what `open_client` gives; closed by who opened it.
        prefix: of every key of this installation.
    """

    def __init__(self, client: Client, prefix: str) -> None:
        self._client, self._prefix = client, f"{prefix}:rate:"
        self._calls = asyncio.Semaphore(_CALLS_AT_ONCE)

    async def take(self, key: str, rule: Rule, *, spent: int = 0, want: int = 1) -> Grant:
        """See `ports.rates.SharedRates`."""
        numbers = (rule.each_s * 1e6, rule.burst_s * 1e6, spent, want, MOST_DEBT_S * 1e6)
        arguments = [repr(number) for number in numbers]
        try:
            async with asyncio.timeout(TIMEOUT_S), self._calls:
                granted, remaining, wait_us, reset_us = await RATE.run(self._client, self._prefix + key, arguments)
        except (RedisError, OSError, TimeoutError) as error:
            raise BrokerUnavailableError(str(error) or type(error).__name__) from error
        return Grant(granted, remaining, wait_us / 1e6, reset_us / 1e6)
