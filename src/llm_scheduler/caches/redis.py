"""The shared level: keys `{prefix}:cache:…` in a Redis that any process of the installation reaches.

A value has a byte before it; an empty one is a tombstone: the key was dropped just now, and whoever
read the source before that must not put what he read.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from llm_scheduler.ports.clock import Clock

MAX_VALUE_BYTES: Final = 4 * 1024 * 1024
TIMEOUT_S: Final = 0.25
AWAY_S: Final = 1.0
"""A Redis that failed is left alone for so long: nobody waits for it again and again."""
TOMBSTONE_MS: Final = 5_000
"""Longer than a read of the source takes."""
MOST_OWED: Final = 10_000
_VALUE: Final = b"v"
_log = structlog.get_logger(__name__)


class RedisCache:
    """Copies that expire by themselves.

    Args:
        client: a `redis.asyncio` client of any shape, whose answers are bytes. Closed by who opened it.
        prefix: of every key of this installation.
        clock: for leaving a Redis alone that is away.
        max_value_bytes: larger values are not kept.
    """

    def __init__(self, client: Any, prefix: str, clock: Clock, max_value_bytes: int = MAX_VALUE_BYTES) -> None:
        self._client, self._prefix, self._clock = client, f"{prefix}:cache:", clock
        self._max_value_bytes = max_value_bytes
        self._away_until_s = float("-inf")
        self._is_away = False
        self._owed: set[str] = set()

    async def get(self, key: str) -> bytes | None:
        """See `ports.cache.Cache`."""
        found = await self._ask(lambda: self._client.execute_command("GET", self._prefix + key))
        return bytes(found[1:]) if found else None

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        """See `ports.cache.Cache`."""
        if len(value) <= self._max_value_bytes:
            ttl_ms = max(1, round(ttl_s * 1000))
            words = ("SET", self._prefix + key, _VALUE + value, "PX", ttl_ms, "NX")
            await self._ask(lambda: self._client.execute_command(*words))

    async def drop(self, keys: Sequence[str]) -> None:
        """See `ports.cache.Cache`. What cannot be dropped now is dropped before anything else is asked."""
        self._owed.update(keys)
        if len(self._owed) > MOST_OWED:
            # Each of them lapses by itself; without a bound a long outage would eat memory.
            self._owed = set(sorted(self._owed)[:MOST_OWED])
        await self._ask(_nothing)

    async def _ask(self, command: Callable[[], Awaitable[Any]]) -> Any:
        """The answer, None when Redis is away."""
        if self._clock.monotonic_s() < self._away_until_s:
            return None
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._pay()
                answer = await command()
        except (RedisError, OSError, TimeoutError) as error:
            self._away_until_s = self._clock.monotonic_s() + AWAY_S
            if not self._is_away:
                _log.warning("cache_away", error=str(error) or type(error).__name__)
            self._is_away = True
            return None
        if self._is_away:
            _log.info("cache_back")
        self._is_away = False
        return answer

    async def _pay(self) -> None:
        while self._owed:
            key = next(iter(self._owed))
            await self._client.execute_command("SET", self._prefix + key, b"", "PX", TOMBSTONE_MS)
            self._owed.discard(key)


async def _nothing() -> None:
    return None
