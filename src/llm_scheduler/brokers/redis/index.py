"""The index in Redis as one process sees it: its shards, and what it heard from them."""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from typing import TYPE_CHECKING, Any, TypeVar
from zlib import crc32

from llm_scheduler.brokers.bell import Bell
from llm_scheduler.brokers.redis.shard import Shard

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from llm_scheduler.brokers.redis.connection import Client
    from llm_scheduler.brokers.redis.shard import Answer, Argument
    from llm_scheduler.domain.ids import ModelId
    from llm_scheduler.ports.clock import Clock

T = TypeVar("T")


class Index:
    """All processes of an installation have the same prefix and as many shards.

    `clock` None: the server's time counts, so that all processes go by one clock.
    """

    def __init__(self, client: Client, clock: Clock | None = None, *, prefix: str = "ls", shards: int = 1) -> None:
        self._client = client
        self._clock = clock
        self._who = secrets.token_hex(8)
        self._shards = [Shard(client, f"{{{prefix}:{number}}}:epoch", self._who, self._now) for number in range(shards)]
        self._bell = Bell()
        self._waiting: dict[int, int] = {}

    def _now(self) -> tuple[Argument, Argument]:
        if self._clock is None:
            return b"", b""
        return self._clock.now(), round(self._clock.monotonic_s() * 1_000_000)

    def _shard(self, lane: ModelId) -> Shard:
        shards = self._shards
        return shards[0] if len(shards) == 1 else shards[crc32(b"%d" % lane) % len(shards)]

    def _by_shard(self, items: Iterable[T], lane_of: Callable[[T], ModelId]) -> dict[Shard, list[T]]:
        found: defaultdict[Shard, list[T]] = defaultdict(list)
        for one in items:
            found[self._shard(lane_of(one))].append(one)
        return found

    def _heard(self, answer: Answer) -> Answer:
        """Note what waits, and ring if a claim of this process may succeed now."""
        self._waiting.update(answer.waiting)
        if answer.is_news:
            self._bell.ring()
        return answer

    @staticmethod
    async def _each(items: dict[Shard, Any], send: Callable[[Shard, Any], Awaitable[None]]) -> None:
        """Every shard gets its part, whatever becomes of the others; then the first failure is raised."""
        answers = await asyncio.gather(*(send(shard, part) for shard, part in items.items()), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
