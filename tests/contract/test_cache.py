"""What every level of a cache promises: in memory and in Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis.asyncio
from tests.contract.store_scene import StillClock
from tests.inside import until
from tests.rig.redis import Redis

from llm_scheduler.caches.memory import MemoryCache
from llm_scheduler.caches.redis import RedisCache
from llm_scheduler.ports.cache import Cache
from llm_scheduler.telemetry.clock import SystemClock


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    running = Redis(tmp_path_factory.mktemp("redis"))
    running.start()
    yield running
    running.close()


@pytest.fixture
async def client(server: Redis) -> AsyncIterator[redis.asyncio.Redis]:
    if not server.answers():
        server.start()
    client = redis.asyncio.Redis.from_url(server.url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture(params=["memory", "redis"])
def cache(request: pytest.FixtureRequest, client: redis.asyncio.Redis) -> Cache:
    clock = SystemClock()
    return MemoryCache(clock, max_bytes=1000) if request.param == "memory" else RedisCache(client, "t", clock, 1000)


@pytest.mark.parametrize("value", [b"", b"\x00\xff", b"v", "żółć 🦊".encode()])
async def test_a_value_comes_back_as_it_was_put(cache: Cache, value: bytes) -> None:
    await cache.put("a:1", value, 10)

    assert await cache.get("a:1") == value
    assert await cache.get("a:2") is None


async def test_what_is_there_stays_until_it_is_dropped(cache: Cache) -> None:
    await cache.put("a", b"first", 10)
    await cache.put("a", b"second", 10)

    assert await cache.get("a") == b"first"


async def test_a_value_lapses(cache: Cache) -> None:
    await cache.put("a", b"x", 0.05)
    await cache.put("b", b"x", 60)

    async def is_gone() -> bool:
        return await cache.get("a") is None

    await until(is_gone, "the value lapses", 5)
    assert await cache.get("b") == b"x"


async def test_what_is_dropped_is_gone(cache: Cache) -> None:
    for key in "abc":
        await cache.put(key, b"x", 10)

    await cache.drop(["a", "c", "unknown"])

    assert [await cache.get(key) for key in "abc"] == [None, b"x", None]


async def test_a_value_over_the_bound_is_not_kept(cache: Cache) -> None:
    await cache.put("a", b"x" * 2_000, 10)

    assert await cache.get("a") is None


async def test_the_shared_level_refuses_what_was_read_before_a_drop(client: redis.asyncio.Redis) -> None:
    """Somebody read the source, somebody else changed it and dropped the key, then the first one puts."""
    slow, quick = RedisCache(client, "t", SystemClock()), RedisCache(client, "t", SystemClock())
    await quick.drop(["a"])
    await slow.put("a", b"old", 60)

    assert await slow.get("a") is None
    assert 0 < await client.pttl("t:cache:a") <= 5_000


async def test_keys_in_redis_carry_the_prefix_and_a_time_to_live(client: redis.asyncio.Redis) -> None:
    cache = RedisCache(client, "mine", SystemClock())
    await cache.put("a", b"x", 30)
    await cache.drop(["b"])

    keys = await client.keys("*")

    assert sorted(keys) == [b"mine:cache:a", b"mine:cache:b"]
    assert all([await client.pttl(key) > 0 for key in keys])


async def test_a_redis_that_is_away_is_a_miss_and_nobody_waits_for_it_twice(
    server: Redis, client: redis.asyncio.Redis
) -> None:
    clock = StillClock()
    cache = RedisCache(client, "t", clock)
    await cache.put("a", b"x", 60)
    loop = asyncio.get_running_loop()
    server.process.freeze()
    try:
        began = loop.time()
        assert await cache.get("a") is None
        first_s = loop.time() - began
        for _ in range(50):
            await cache.put("a", b"y", 60)
            assert await cache.get("a") is None
        others_s = loop.time() - began - first_s
    finally:
        server.process.thaw()

    assert 0.2 < first_s < 1
    assert others_s < 0.2
    clock.pass_s(2)
    assert await cache.get("a") == b"x"


async def test_a_drop_that_did_not_get_through_is_made_good_first(server: Redis, client: redis.asyncio.Redis) -> None:
    """A change while Redis is away must not leave the old copy to be read when it is back."""
    clock = StillClock()
    cache = RedisCache(client, "t", clock)
    await cache.put("a", b"old", 60)
    server.process.freeze()
    try:
        await cache.drop(["a"])
    finally:
        server.process.thaw()
    clock.pass_s(2)

    assert await cache.get("a") is None


async def test_a_redis_that_was_killed_is_used_again_when_it_is_back(
    server: Redis, client: redis.asyncio.Redis, tmp_path: Path
) -> None:
    clock = StillClock()
    cache = RedisCache(client, "t", clock)
    server.kill()
    assert await cache.get("a") is None
    server.start()
    clock.pass_s(2)

    await cache.put("a", b"x", 60)
    assert await cache.get("a") == b"x"
