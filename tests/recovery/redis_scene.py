"""Brokers on a Redis of their own, and short words for what its tests do."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.contract.broker_scene import LANE, ME, rules

from llm_scheduler.brokers.redis.broker import RedisBroker
from llm_scheduler.brokers.redis.connection import open_client
from llm_scheduler.domain.errors import BrokerUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from llm_scheduler.ports.broker import LaneRules


@asynccontextmanager
async def opened(url: str, *all_rules: LaneRules, shards: int = 1) -> AsyncIterator[RedisBroker]:
    """A broker with rules, whose index was built."""
    async with joined(url, shards=shards) as broker:
        await broker.set_rules(all_rules or (rules(),))
        await rebuilt(broker)
        yield broker


@asynccontextmanager
async def joined(url: str, shards: int = 1) -> AsyncIterator[RedisBroker]:
    """One more broker on an index, whatever its state."""
    broker = RedisBroker(open_client(url), shards=shards)
    try:
        yield broker
    finally:
        await broker.close()


async def rebuilt(broker: RedisBroker) -> None:
    token = await broker.begin_rebuild()
    assert token is not None
    assert await broker.finish_rebuild(token)


async def ids(broker: RedisBroker, want: int = 99) -> list[int]:
    return [one.task_id for one in (await broker.claim(ME, (LANE,), want)).claims]


async def failed_after_s(call: Callable[[], Awaitable[object]]) -> float:
    """How long the call took to say that the index is away."""
    began = time.monotonic()
    try:
        await call()
    except BrokerUnavailableError:
        return time.monotonic() - began
    raise AssertionError("it was answered")


async def until_answered(call: Callable[[], Awaitable[object]], within_s: float) -> float:
    """Ask until the index answers; seconds that it took. No answer may take over a second."""
    began = time.monotonic()
    while True:
        asked = time.monotonic()
        try:
            await call()
        except BrokerUnavailableError:
            assert time.monotonic() - asked < 1.5
            assert time.monotonic() - began < within_s, "the index did not come back"
        else:
            return time.monotonic() - began
