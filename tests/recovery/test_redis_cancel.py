"""A cancel that reaches a call to Redis at any moment is heeded: else a loop outlives the stop of its process."""

from __future__ import annotations

import asyncio

import pytest
from tests.rig.shared import empty_redis

from llm_scheduler.brokers.redis.broker import RedisBroker
from llm_scheduler.brokers.redis.connection import open_client
from llm_scheduler.domain.ids import SessionId

MOMENTS = 40


@pytest.mark.parametrize("moment", range(MOMENTS))
async def test_a_cancel_is_heeded_at_every_turn_of_a_first_call(moment: int) -> None:
    """redis-py sends through `asyncio.wait_for`, which swallows some of them on Python 3.11."""
    client = open_client(empty_redis().url)
    broker = RedisBroker(client, prefix="cancel")

    async def loop() -> None:
        while True:
            await broker.lead(SessionId(1), 1.0)
            await asyncio.sleep(10)

    task = asyncio.create_task(loop())
    for _ in range(moment):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=2)
    task.cancel()
    await asyncio.wait({task}, timeout=2)
    await broker.close()

    assert done
