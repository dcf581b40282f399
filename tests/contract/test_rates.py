"""What buckets of tokens promise: in memory, and shared through Redis."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.inside import until
from tests.rig.redis import Redis

from llm_scheduler.brokers.rates import MemoryRates
from llm_scheduler.brokers.redis.connection import open_client
from llm_scheduler.brokers.redis.rates import RedisRates
from llm_scheduler.domain.errors import BrokerUnavailableError
from llm_scheduler.domain.rate import Rule, rule_of
from llm_scheduler.telemetry.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from llm_scheduler.ports.rates import SharedRates

SLOW = Rule(per_minute=6, burst=5)
"""Ten seconds a token: no test lasts so long."""
FAST = Rule(per_minute=6_000, burst=20)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    running = Redis(tmp_path_factory.mktemp("redis"))
    running.start()
    yield running
    running.close()


@pytest.fixture(params=["memory", "redis"])
async def rates(request: pytest.FixtureRequest, server: Redis) -> AsyncIterator[SharedRates]:
    if request.param == "memory":
        yield MemoryRates(SystemClock())
        return
    server.command("FLUSHALL")
    client = open_client(server.url)
    yield RedisRates(client, "t")
    await client.aclose()


async def test_a_bucket_begins_full_and_gives_what_it_holds(rates: SharedRates) -> None:
    first = await rates.take("a", SLOW, want=3)
    second = await rates.take("a", SLOW, want=3)
    third = await rates.take("a", SLOW, want=1)

    assert (first.granted, first.remaining) == (3, 2)
    assert (second.granted, second.remaining) == (2, 0)
    assert third.granted == 0


async def test_an_empty_bucket_says_when_there_is_more_and_when_it_is_full(rates: SharedRates) -> None:
    grant = await rates.take("a", SLOW, want=5)

    assert grant.wait_s == pytest.approx(10, abs=2)
    assert grant.reset_s == pytest.approx(50, abs=2)


async def test_keys_are_apart(rates: SharedRates) -> None:
    await rates.take("a", SLOW, want=5)

    assert (await rates.take("b", SLOW, want=5)).granted == 5


async def test_looking_takes_nothing(rates: SharedRates) -> None:
    for _ in range(10):
        assert await rates.take("a", SLOW, want=0) == (0, 5, 0.0, 0.0)


async def test_what_is_given_back_is_there_again_and_never_more(rates: SharedRates) -> None:
    await rates.take("a", SLOW, want=5)

    assert (await rates.take("a", SLOW, spent=-2, want=0)).remaining == 2
    assert (await rates.take("a", SLOW, spent=-50, want=0)).remaining == 5
    assert (await rates.take("a", SLOW, want=9)).granted == 5


async def test_what_was_spent_already_is_a_debt(rates: SharedRates) -> None:
    grant = await rates.take("a", SLOW, spent=6, want=1)

    assert grant.granted == 0
    assert grant.wait_s == pytest.approx(20, abs=2)


async def test_a_debt_is_bounded(rates: SharedRates) -> None:
    grant = await rates.take("a", SLOW, spent=1_000_000, want=0)

    assert grant.wait_s == pytest.approx(70, abs=2)


async def test_tokens_come_back_at_their_pace(rates: SharedRates) -> None:
    """6000 a minute are 100 a second: between two instants no more than that and the bucket."""
    loop = asyncio.get_running_loop()
    began, taken = loop.time(), 0
    while loop.time() < began + 0.5:
        taken += (await rates.take("a", FAST, want=3)).granted
        await asyncio.sleep(0)
    lasted_s = loop.time() - began

    assert 20 + 100 * 0.5 * 0.9 <= taken <= 20 + 100 * lasted_s + 1


async def test_a_limit_may_change(rates: SharedRates) -> None:
    await rates.take("a", SLOW, want=5)

    faster = await rates.take("a", Rule(per_minute=600, burst=1_000), want=1)

    assert faster.granted == 1


async def test_many_at_once_get_no_more_than_there_is(rates: SharedRates) -> None:
    grants = await asyncio.gather(*(rates.take("a", SLOW, want=2) for _ in range(20)))

    assert sum(grant.granted for grant in grants) == 5


async def test_a_redis_that_is_away_is_told(server: Redis) -> None:
    client = open_client(server.url)
    rates = RedisRates(client, "t")
    await rates.take("a", SLOW)
    server.kill()
    try:
        with pytest.raises(BrokerUnavailableError):
            await rates.take("a", SLOW)
    finally:
        server.start()
    await until(lambda: _answers(rates), "it answers again")
    await client.aclose()


async def _answers(rates: RedisRates) -> bool:
    try:
        await rates.take("a", SLOW)
    except BrokerUnavailableError:
        return False
    return True


async def test_a_full_bucket_leaves_nothing_in_redis(server: Redis) -> None:
    server.command("FLUSHALL")
    client = open_client(server.url)
    rates = RedisRates(client, "t")
    await rates.take("a", SLOW, want=2)
    assert server.command("KEYS", "*").split() == ["t:rate:a"]
    assert int(server.command("PTTL", "t:rate:a")) > 0

    await rates.take("a", SLOW, spent=-2, want=0)

    assert server.command("KEYS", "*").split() == []
    await client.aclose()


@pytest.mark.parametrize(("per_minute", "burst"), [(1, 1), (5, 5), (10, 10), (60, 10), (600, 100), (6_000, 1_000)])
def test_ten_seconds_of_a_limit_may_come_at_once(per_minute: int, burst: int) -> None:
    assert rule_of(per_minute) == (per_minute, burst)
