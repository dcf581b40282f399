"""A cancel that reaches Redis or the database at any moment is heeded: else a loop outlives the stop of its process."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

import pytest
from tests.contract.store_scene import mysql_store, opened
from tests.rig.shared import empty_redis

from llm_scheduler.brokers.redis.broker import RedisBroker
from llm_scheduler.brokers.redis.connection import open_client
from llm_scheduler.caches.redis import RedisCache
from llm_scheduler.domain.ids import SessionId
from llm_scheduler.telemetry.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

# A connection whose opening was cut is closed by the collector, which Python tells of.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
MOMENTS = 40


@pytest.fixture(scope="module", autouse=True)
def collected() -> Iterator[None]:
    """Here, and not while another test runs."""
    yield
    gc.collect()


async def is_heeded(call: Callable[[], Awaitable[object]], turns: int) -> bool:
    """Whether a loop around the call ends when it is cancelled after so many turns of the event loop."""

    async def loop() -> None:
        while True:
            await call()
            await asyncio.sleep(10)

    task = asyncio.create_task(loop())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=2)
    task.cancel()
    await asyncio.wait({task}, timeout=2)
    return bool(done)


# redis-py sends through `asyncio.wait_for`, which swallows some of them on Python 3.11.


@pytest.mark.parametrize("moment", range(MOMENTS))
async def test_a_cancel_is_heeded_at_every_turn_of_a_first_call(moment: int) -> None:
    broker = RedisBroker(open_client(empty_redis().url), prefix="cancel")

    is_ended = await is_heeded(lambda: broker.lead(SessionId(1), 1.0), moment)
    await broker.close()

    assert is_ended


@pytest.mark.parametrize("moment", range(MOMENTS))
async def test_a_cancel_is_heeded_at_every_turn_of_a_cache(moment: int) -> None:
    client = open_client(empty_redis().url)
    cache = RedisCache(client, "cancel", SystemClock())

    is_ended = await is_heeded(lambda: cache.drop(["a"]), moment)
    await client.aclose()

    assert is_ended


async def test_a_cancel_is_heeded_at_every_turn_of_a_look_at_one_moment_of_the_record(tmp_path: Path) -> None:
    """The end of the transaction is not waited for: it fails on a line that is gone, and that hid the cancel."""
    async with opened(mysql_store, tmp_path) as scene:
        unheeded = [at for at in range(0, 600, 4) if not await is_heeded(lambda: scene.store.recent_starts(60), at)]

    assert unheeded == []
